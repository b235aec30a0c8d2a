"""The authors' published weights (GitHub fiy2W/mri_seq2seq, MIT), read safely and renamed to our network's layers."""

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

from scanweave.engine.checkpoint import write_weights
from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.files import atomic_folder, file_sha256
from scanweave.studies.preparing.plan import IntensityRule, Plan
from scanweave.systems.seq2seq.config import PAPER, NetworkSettings
from scanweave.systems.seq2seq.network import Seq2SeqNetwork

MAX_BYTES = 4 * 2**30
"""Largest file that is read; the authors' are 0.6 GB."""
SECONDS_LIMIT = 300
KEPT_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "TMP", "TEMP")
"""All that the process which reads the file gets to see of ours."""

BRATS_ORDER = ("t1", "t1c", "t2", "flair")
"""The sequence that each target code of the authors' BraTS weights stands for."""
BRATS_SPACING = (1.0, 1.0, 1.0)

ADVICE = "Give a state_dict of the paper's Generator, saved by torch.save"


def renamed(reference: Mapping[str, Tensor], settings: NetworkSettings) -> dict[str, Tensor]:
    """Return the layers of the authors' `Generator` by our names.

    Raises:
        ScanweaveError: A layer is absent, surplus, of another shape, or not of finite numbers.
    """
    with torch.device("meta"):
        ours = Seq2SeqNetwork(settings).state_dict()
    names = {name: reference_name(name) for name in ours}
    surplus = set(reference) - set(names.values())
    if surplus:
        raise ScanweaveError(min(surplus), "not a layer of the paper's Generator", ADVICE)
    return {name: _checked(reference, theirs, tuple(ours[name].shape)) for name, theirs in names.items()}


def reference_name(name: str) -> str:
    """Return the authors' name of one of our parameters."""
    room, *rest = name.split(".")
    leaf = rest[-1]
    if room == "code":
        return f"style_fc.0.{leaf}"
    if room.endswith("_lstm"):
        return f"{room[:3]}_convlstm.cell_list.{rest[1]}.conv.{leaf}"
    if room == "encoder":
        if rest[0] == "down":
            return f"encoder.conv.{rest[1]}.0.{leaf}"
        return f"encoder.res.{rest[1]}.conv_block.{1 if rest[2] == 'first' else 5}.{leaf}"
    match rest:
        case ["blocks", number, order, *_]:
            block = f"res.{number}.conv{1 if order == 'first' else 2}"
        case ["up", number, *_]:
            block = f"convs.{number}"
        case _:
            block = "conv_last"
    part = {"bank": "param", "bias_bank": "b"}.get(leaf) or f"{ {'mix': 'fc', 'bias_mix': 'fc_bias'}[rest[-2]] }.{leaf}"
    return f"decoder.{block}.{part}"


def import_weights(source: str | Path, out: str | Path, settings: NetworkSettings | None = None) -> Path:
    """Convert the authors' `.pth` to a run folder that `scanweave predict` and the other verbs take.

    The file is unpickled by torch's restricted loader, in a process of its own with limits on memory, time, files and
    processes. `out` appears whole or not at all.

    Args:
        source: A state_dict of their `Generator`, for instance `seq2seq_brats_2d_missing.pth`.
        out: The folder to make.
        settings: Sizes of the network; None: those of the paper.

    Raises:
        ScanweaveError: The file is not what it should be, or `out` holds something.
    """
    source, out, settings = Path(source), Path(out), settings or NetworkSettings()
    if not source.is_file():
        raise ScanweaveError(source, "no such file", "Give the downloaded .pth file")
    if source.stat().st_size > MAX_BYTES:
        raise ScanweaveError(source, f"larger than {MAX_BYTES // 2**30} GiB", "Give the weights of one network")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ScanweaveError(out, "exists already", "Choose another --out")
    tensors = _read(source, settings)
    with atomic_folder(out) as folder:
        _write_run(folder, tensors, settings, source)
    return out


def _checked(reference: Mapping[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
    if name not in reference:
        raise ScanweaveError(name, "this layer is absent from the weights", ADVICE)
    tensor = reference[name]
    if tuple(tensor.shape) != shape:
        raise ScanweaveError(
            name,
            f"has the shape {tuple(tensor.shape)}, not {shape}",
            "Give weights of the paper's Generator, or the sizes that they were trained with",
        )
    if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
        raise ScanweaveError(name, "holds something else than finite numbers", ADVICE)
    return tensor.float().contiguous()


def _read(source: Path, settings: NetworkSettings) -> dict[str, Tensor]:
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.safetensors"
        _unpickle(source, plain)
        try:
            tensors = load_file(plain)
        except (OSError, SafetensorError) as error:
            raise ScanweaveError(source, "its weights could not be converted", ADVICE) from error
    try:
        return renamed(tensors, settings)
    except ScanweaveError as error:
        raise ScanweaveError(source, f"{error.where}: {error.reason}", error.next_step) from error


def _write_run(folder: Path, tensors: Mapping[str, Tensor], settings: NetworkSettings, source: Path) -> None:
    config = PAPER.model_copy(update={"network": settings, "sequences": BRATS_ORDER})
    digest = file_sha256(source)
    with Run.start(folder, "seq2seq", config.model_dump(mode="json")) as run:
        _plan().save(folder / "plan.json")
        write_weights(run.weights, tensors, {"weights": "imported", "source": "fiy2W/mri_seq2seq, MIT"})
        run.finish(
            weights="imported", source={"repository": "fiy2W/mri_seq2seq", "file": source.name, "sha256": digest}
        )
    (folder / ".lock").unlink(missing_ok=True)


def _plan() -> Plan:
    """Return the authors' preparation of BraTS; their files do not tell the scale of a sequence that a study lacks."""
    rule = IntensityRule(kind="magnitude", low=0.0, high=1.0)
    prepared = PAPER.preparation
    reasons = [
        f"orientation {prepared.orientation}: that of the BraTS files, whose slices the authors took along the third",
        "spacing (1, 1, 1) mm: that of BraTS",
        f"intensities: 0 to {prepared.headroom:g} × P{prepared.percentile:g} of the whole volume → [-1, 1]",
        "a sequence that a study lacks is made in relative units: 1 stands for its 99th percentile, which is not known",
    ]
    return Plan(settings=prepared, spacing=BRATS_SPACING, rules=dict.fromkeys(BRATS_ORDER, rule), reasons=reasons)


def _unpickle(source: Path, plain: Path) -> None:
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
        raise ScanweaveError(source, f"took longer than {SECONDS_LIMIT} s to read", ADVICE) from error
    if done.returncode:
        raise ScanweaveError(source, f"not a plain file of weights ({_why(done.stderr, done.returncode)})", ADVICE)


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
state = state.get("state_dict", state) if isinstance(state, dict) else state
if not isinstance(state, dict):
    raise Refused(f"it holds a {type(state).__name__}, not named layers")
tensors = {str(k).removeprefix("module."): v.contiguous().clone() for k, v in state.items() if torch.is_tensor(v)}
if not tensors:
    raise Refused("it holds no layers")
save_file(tensors, plain)
"""
