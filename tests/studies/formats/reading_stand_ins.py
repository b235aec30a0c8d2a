"""Stand-ins for a library that reads files: a file says what comes of it."""

import os
import time

import numpy as np

from scanweave.errors import ScanweaveError
from scanweave.studies.formats.guarded_reading import Contents


def _told(path):
    """A file says what comes of it."""
    told = path.read_text()
    if told == "wait":
        time.sleep(3600)
    if told == "compute":
        while True:
            pass
    if told == "break down":
        os.abort()
    if told == "leave":
        os._exit(0)
    if told == "refuse":
        raise ScanweaveError(path, "says that it is refused", "Write another word")
    return told


def read(path, budget, allow):
    """Return the helper's number, so that a test sees whether it is another one."""
    told = _told(path)
    arrays = {"empty": np.zeros((2, 0)), "numbers": np.arange(6, dtype=">i2").reshape(2, 3)}
    return Contents({"told": told, "helper": os.getpid(), "budget": budget}, arrays)


def hold(path, budget, allow):
    """Hold as many bytes as the file says, after a word about it or without."""
    word, size = path.read_text().split()
    if word == "told":
        allow(int(size))
    try:
        held = np.ones(int(size), np.uint8)
    except MemoryError as error:
        raise ScanweaveError(path, "needs more memory than there is", "Give it more") from error
    return Contents({}, {"last": held[-1:]})


def print_aside(path, budget, allow):
    """Print what is no answer."""
    os.write(1, b"warning\n")
    return Contents({}, {})
