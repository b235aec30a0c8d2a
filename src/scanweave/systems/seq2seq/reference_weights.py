"""The authors' published weights (GitHub fiy2W/mri_seq2seq, MIT), read safely and renamed to our network's layers."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_write, write_json
from scanweave.systems.seq2seq.config import NetworkSettings
from scanweave.systems.seq2seq.network import Seq2SeqNetwork

MEMORY_LIMIT = 16 * 2**30
SECONDS_LIMIT = 300
MAX_BYTES = 4 * 2**30

BRATS_ORDER = ("t1", "t1c", "t2", "flair")
"""The sequence that each target code of the authors' BraTS weights stands for."""


def renamed(reference: Mapping[str, Tensor], settings: NetworkSettings) -> dict[str, Tensor]:
    """Our names for the layers of the authors' `Generator`.

    Raises:
        ScanweaveError: A layer is absent, surplus, or of another shape.
    """
    ours = Seq2SeqNetwork(settings).state_dict()
    result = {}
    for name, tensor in ours.items():
        theirs = reference_name(name)
        if theirs not in reference:
            raise ScanweaveError(
                theirs, "this layer is absent from the weights", "Give weights of the paper's Generator"
            )
        if reference[theirs].shape != tensor.shape:
            raise ScanweaveError(
                theirs, f"has the shape {tuple(reference[theirs].shape)}, not {tuple(tensor.shape)}",
                "Give weights of the paper's Generator, or the sizes that they were trained with",
            )  # fmt: skip
        result[name] = reference[theirs].float().contiguous()
    surplus = set(reference) - {reference_name(name) for name in ours}
    if surplus:
        raise ScanweaveError(
            min(surplus), "not a layer of the paper's Generator", "Give weights of the paper's Generator"
        )
    return result


def reference_name(name: str) -> str:
    """The authors' name of one of our parameters."""
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
    place = {"blocks": "res.{}.conv{}", "up": "convs.{0}", "last": "conv_last"}[rest[0]]
    number = int(rest[1]) if rest[0] != "last" else 0
    block = place.format(number // 2, number % 2 + 1) if rest[0] == "blocks" else place.format(number)
    part = {"bank": "param", "bias_bank": "b"}.get(leaf) or f"{ {'mix': 'fc', 'bias_mix': 'fc_bias'}[rest[-2]] }.{leaf}"
    return f"decoder.{block}.{part}"


def import_weights(source: str | Path, out: str | Path, settings: NetworkSettings | None = None) -> Path:
    """Convert the authors' `.pth` to `weights.safetensors` and `config.json` in the folder `out`.

    The file is unpickled by torch's restricted loader, in a process of its own with limits on memory, time and files.

    Raises:
        ScanweaveError: The file is not what it should be, or `out` exists.
    """
    source, out, settings = Path(source), Path(out), settings or NetworkSettings()
    if not source.is_file():
        raise ScanweaveError(source, "no such file", "Give the downloaded .pth file")
    if source.stat().st_size > MAX_BYTES:
        raise ScanweaveError(source, f"larger than {MAX_BYTES // 2**30} GiB", "Give the weights of one network")
    if (out / "weights.safetensors").exists():
        raise ScanweaveError(out, "holds weights already", "Choose another --out")
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.safetensors"
        _unpickle(source, plain)
        tensors = renamed(load_file(plain), settings)
    with atomic_write(out / "weights.safetensors") as temporary:
        save_file(tensors, temporary, metadata={"source": "fiy2W/mri_seq2seq, MIT"})
    write_json(out / "config.json", {"network": settings.model_dump(mode="json"), "sequences": BRATS_ORDER})
    return out


def _unpickle(source: Path, plain: Path) -> None:
    command = [sys.executable, "-I", "-c", _CHILD, str(source), str(plain)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_LIMIT, preexec_fn=_limit)
    except subprocess.TimeoutExpired as error:
        raise ScanweaveError(
            source, f"took longer than {SECONDS_LIMIT} s to read", "It is not a weights file"
        ) from error
    if done.returncode:
        words = done.stderr.strip().splitlines()
        why = words[-1][:200] if words else f"the reader ended with {done.returncode}"
        raise ScanweaveError(source, f"not a plain file of weights ({why})", "Give a state_dict saved by torch.save")


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS_LIMIT, SECONDS_LIMIT))
    resource.setrlimit(resource.RLIMIT_NPROC, (64, 64))


_CHILD = """
import sys, torch
from safetensors.torch import save_file
state = torch.load(sys.argv[1], map_location="cpu", weights_only=True)
state = state.get("state_dict", state)
tensors = {str(k).removeprefix("module."): v.contiguous() for k, v in state.items() if isinstance(v, torch.Tensor)}
save_file(tensors, sys.argv[2])
"""
