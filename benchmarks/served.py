"""The page of `scanweave serve`, started for a benchmark and asked by a program."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit


class Served(NamedTuple):
    """Hold where a page is.

    Attributes:
        address: With its token.
        base: Without.
        token: The secret.
    """

    address: str
    base: str
    token: str


@contextmanager
def served(*folders: Path, jobs: Path) -> Iterator[Served]:
    """Serve cohorts and runs until the block ends."""
    words = [sys.executable, "-m", "scanweave", "serve", *map(str, folders), "--jobs", str(jobs)]
    with (jobs.parent / "served.log").open("w") as log:
        process: Any = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            address = next(line.removeprefix("open ").strip() for line in process.stdout if line.startswith("open "))
            parts = urlsplit(address)
            yield Served(address, f"{parts.scheme}://{parts.netloc}", parse_qs(parts.query)["token"][0])
        finally:
            process.terminate()
            process.wait(20)
