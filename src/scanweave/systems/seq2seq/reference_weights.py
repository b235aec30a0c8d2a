"""The authors' published weights (GitHub fiy2W/mri_seq2seq, MIT), read safely and renamed to our network's layers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from scanweave.engine.checkpoint import write_weights
from scanweave.engine.run import Run
from scanweave.engine.unpickled_weights import checked_weight, unpickled_weights
from scanweave.errors import ScanweaveError
from scanweave.files import atomic_folder, file_sha256
from scanweave.studies.preparing.plan import IntensityRule, Plan
from scanweave.systems.seq2seq.config import PAPER, NetworkSettings
from scanweave.systems.seq2seq.network import Seq2SeqNetwork

BRATS_ORDER = ("t1", "t1c", "t2", "flair")
"""The sequence that each target code of the authors' BraTS weights stands for."""
BRATS_SPACING = (1.0, 1.0, 1.0)

ADVICE = "Give a state_dict of the paper's Generator, of the sizes asked for, saved by torch.save"


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
    return {name: checked_weight(reference, theirs, tuple(ours[name].shape), ADVICE) for name, theirs in names.items()}


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

    See `unpickled_weights` for how the file is read. `out` appears whole or not at all.

    Args:
        source: A state_dict of their `Generator`, for instance `seq2seq_brats_2d_missing.pth`.
        out: The folder to make.
        settings: Sizes of the network; None: those of the paper.

    Raises:
        ScanweaveError: The file is not what it should be, or `out` holds something.
    """
    source, out, settings = Path(source), Path(out), settings or NetworkSettings()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ScanweaveError(out, "exists already", "Choose another --out")
    tensors = _read(source, settings)
    with atomic_folder(out) as folder:
        _write_run(folder, tensors, settings, source)
    return out


def _read(source: Path, settings: NetworkSettings) -> dict[str, Tensor]:
    tensors = unpickled_weights(source, ADVICE)
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
