"""The encoder of a pre-training run, as other systems make it: `encoder.json` in its folder."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from scanweave.engine.saved_plan import SavedPlan
from scanweave.engine.settings import StartSettings
from scanweave.engine.weight_sources import find_run, is_builtin, origin_of
from scanweave.errors import ScanweaveError
from scanweave.files import is_folder, is_plain
from scanweave.nets.encoder_names import is_encoder

FILE = "encoder.json"


class SavedEncoder(SavedPlan):
    """An encoder as `nets.encoders.make_encoder` makes it; its weights are the run's, under `encoder.`.

    Attributes:
        name: By which it is made.
        options: What it is made with.
        dimensions: Of its images.
        axes: Order of their axes.
    """

    name: str
    options: dict[str, Any]
    dimensions: Literal[2, 3]
    axes: Literal["XYZ", "ZYX", "YX"]


def chosen_encoder(start: StartSettings, asked: str, usual: Collection[str]) -> SavedEncoder | None:
    """Return the encoder of the run that a fit begins from, else that of the run that a setting names; None: no run.

    Args:
        start: Where the weights come from.
        asked: A run folder, or the name of an encoder.
        usual: Names that a preset sets, which no user need have asked for.

    Raises:
        ScanweaveError: The run is not there, damaged, or has no such encoder although it is asked for; or an encoder is
            asked for beside a run that brings its own.
    """
    named = None if is_encoder(asked) else _of_run(asked)
    if start.begins:
        origin = origin_of(start.source)
        if origin is not None and is_plain(origin.folder / FILE):
            own = SavedEncoder.load(origin.folder / FILE)
            if asked not in usual and named != own:
                reason = f"{asked} has no effect: the run that the fit begins from brings its own encoder, {own.name}"
                raise ScanweaveError("network.encoder", reason, "Leave it out")
            return own
    return named


def _of_run(asked: str) -> SavedEncoder | None:
    """Return the encoder of a run folder; None where there is no such folder."""
    if not (is_builtin(asked) or is_folder(Path(asked))):
        return None
    folder = find_run(asked).folder
    if not is_plain(folder / FILE):
        reason = "has no pre-trained encoder"
        raise ScanweaveError(folder, reason, "Name a pre-training run, such as one of mim, or an encoder by its name")
    return SavedEncoder.load(folder / FILE)
