"""Caps of every local page: how many requests a second, how large one may be, and from which page."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

PER_SECOND, BURST = 300.0, 1_500
"""Requests that are answered a second in the long run, and at once after a pause."""
MOST_BODY_BYTES, MOST_UPLOAD_BYTES = 2**20, 2**33
"""Of a request; of files that are taken in together."""
UPLOADS = "/api/uploads/"
"""Start of the addresses that take files."""
READS = ("GET", "HEAD")


class Refusal(NamedTuple):
    """Say why a request is not answered.

    Attributes:
        status: Of HTTP.
        reason: In words.
    """

    status: int
    reason: str


class Rate:
    """A count of requests that fills again with time.

    Args:
        per_second: That are added.
        burst: That are there at most.
        clock: Tells the time [s].
    """

    def __init__(
        self, per_second: float = PER_SECOND, burst: int = BURST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second, self._burst, self._clock = per_second, float(burst), clock
        self._left, self._at = float(burst), clock()

    def take(self) -> bool:
        """Take one; tell whether there was one."""
        now = self._clock()
        self._left = min(self._burst, self._left + self._per_second * (now - self._at))
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def refusal(request: Any) -> Refusal | None:
    """Return why a request is not answered; None: it may be.

    A page of another site can send a form here without being able to read the answer: so what changes anything has to
    come from this page (Origin), and to say its size.

    Args:
        request: Of Starlette; its Host is a name of this machine.
    """
    if request.method in READS:
        return None
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    if origin is not None and origin.partition("://")[2] != host:  # another port is another page
        return Refusal(403, "This page takes requests from itself alone.")
    told = request.headers.get("content-length", "")
    if request.url.path.startswith(UPLOADS):
        most = MOST_UPLOAD_BYTES
    else:
        most = MOST_BODY_BYTES
        if "transfer-encoding" in request.headers:
            return Refusal(411, "The request does not tell its size.")
    if told and (not told.isascii() or not told.isdigit() or int(told) > most):
        return Refusal(413, f"The request is larger than {most // 2**20} MiB.")
    return None
