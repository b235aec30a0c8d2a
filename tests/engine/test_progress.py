import io

import pytest
from rich.console import Console

from scanweave.engine import progress
from scanweave.engine.progress import counted


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def told(clock: Clock, *, terminal: bool, shown: bool = True) -> str:
    """Return what is shown of 40 studies that take four seconds each."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=100, quiet=not shown)
    with counted("studies prepared", shown=shown, console=console) as show:
        for done in range(1, 41):
            clock.now += 4
            show(done, 40)
    return file.getvalue()


def test_elsewhere_a_line_now_and_then_tells_the_time_to_go(clock: Clock) -> None:
    lines = told(clock, terminal=False).splitlines()
    assert lines[0] == "studies prepared 3/40 · ETA 0:02:28"
    assert lines[-1] == "studies prepared 40/40"
    assert len(lines) == 14


def test_a_terminal_shows_a_bar(clock: Clock) -> None:
    shown = told(clock, terminal=True)
    assert "studies prepared" in shown
    assert "ETA" in shown


def test_other_processes_show_nothing(clock: Clock) -> None:
    assert told(clock, terminal=False, shown=False) == ""
    assert told(clock, terminal=True, shown=False) == ""


def test_an_interruption_tells_how_much_is_done(clock: Clock) -> None:
    file = io.StringIO()

    def interrupted() -> None:
        with counted("studies", console=Console(file=file, width=100)) as show:
            show(0, 5)
            show(2, 5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert file.getvalue().splitlines() == ["studies 0/5", "stopped: studies 2/5"]
