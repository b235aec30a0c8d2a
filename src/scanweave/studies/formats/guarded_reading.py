"""Files read by a process of its own, for libraries that a damaged file can end or hold for ever.

The process that a user started never opens such a file: a helper does, within limits of time and memory, and hands
over what it read. Where the file ends or holds the helper, one line says so, and the next file has a new helper. One
helper reads many files, one after the other, so that only the first waits until it has started: tenths of a second.

The helper's answer is a line of JSON, then the bytes of each array that it names.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock, Timer
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.external import resolve
from scanweave.files import plain_size
from scanweave.studies.formats import header_limits

READ_BYTES_PER_SECOND = 2**23
"""Slowest that values are unpacked [bytes of values per second of processor time]; gzip takes a tenth of that time."""
FILE_BYTES_PER_SECOND = 2**20
"""Slowest disk that is waited for [bytes per second]."""
COPIES = 2
"""Copies of values in memory while they are unpacked: as they are stored, and as they are wanted."""
_READY = b"ready\n"
_BREAKS_DOWN = "damaged: the library that reads it breaks down on it, or comes to no end"


class Contents(NamedTuple):
    """Contents of a file.

    Attributes:
        about: JSON values by name.
        arrays: Arrays of plain numbers by name.
    """

    about: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


Allow = Callable[[int], None]
"""Called by what reads, once it knows how many bytes of values there are and before it reads them."""
Read = Callable[[Path, int, Allow], Contents]
"""Reads a file; takes its path, how many bytes of values may be held at most, and `Allow`."""


@dataclass(frozen=True)
class Limits:
    """Limits of the helper for each file, before what the values themselves need.

    Attributes:
        processor_seconds: Of processor time, for all that is no value; a sound file takes thousandths.
        wall_seconds: Of time by the clock, for a helper that waits and does not compute.
        spare_bytes: Of memory, for all that is no value.
    """

    processor_seconds: float = 5.0
    wall_seconds: float = 120.0
    spare_bytes: int = 2**28


class GuardedReader:
    """Reader of files of one kind, in a helper process.

    Args:
        function: The `Read` that the helper calls, as "package.module:name".
        limits: For each file.
    """

    def __init__(self, function: str, limits: Limits | None = None) -> None:
        self._function, self._limits = function, limits or Limits()
        self._lock = Lock()
        self._helper: subprocess.Popen[bytes] | None = None

    def read(self, path: Path) -> Contents:
        """Return what a file holds.

        Raises:
            ScanweaveError: It is no plain file, what reads it refuses it, or it ends or holds the helper.
        """
        size = plain_size(path)
        with self._lock, header_limits.faults_of(path):
            while True:
                living = self._helper if self._helper and self._helper.poll() is None else None
                helper = living or self._started()
                try:
                    return self._answer(helper, path, size)
                except ScanweaveError:
                    raise
                except (OSError, ValueError, EOFError) as error:  # it ended, or what it says is no answer
                    self._end(helper)
                    if living is None:  # else an earlier file may have harmed it
                        raise ScanweaveError(path, _BREAKS_DOWN, header_limits.ADVICE) from error
                except BaseException:  # an answer that is not read to its end would be taken for that of the next file
                    self._end(helper)
                    raise

    def _started(self) -> subprocess.Popen[bytes]:
        """Start a helper that finds the modules that this process finds, and wait until it can read."""
        places = os.pathsep.join(os.path.abspath(place) for place in sys.path)  # noqa: PTH100 - "" is where we are
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        fault: Exception | None = None
        try:
            self._helper = helper = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, self._function],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # where a library says that it broke down
                env=os.environ | one_thread | {"PYTHONPATH": places},
            )
            if _pipe(helper.stdout).readline() == _READY:
                return helper
            self._end(helper)
        except OSError as error:
            fault = error
        step = "Run: python -m scanweave, where python is the one that scanweave is installed for"
        raise ScanweaveError(sys.executable, "starts no process that reads files", step) from fault

    def _answer(self, helper: subprocess.Popen[bytes], path: Path, size: int) -> Contents:
        """Ask a helper for a file.

        Raises:
            OSError, ValueError, EOFError: It ended, or was ended because it took too long.
            ScanweaveError: The file is refused.
        """
        where = str(path.absolute())
        asked = {"path": where, "budget": header_limits.MEMORY_BUDGET, "limits": asdict(self._limits)}
        timer = Timer(self._limits.wall_seconds + size / FILE_BYTES_PER_SECOND, helper.kill)
        timer.daemon = True
        timer.start()
        try:
            stdin, stdout = _pipe(helper.stdin), _pipe(helper.stdout)
            stdin.write(json.dumps(asked).encode() + b"\n")
            stdin.flush()
            answer = json.loads(stdout.readline())
            if "fault" not in answer:
                return Contents(answer["about"], {name: _received(stdout, *how) for name, *how in answer["arrays"]})
        finally:
            timer.cancel()
        place, reason, step = answer["fault"]
        raise ScanweaveError(path if place == where else place, reason, step)

    def _end(self, helper: subprocess.Popen[bytes]) -> None:
        helper.kill()
        for pipe in (helper.stdin, helper.stdout):
            with suppress(OSError):  # what was not yet sent
                _pipe(pipe).close()
        helper.wait()
        self._helper = None


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("the helper was started without pipes")
    return pipe


def _received(stdout: IO[bytes], kind: str, shape: list[int]) -> NDArray[Any]:
    """Return an array whose bytes come next."""
    array = np.empty(shape, np.dtype(kind))
    waiting = array.reshape(-1).view(np.uint8).data
    while waiting:
        count = stdout.readinto(waiting)  # type: ignore[attr-defined]  # pipes of bytes have it
        if not count:
            raise EOFError("the helper ended within an array")
        waiting = waiting[count:]
    return array


def main() -> None:
    """Answer for one file after the other, as the helper, until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    read: Read = resolve(sys.argv[1])
    _keep_limits()
    answers.write(_READY)
    answers.flush()
    for line in sys.stdin.buffer:
        _serve(json.loads(line), read, answers)


def _serve(asked: dict[str, Any], read: Read, answers: IO[bytes]) -> None:
    limits = Limits(**asked["limits"])

    def allow(size: int) -> None:
        seconds = limits.processor_seconds + size / READ_BYTES_PER_SECOND
        _limit(seconds, limits.spare_bytes + COPIES * size)

    allow(0)
    arrays: list[NDArray[Any]] = []
    answer: dict[str, Any]
    try:
        about, named = read(Path(asked["path"]), asked["budget"], allow)
        arrays = [np.ascontiguousarray(array) for array in named.values()]
        told = [[name, array.dtype.str, array.shape] for name, array in zip(named, arrays, strict=True)]
        answer = {"about": about, "arrays": told}
    except ScanweaveError as error:
        answer = {"fault": [error.where, error.reason, error.next_step]}
    answers.write(json.dumps(answer).encode() + b"\n")
    for array in arrays:
        answers.write(array.reshape(-1).view(np.uint8).data)
    answers.flush()


def _keep_limits() -> None:
    """Let no limit be raised above what it is now, and leave no image of the memory of a helper that breaks down."""
    if sys.platform != "win32":
        import resource

        for kind in (resource.RLIMIT_CPU, resource.RLIMIT_AS):
            soft, _ = resource.getrlimit(kind)
            resource.setrlimit(kind, (soft, soft))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit(seconds: float, size: int) -> None:
    """Let this process compute so many seconds more and hold so many bytes more at most.

    Windows knows no such limits, and macOS keeps none of memory.
    """
    if sys.platform != "win32":
        import resource

        bounds = {resource.RLIMIT_CPU: math.ceil(time.process_time() + seconds)}
        if sys.platform == "linux":
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            bounds[resource.RLIMIT_AS] = pages * resource.getpagesize() + size
        for kind, bound in bounds.items():
            _, most = resource.getrlimit(kind)
            resource.setrlimit(kind, (bound if most == resource.RLIM_INFINITY else min(bound, most), most))


if __name__ == "__main__":
    main()
