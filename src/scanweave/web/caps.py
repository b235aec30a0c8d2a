"""Caps of every local page: how many requests a second, how large one may be, and from which page."""

from __future__ import annotations

import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

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
    """

    def __init__(self, per_second: float = PER_SECOND, burst: int = BURST) -> None:
        self._per_second, self._burst = per_second, float(burst)
        self._left, self._at = float(burst), time.monotonic()

    def take(self) -> bool:
        """Take one; tell whether there was one."""
        now = time.monotonic()
        self._left = min(self._burst, self._left + self._per_second * (now - self._at))
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def refusal(request: Any, hosts: tuple[str, ...]) -> Refusal | None:
    """Return why a request is not answered; None: it may be.

    A page of another site can send a form here without being able to read the answer: so what changes anything has to
    come from this page (Origin), and to say its size.

    Args:
        request: Of Starlette.
        hosts: Names of this machine.
    """
    if request.method in READS:
        return None
    origin = request.headers.get("origin")
    if origin is not None and _host(origin) not in hosts:
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


def _host(origin: str) -> str | None:
    try:
        return urlsplit(origin).hostname
    except ValueError:
        return None
