"""Pages of `scanweave serve` and `scanweave device --page`, started for a benchmark, and a browser to open them in."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
HOME = re.compile(r"http://127\.0\.0\.1:\d+/|blob:|data:")
WAIT_SECONDS, STEP_MS = 120, 20


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
def started(*words: str, log: Path) -> Iterator[Served]:
    """Run a command that serves a page until the block ends.

    Args:
        words: Of the command.
        log: Takes what it says of faults.
    """
    with log.open("w") as faults:
        command = [sys.executable, "-m", "scanweave", *words]
        process: Any = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=faults, text=True)
        try:
            address = next(line.removeprefix("open ").strip() for line in process.stdout if line.startswith("open "))
            parts = urlsplit(address)
            yield Served(address, f"{parts.scheme}://{parts.netloc}", parse_qs(parts.query)["token"][0])
        finally:
            process.terminate()
            process.wait(20)


def served(*folders: Path, jobs: Path) -> Any:
    """Serve cohorts and runs until the block ends."""
    return started("serve", *map(str, folders), "--jobs", str(jobs), log=jobs.parent / "served.log")


class Tab:
    """A tab of a browser, with what went wrong in it and what it asked of other machines.

    Args:
        context: Of Playwright.
    """

    def __init__(self, context: Any) -> None:
        self.page, self.faults, self.outside = context.new_page(), list[str](), list[str]()
        self.page.on("console", lambda told: self.faults.append(told.text) if told.type == "error" else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda one: None if HOME.match(one.url) else self.outside.append(one.url))

    def until(self, words: str) -> None:
        """Wait until an expression is true; the page's own policy forbids Playwright to do so in it.

        Raises:
            TimeoutError: It never is.
        """
        began = time.perf_counter()
        while not self.page.evaluate(words):
            if time.perf_counter() - began > WAIT_SECONDS:
                raise TimeoutError(words)
            self.page.wait_for_timeout(STEP_MS)


@contextmanager
def browser() -> Iterator[Any]:
    """Start Chromium without a screen, with rendering in software."""
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield one
        one.close()
