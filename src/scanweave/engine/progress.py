"""Progress of a command: a live bar with the time to go on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

SECONDS = 10.0
"""Time between two lines where there is no terminal."""


@contextmanager
def counted(what: str, *, shown: bool = True, console: Console | None = None) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that takes how many of how many are done, and shows it with the time to go.

    Args:
        what: What is counted, such as "studies prepared".
        shown: Whether this process shows anything.
        console: Where to; standard output by default.
    """
    console = console or Console(highlight=False, soft_wrap=True, markup=False, quiet=not shown)
    began = told = time.monotonic()
    bar = _bar(console, shown)
    task = bar.add_task(what, total=None, eta="?", terms="")

    stopped = ""

    def show(done: int, total: int) -> None:
        nonlocal told, stopped
        stopped = f"stopped: {what} {done}/{total}"
        now = time.monotonic()
        eta = _duration((total - done) * (now - began) / done) if done else "?"
        bar.update(task, completed=done, total=total, eta=eta)
        if bar.disable and (done in (0, total) or now - told > SECONDS):
            console.print(f"{what} {done}/{total}" + (f" · ETA {eta}" if 0 < done < total else ""))
            told = now

    try:
        with bar:
            yield show
    except KeyboardInterrupt:
        console.print(stopped, end="\n" if stopped else "")
        raise


def _bar(console: Console, shown: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("ETA {task.fields[eta]}  {task.fields[terms]}"),
        console=console,
        transient=True,
        disable=not shown or not console.is_terminal,
    )


def _duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


class TrainingProgress:
    """Shows the steps of a training.

    Args:
        steps: Steps of the whole training.
        shown: Whether this process shows anything.
        console: Where to; standard output by default.
    """

    def __init__(self, steps: int, *, shown: bool, console: Console | None = None) -> None:
        self._steps = steps
        self._console = console or Console(highlight=False, soft_wrap=True, markup=False, quiet=not shown)
        self._bar = _bar(self._console, shown)
        self._task = self._bar.add_task("training", total=steps, eta="?", terms="")
        self._first = 0
        self._since = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def start(self, step: int) -> None:
        """Begin to measure the pace at `step`."""
        self._first, self._since = step, time.monotonic()
        self._bar.update(self._task, completed=step)

    def say(self, line: str) -> None:
        """Print a line."""
        self._console.print(line)

    def advance(self, step: int) -> None:
        """Move the bar to `step`."""
        self._bar.update(self._task, completed=step, eta=self.eta(step))

    def report(self, step: int, terms: Mapping[str, float], rate: float, pace: float) -> None:
        """Show the loss terms at `step`.

        Args:
            step: Steps made.
            terms: Mean loss terms since the last report.
            rate: Learning rate.
            pace: Samples per second since the start of this session.
        """
        shown = " · ".join([*(f"{name} {value:.4g}" for name, value in terms.items()), f"lr {rate:.3g}"])
        if self._bar.disable:
            self.say(f"step {step}/{self._steps} · {shown} · {pace:.3g} samples/s · ETA {self.eta(step)}")
        else:
            self._bar.update(self._task, terms=f"{shown} · {pace:.3g} samples/s")

    def validating(self, step: int) -> None:
        """Say that a validation has begun."""
        if self._bar.disable:
            self.say(f"step {step}/{self._steps} · validating …")
        else:
            self._bar.update(self._task, terms="validating …")

    def pace(self, step: int) -> float:
        """Return the steps per second of this session."""
        return (step - self._first) / max(time.monotonic() - self._since, 1e-9)

    def eta(self, step: int) -> str:
        """Return the time to go as `h:mm:ss`."""
        pace = self.pace(step)
        return _duration((self._steps - step) / pace) if pace > 0 else "?"
