"""Plan of a run from its training studies: its question, its modalities, and how its network sees each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, PositiveInt

from scanweave.engine.saved_encoder import SavedEncoder
from scanweave.errors import ScanweaveError
from scanweave.framework.classification.answer_plan import AnswerPlan
from scanweave.framework.table_columns import MOST_DEVIATIONS, Columns, Scaler
from scanweave.studies.preparing.series_frames import SeriesFrames
from scanweave.systems.mome.config import InputSettings
from scanweave.wording import count

FILE = "question.json"
TABLE = "table"
"""Name of the modality that the clinical table is."""
MUCH_COARSER = 2.0
"""Spacing over the finest from which volumes are not turned out of their slices."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ImagePlan(_Frozen):
    """One image modality.

    Attributes:
        name: Of the scan.
        size: Input of the network along (Z,) Y, X [voxels].
        thin: Axis of a prepared film that is one voxel long; None for volumes.
        frames: Usual number of frames where the scan is a series; None for an image.
        in_plane: Whether it is only turned in its slices.
        encoder: That of a pre-training run, which makes its tokens; None: a stem of its own.
    """

    name: str
    size: tuple[PositiveInt, ...]
    thin: int | None
    frames: PositiveInt | None
    in_plane: bool
    encoder: SavedEncoder | None = None

    @property
    def axes(self) -> list[int]:
        """The axes of a prepared volume in the order of the network's: (Z,) Y, X, without that of one voxel."""
        return [axis for axis in (2, 1, 0) if axis != self.thin]


class VariablePlan(_Frozen):
    """One variable of the clinical table.

    Attributes:
        name: Of the column.
        categories: Known ones, in the order of their codes; None for numbers.
        centre: Of numbers, what becomes 0.
        spread: Of numbers, what becomes 1.
    """

    name: str
    categories: tuple[str, ...] | None
    centre: float
    spread: float


class MomePlan(AnswerPlan):
    """The question and the modalities of a run; saved as `question.json`. See `AnswerPlan`.

    Attributes:
        images: Image modalities, in order.
        variables: Variables of the table; none: the table is no modality.
        frames_as: What the frames of a series are to the network: `channels` or `time`.
    """

    images: tuple[ImagePlan, ...]
    variables: tuple[VariablePlan, ...]
    frames_as: Literal["channels", "time"]

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of all modalities, the table last."""
        return (*(image.name for image in self.images), *((TABLE,) if self.variables else ()))

    @property
    def series(self) -> tuple[str, ...]:
        """Names of the modalities that are series."""
        return tuple(image.name for image in self.images if image.frames is not None)

    @property
    def sources(self) -> tuple[str, ...]:
        """Columns of the manifest that it is told from."""
        names = [f"scan:{image.name}" for image in self.images]
        return (*names, *(f"table:{variable.name}" for variable in self.variables))

    def image(self, name: str) -> ImagePlan:
        """Return the image modality of a name."""
        return next(image for image in self.images if image.name == name)


def plan_image(
    name: str,
    shapes: Sequence[Sequence[int]],
    spacing: Sequence[float],
    frames: SeriesFrames | None,
    settings: InputSettings,
) -> tuple[ImagePlan, str]:
    """Plan one image modality, and say why.

    Args:
        name: Of the scan.
        shapes: Voxels `(X, Y, Z)` of the prepared training scans.
        spacing: Of their voxels [mm].
        frames: Typical frames, where it is a series.
        settings: What the user decided.

    Raises:
        ScanweaveError: Films and volumes are mixed, or a size has another number of axes than the scan.
    """
    every = np.array(shapes)
    films = (every == 1).sum(axis=1) == 1
    if films.any() and not films.all():
        reason = f"{films.sum()} of {len(films)} training scans are films, the others volumes"
        raise ScanweaveError(f"scan {name}", reason, "Give them two names, or leave it out by --scans")
    median = np.median(every, axis=0).astype(int)
    thin = int(np.argmin(median)) if films.all() else None
    axes = [axis for axis in (2, 1, 0) if axis != thin]
    size, why = _size(every[:, axes], settings, thin is None)
    apart = np.array(spacing)[axes] * (median[axes] / size if settings.fit == "resize" else 1)
    in_plane = thin is None and bool(apart[0] > MUCH_COARSER * apart[1:].min())
    shown = "×".join(map(str, size))
    usual = None if frames is None else frames.frames
    series = "" if usual is None else f", a series of usually {usual} frames"
    what = f"modality: {name}, {'film' if thin is not None else 'volume'} of {shown}{series}; {why}"
    return ImagePlan(name=name, size=size, thin=thin, frames=usual, in_plane=in_plane), what


def _size(shapes: np.ndarray, settings: InputSettings, volume: bool) -> tuple[tuple[int, ...], str]:
    """Choose the input for images of these sizes, and say why."""
    dimensions = shapes.shape[1]
    if settings.size is not None:
        if len(settings.size) != dimensions:
            reason = f"has {len(settings.size)} axes for scans of {dimensions}"
            raise ScanweaveError("input.size", reason, f"Give {dimensions} numbers, or leave it out")
        return settings.size, "as asked"
    pasted = settings.fit == "paste"
    wanted = shapes.max(axis=0) if pasted else np.median(shapes, axis=0)
    most = settings.most_voxels if volume else settings.most_pixels
    factor = min(1.0, (most / float(np.prod(wanted))) ** (1 / dimensions))
    size = tuple(max(1, int(edge)) for edge in np.rint(wanted * factor))
    seen = f"{'the largest' if pasted else 'the median'} has {'×'.join(str(int(edge)) for edge in wanted)}"
    return size, seen if factor == 1 else f"{seen}, shrunk to at most {most:,} voxels"


def with_encoder(images: Sequence[ImagePlan], encoder: SavedEncoder) -> tuple[ImagePlan, ...]:
    """Return image modalities of which those of the encoder's dimensions have their tokens from it.

    Raises:
        ScanweaveError: None has.
    """
    alike = [len(image.size) == encoder.dimensions for image in images]
    if not any(alike):
        reason = f"its encoder is for images of {encoder.dimensions} dimensions, and there are none"
        raise ScanweaveError("start.source", reason, "Begin from another run")
    return tuple(
        image.model_copy(update={"encoder": encoder}) if own else image
        for image, own in zip(images, alike, strict=True)
    )


def plan_variables(training: pd.DataFrame, names: Sequence[str]) -> tuple[tuple[VariablePlan, ...], tuple[str, ...]]:
    """Plan the variables of the table, learnt on training studies, and say why; those of one value are left out.

    Args:
        training: Their values, a column a variable, as numbers or text.
        names: Variables to read.
    """
    varied = [name for name in names if training[name].dropna().nunique() > 1]
    idle = [name for name in names if name not in varied]
    reasons = [f"variables left out, of one value or none: {', '.join(idle)}"] if idle else []
    if not varied:
        return (), tuple(reasons)
    table = training[varied]
    columns = Columns.of(table, "auto")
    matrix = columns.matrix(table)
    scaler = Scaler.of(matrix, columns, np.ones(len(matrix)), "standard")
    made = tuple(
        VariablePlan(name=name, categories=known, centre=float(centre), spread=float(spread))
        for name, known, centre, spread in zip(
            columns.names, columns.categories, scaler.centre, scaler.spread, strict=True
        )
    )
    numbers = sum(variable.categories is None for variable in made)
    reasons += [f"modality: {TABLE}, {count(numbers, 'variable')} of numbers and {len(made) - numbers} of categories"]
    return made, tuple(reasons)


def variable_values(table: Mapping[str, object], variables: Sequence[VariablePlan]) -> np.ndarray:
    """Return the values of a study's variables `(V,)`: scaled numbers, codes of categories; NaN where none is known.

    Args:
        table: Its clinical variables.
        variables: Those of the run.

    Raises:
        TableError: Text or a date stands where a number was learnt.
    """
    if not variables:
        return np.zeros(0, np.float32)
    row = pd.DataFrame([{variable.name: table.get(variable.name) for variable in variables}])
    columns = Columns(tuple(v.name for v in variables), tuple(v.categories for v in variables))
    values = columns.matrix(row)[0]
    scaled = [
        value
        if variable.categories is not None
        else np.clip((value - variable.centre) / variable.spread, -MOST_DEVIATIONS, MOST_DEVIATIONS)
        for value, variable in zip(values, variables, strict=True)
    ]
    return np.array(scaled, dtype=np.float32)
