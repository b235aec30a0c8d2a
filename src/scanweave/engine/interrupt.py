"""Ctrl-C and SIGTERM as a wish to stop, which the loop grants at the end of its step."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SAME_WISH_SECONDS = 5.0
"""Time after a signal in which others are the same wish: `timeout` sends two at once, and a hand repeats Ctrl-C."""


class StopRequest:
    """Notes a SIGINT or SIGTERM inside its block; one that comes later again acts as it would without the block.

    A signal that the process was started to ignore, as by a shell in the background, stays ignored.

    Attributes:
        signal: Number of the first signal that came, None so far.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._came = 0.0
        self._writing = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # Python sets handlers nowhere else.
            heard = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._note) for number in heard}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def let_write(self) -> None:
        """Let no signal end the rest of the block: what is written last takes seconds, and is what a stop is for."""
        self._writing = True

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.signal is None:
            self.signal, self._came = number, now
        elif not self._writing and now - self._came > SAME_WISH_SECONDS:
            self._restore()
            signal.raise_signal(number)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
