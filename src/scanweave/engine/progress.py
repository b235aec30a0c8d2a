"""Progress of a command: a live bar with the time to go on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

LINES = 10
"""Lines of a command whose pace is steady, about, where there is no terminal."""
NEAREST_SECONDS = 10.0
"""Least time between two lines [s]: a command of a minute or two floods no log."""
FIRST_SECONDS = 30.0
"""Longest wait for the first line, and until the pace is known [s]: its reader still sits there, and decides by it."""
FARTHEST_SECONDS = 300.0
"""Longest time between two lines [s]: a command of many hours is not taken for dead."""
MEMORY_SECONDS = 900.0
"""Time after which pace is forgotten to a third: several studies long, so that no single one makes the ETA jump."""


T = TypeVar("T")
_LISTENERS: list[Callable[[float], None]] = []
"""Functions that show the share of a study that is done; the last one is called."""
_PARTS: list[tuple[float, float]] = [(0.0, 1.0)]
"""Begin and width of the part of a study that is worked on, as shares; the outermost part first."""


def tell_share(share: float) -> None:
    """Tell how far the work on one study, or on the part of it that `in_parts` gives, is, in [0, 1]."""
    start, width = _PARTS[-1]
    if _LISTENERS:
        _LISTENERS[-1](start + width * share)


def in_parts(items: Iterable[T], count: int) -> Iterator[T]:
    """Yield `count` items; what is told while one is made and used counts as that part of the study.

    Args:
        items: Such as the predictions that are measured one by one.
        count: How many there are.
    """
    depth, (start, width) = len(_PARTS), _PARTS[-1]
    iterator = iter(items)
    try:
        for number in range(count):
            _PARTS.append((start + width * number / count, width / count))
            try:
                item = next(iterator)
            except StopIteration:
                return
            yield item
            tell_share(1.0)
            del _PARTS[depth:]
        yield from iterator
    finally:
        del _PARTS[depth:]


@contextmanager
def counted(what: str, *, shown: bool = True, console: Console | None = None) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that takes how many of how many are done, and shows it with the time to go.

    Between two calls it shows what `tell_share` tells of the one at hand.

    Args:
        what: What is counted, such as "studies prepared".
        shown: Whether this process shows anything.
        console: Where to; standard output by default.
    """
    console = console or Console(highlight=False, soft_wrap=True, markup=False, quiet=not shown)
    bar = _bar(console, shown)
    count = _Count(what, console, bar)
    _LISTENERS.append(count.share)
    parts, _PARTS[:] = _PARTS[:], [(0.0, 1.0)]
    try:
        with bar:
            yield count.show
    except KeyboardInterrupt:
        console.print(count.stopped, end="\n" if count.stopped else "")
        raise
    finally:
        _LISTENERS.remove(count.share)
        _PARTS[:] = parts


class _Pace:
    """Pace of some work, smoothed over the last minutes, and when a line about it is due.

    Args:
        done: How much an earlier call has done: it took no time in this one.
        start_up: Whether the first stretch does not count: it holds what is done once.
    """

    def __init__(self, done: float = 0.0, *, start_up: bool = False) -> None:
        self._done, self._start_up = done, start_up
        self._began = self._since = self._told = time.monotonic()
        self._work = self._seconds = 0.0
        self._farthest = FIRST_SECONDS
        self.told = False
        """Whether the last line told the pace."""

    def move(self, done: float) -> None:
        """Take how much is done now."""
        now = time.monotonic()
        if not self._start_up:
            kept = math.exp((self._since - now) / MEMORY_SECONDS)
            self._work = self._work * kept + done - self._done
            self._seconds = self._seconds * kept + now - self._since
        self._done, self._since, self._start_up = done, now, False

    @property
    def rate(self) -> float:
        """Work per second; 0 as long as it is not known."""
        return self._work / self._seconds if self._work > 0 and self._seconds > 0 else 0.0

    def left(self, total: float) -> float | None:
        """Return the time to go [s]; None as long as it is not known."""
        return (total - self._done) / self.rate if self.rate else None

    def due(self, total: float, distances: int = 1) -> bool:
        """Tell whether a line is due, `distances` after the last one that was."""
        now, left = time.monotonic(), self.left(total)
        whole = 0.0 if left is None else now - self._began + left
        return now - self._told > distances * min(max(whole / LINES, NEAREST_SECONDS), self._farthest)

    def tell(self) -> None:
        """Take it that a line was shown."""
        self._told = time.monotonic()
        self.told = self.rate > 0
        self._farthest = FARTHEST_SECONDS if self.told else FIRST_SECONDS


class _Count:
    """Count of what is done, and how far the next one is."""

    def __init__(self, what: str, console: Console, bar: Progress) -> None:
        self.what, self.console, self.bar = what, console, bar
        self.done, self.total = 0, 0
        self.pace: _Pace | None = None
        self.stopped = ""
        self.task = bar.add_task(what, total=None, eta="?", terms="")

    def show(self, done: int, total: int) -> None:
        """Take how many are done."""
        self.pace = self.pace or _Pace(done)
        self.done, self.total = done, total
        self.stopped = f"stopped: {self.what} {done}/{total}"
        self._tell(self.pace, 0.0, always=done in (0, total))

    def share(self, share: float) -> None:
        """Take how far the next one is."""
        if self.pace is not None and self.done < self.total:
            self._tell(self.pace, share)

    def _tell(self, pace: _Pace, share: float, *, always: bool = False) -> None:
        made = self.done + share
        pace.move(made)
        left = pace.left(self.total)
        eta = "?" if left is None else _duration(left)
        self.bar.update(self.task, completed=made, total=self.total, eta=eta)
        if self.bar.disable and (always or pace.due(self.total)):
            far = f" · {100 * made / self.total:.0f} %" if share else ""
            self.console.print(f"{self.what} {self.done}/{self.total}{far}" + (f" · ETA {eta}" if left else ""))
            pace.tell()


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
        self._pace = _Pace()
        self._alive = self._validated = False

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def start(self, step: int) -> None:
        """Begin to measure the pace at `step`."""
        self._pace = _Pace(step, start_up=True)
        self._bar.update(self._task, completed=step)

    def say(self, line: str) -> None:
        """Print a line."""
        self._console.print(line)

    def advance(self, step: int) -> None:
        """Move the bar to `step`; without a terminal print a line if reports are far apart."""
        self._pace.move(step)
        self._bar.update(self._task, completed=step, eta=self._eta())
        distances = 2 if self._pace.told else 1  # the first ETA waits for no report
        if self._bar.disable and self.pace and self._pace.due(self._steps, distances):
            self._line(step)

    def report(self, step: int, terms: Mapping[str, float], rate: float, pace: float) -> None:
        """Show the loss terms at `step`; without a terminal only if a line is due, or none was there as a sign of life.

        Args:
            step: Steps made.
            terms: Mean loss terms since the last report.
            rate: Learning rate.
            pace: Samples per second; 0 as long as it is not known.
        """
        shown = [*(f"{name} {value:.4g}" for name, value in terms.items()), f"lr {rate:.3g}"]
        shown += [f"{pace:.3g} samples/s"] if pace else []
        if not self._bar.disable:
            self._bar.update(self._task, terms=" · ".join(shown))
        elif not self._alive or self._pace.due(self._steps):
            self._alive = True
            self._line(step, *shown)

    def validating(self, step: int) -> None:
        """Say that a validation has begun; without a terminal of the first one alone."""
        if not self._bar.disable:
            self._bar.update(self._task, terms="validating …")
        elif not self._validated:
            self.say(f"step {step}/{self._steps} · validating …")
        self._validated = True

    @property
    def pace(self) -> float:
        """Steps per second of this session, of late; 0 before its second step."""
        return self._pace.rate

    def _line(self, step: int, *words: str) -> None:
        left = self._pace.left(self._steps)
        self.say(" · ".join([f"step {step}/{self._steps}", *words, *([f"ETA {_duration(left)}"] if left else [])]))
        self._pace.tell()

    def _eta(self) -> str:
        left = self._pace.left(self._steps)
        return "?" if left is None else _duration(left)
