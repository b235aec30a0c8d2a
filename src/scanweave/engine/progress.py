"""Progress of a command: a live bar with the time to go on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

SECONDS = 10.0
"""Time between two lines where there is no terminal."""


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


class _Count:
    """Count of what is done, and how far the next one is."""

    def __init__(self, what: str, console: Console, bar: Progress) -> None:
        self.what, self.console, self.bar = what, console, bar
        self.began = self.told = time.monotonic()
        self.done, self.total = 0, 0
        self.first: int | None = None  # an earlier call may have done these: they took no time in this one
        self.stopped = ""
        self.task = bar.add_task(what, total=None, eta="?", terms="")

    def show(self, done: int, total: int) -> None:
        """Take how many are done."""
        if self.first is None:
            self.first, self.began = done, time.monotonic()
        self.done, self.total = done, total
        self.stopped = f"stopped: {self.what} {done}/{total}"
        self._tell(0.0, always=done in (0, total))

    def share(self, share: float) -> None:
        """Take how far the next one is."""
        if self.done < self.total:
            self._tell(share)

    def _tell(self, share: float, *, always: bool = False) -> None:
        now, made = time.monotonic(), self.done + share - (self.first or 0)
        left = self.total - self.done - share
        eta = _duration(left * (now - self.began) / made) if made > 0 else "?"
        terms = f"{share:.0%} of the next" if share else ""
        self.bar.update(self.task, completed=self.done + share, total=self.total, eta=eta, terms=terms)
        if self.bar.disable and (always or now - self.told > SECONDS):
            line = f"{self.what} {self.done}/{self.total}" + (f" · {terms}" if terms else "")
            self.console.print(line + (f" · ETA {eta}" if left and made > 0 else ""))
            self.told = now


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
        self._since = self._told = time.monotonic()

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
        self._told = time.monotonic()

    def advance(self, step: int) -> None:
        """Move the bar to `step`; without a terminal print a line if none was for a while."""
        self._bar.update(self._task, completed=step, eta=self.eta(step))
        if self._bar.disable and time.monotonic() - self._told > SECONDS:
            self.say(f"step {step}/{self._steps} · ETA {self.eta(step)}")

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
