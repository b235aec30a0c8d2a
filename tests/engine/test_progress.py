import io
import re
from itertools import pairwise

import pytest
from rich.console import Console
from tiny import Clock

from scanweave.engine import progress
from scanweave.engine.progress import TrainingProgress, counted, tell_share


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
    assert lines[0] == "studies prepared 5/40 · ETA 0:02:20"
    assert lines[-1] == "studies prepared 40/40"
    counts = [int(re.findall(r"(\d+)/40", line)[0]) for line in lines]
    assert {after - before for before, after in pairwise(counts[:-1])} == {4}


def test_a_long_command_has_few_lines_and_no_long_silence(clock: Clock) -> None:
    """Thirty studies of four minutes each, the shares of which come unevenly: the load of the machine varies."""
    file = io.StringIO()
    with counted("studies evaluated", console=Console(file=file, width=100)) as show:
        show(0, 30)
        for done in range(1, 31):
            for part in range(1, 25):
                clock.now += 4 if part % 3 else 22
                tell_share(part / 24)
            show(done, 30)
    lines = file.getvalue().splitlines()
    assert len(lines) <= 7200 / progress.FARTHEST_SECONDS + 3
    ends = [studies_done(line) * 240 + seconds(line) for line in lines if "ETA" in line]
    assert max(ends[1:]) - min(ends[1:]) < 0.05 * 7200
    assert not any("of the next" in line for line in lines)


def studies_done(line: str) -> float:
    """Return how many of 30 studies a line says to be done, by its share if it tells one."""
    share = re.search(r"(\d+) %", line)
    return 30 * int(share[1]) / 100 if share else float(re.findall(r"(\d+)/30", line)[0])


def seconds(line: str) -> int:
    hours, minutes, rest = map(int, re.findall(r"ETA (\d+):(\d+):(\d+)", line)[0])
    return 3600 * hours + 60 * minutes + rest


def training_lines(clock: Clock, first: int, last: int, seconds: float) -> tuple[list[str], float]:
    """Return what is told of the steps after `first` of 2500, each as long, but for the first; and the pace."""
    file = io.StringIO()
    told = TrainingProgress(2500, shown=True, console=Console(file=file, width=200))
    told.start(first)
    clock.now += 20 + seconds
    told.advance(first + 1)
    told.report(first + 1, {"loss": 1.0}, 1e-3, told.pace)
    for step in range(first + 2, last + 1):
        clock.now += seconds
        told.advance(step)
        if step % 50 == 0:
            told.report(step, {"loss": 1.0}, 1e-3, told.pace)
    return file.getvalue().splitlines(), told.pace


def test_a_training_has_few_lines_at_steady_distances(clock: Clock) -> None:
    lines, _ = training_lines(clock, 0, 2500, 0.2)
    assert lines[0] == "step 1/2500 · loss 1 · lr 0.001"
    steps = [int(re.findall(r"step (\d+)/", line)[0]) for line in lines[1:]]
    assert len(lines) <= 14
    assert {after - before for before, after in pairwise(steps[1:])} == {300}
    ends = [step * 0.2 + seconds(line) for step, line in zip(steps, lines[1:], strict=True) if "ETA" in line]
    assert max(ends) - min(ends) < 5


def test_slow_steps_are_told_before_their_losses(clock: Clock) -> None:
    lines, _ = training_lines(clock, 0, 40, 3.0)
    assert [line.partition(" · ETA")[0] for line in lines] == ["step 1/2500 · loss 1 · lr 0.001", "step 12/2500"]


def test_the_pace_of_a_fit_that_goes_on_is_its_own(clock: Clock) -> None:
    _, pace = training_lines(clock, 2000, 2400, 0.5)
    assert pace == pytest.approx(2.0)


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
