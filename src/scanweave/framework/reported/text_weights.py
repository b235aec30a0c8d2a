"""Weights of a BERT of the user's own, taken over into the network that reads reports."""

from __future__ import annotations

from pathlib import Path

from scanweave.engine.start_weights import load_start_weights
from scanweave.errors import ScanweaveError
from scanweave.files import is_plain
from scanweave.nets.text_encoder import TextEncoder

WEIGHTS = "model.safetensors"
"""File of weights in a folder that transformers saved."""


def fill_text_encoder(encoder: TextEncoder, folder: Path) -> str:
    """Fill a text encoder with the weights of a folder that transformers saved, and return a line on them.

    Args:
        encoder: What is filled, in place.
        folder: Holds `model.safetensors`; layers that the encoder has not are left out.

    Raises:
        ScanweaveError: It holds no such file, it is damaged, or lacks weights that are needed.
    """
    path = folder / WEIGHTS
    if not is_plain(path):
        raise ScanweaveError(folder, f"holds no {WEIGHTS}", "Save the BERT as safetensors by transformers")
    audit = load_start_weights(encoder.bert, path, rename={"bert.": ""})
    if lacking := [*audit.absent, *audit.other_shape]:
        raise ScanweaveError(path, f"lacks {len(lacking)} weights, such as {lacking[0]}", "Name another folder")
    return (
        f"text encoder: {audit.matched_parameters / 1e6:.3g} million parameters of {path} (sha256 {audit.sha256[:12]})"
    )
