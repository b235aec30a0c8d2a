"""Weights out of a pickle that may hold anything: read in a process with limits, by torch's restricted loader."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from scanweave.errors import ScanweaveError

MAX_BYTES = 4 * 2**30
"""Largest file that is read."""
SECONDS_LIMIT = 300
KEPT_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "TMP", "TEMP")
"""All that the process which reads the file gets to see of ours."""


def unpickled_weights(source: Path, advice: str) -> dict[str, Tensor]:
    """Return the tensors of a `.pth` file by name.

    The file is unpickled by torch's restricted loader, in a process of its own with limits on memory, time, files and
    processes.

    Args:
        source: A state_dict, by itself or as `state_dict`, `model` or `module` among other things.
        advice: Next step where it is none.

    Raises:
        ScanweaveError: There is no such file, it is too large, or no plain file of weights.
    """
    if not source.is_file():
        raise ScanweaveError(source, "no such file", "Give the downloaded .pth file")
    if source.stat().st_size > MAX_BYTES:
        raise ScanweaveError(source, f"larger than {MAX_BYTES // 2**30} GiB", "Give the weights of one network")
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.safetensors"
        _unpickle(source, plain, advice)
        try:
            return dict(load_file(plain))
        except (OSError, SafetensorError) as error:
            raise ScanweaveError(source, "its weights could not be converted", advice) from error


def checked_weight(weights: Mapping[str, Tensor], name: str, shape: tuple[int, ...], advice: str) -> Tensor:
    """Return a tensor of a name as float32.

    Args:
        weights: Tensors by name.
        name: Of the one wanted.
        shape: That it must have.
        advice: Next step where it is another.

    Raises:
        ScanweaveError: It is absent, of another shape, or not of finite numbers.
    """
    if name not in weights:
        raise ScanweaveError(name, "this layer is absent from the weights", advice)
    tensor = weights[name]
    if tuple(tensor.shape) != shape:
        raise ScanweaveError(name, f"has the shape {tuple(tensor.shape)}, not {shape}", advice)
    if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
        raise ScanweaveError(name, "holds something else than finite numbers", advice)
    return tensor.float().contiguous()


def _unpickle(source: Path, plain: Path, advice: str) -> None:
    command = [sys.executable, "-I", "-c", _CHILD, str(source.resolve()), str(plain), str(MAX_BYTES)]
    kept = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
    single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS_LIMIT,
            check=False,
            stdin=subprocess.DEVNULL,
            env=kept | single,
            cwd=plain.parent,
        )
    except subprocess.TimeoutExpired as error:
        raise ScanweaveError(source, f"took longer than {SECONDS_LIMIT} s to read", advice) from error
    if done.returncode:
        raise ScanweaveError(source, f"not a plain file of weights ({_why(done.stderr, done.returncode)})", advice)


def _why(told: str, status: int) -> str:
    """Say what a traceback comes to, in a few words."""
    wanted = re.search(r"GLOBAL ([\w.]+)", told)
    if wanted:
        return f"it asks to run {wanted[1]}, which no weights need"
    faults = re.findall(r"^[\w.]*(?:Error|Exception|Refused): ?(.*)$", told, flags=re.MULTILINE)
    return (faults[0] if faults and faults[0] else f"the reader ended with status {status}")[:160]


# The limits come after the imports, which need more than reading does; NPROC 0 denies any new process or thread.
_CHILD = """
import os, resource, sys, torch
from safetensors.torch import save_file

class Refused(Exception):
    pass

source, plain, largest = sys.argv[1], sys.argv[2], int(sys.argv[3])
limits = {
    resource.RLIMIT_DATA: 2 * 2**30 + 3 * os.path.getsize(source),
    resource.RLIMIT_FSIZE: 2 * largest,
    resource.RLIMIT_CPU: 300,
    resource.RLIMIT_NPROC: 0,
    resource.RLIMIT_CORE: 0,
}
for name, value in limits.items():
    resource.setrlimit(name, (value, value))
state = torch.load(source, map_location="cpu", weights_only=True)
for name in ("state_dict", "model", "module"):
    if isinstance(state, dict) and isinstance(state.get(name), dict):
        state = state[name]
if not isinstance(state, dict):
    raise Refused(f"it holds a {type(state).__name__}, not named layers")
tensors = {str(k).removeprefix("module."): v.contiguous().clone() for k, v in state.items() if torch.is_tensor(v)}
if not tensors:
    raise Refused("it holds no layers")
save_file(tensors, plain)
"""
