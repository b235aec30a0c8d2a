"""A segmentation from an exported file. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from scanweave.framework.exporting.exported_run import ExportedRun
from scanweave.framework.exporting.model_file import About, ModelFile
from scanweave.framework.exporting.windows import blended, mirrored
from scanweave.framework.predicting import known_scans
from scanweave.framework.segmentation.native_masks import native_masks
from scanweave.framework.segmentation.target import FILE, SegmentationTarget
from scanweave.studies.formats.header_limits import MAX_VOXELS_PER_AXIS
from scanweave.studies.preparing.plan import Plan
from scanweave.studies.preparing.preparation import prepare
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study

PRESENT, WINDOWS, SHARES = "present", "windows", "probabilities"
PREPARATION = "plan.json"
Image = NDArray[np.float32]


class WindowSettings(BaseModel):
    """Say how windows cover a study.

    Attributes:
        window: Voxels of a window; two numbers: slices are looked at one by one.
        overlap: Share of a window that the next one covers too.
        batch: Windows at once.
        mirrored: Axes along which a study is also looked at mirrored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: tuple[Annotated[int, Field(ge=1, le=MAX_VOXELS_PER_AXIS)], ...] = Field(min_length=2, max_length=3)
    overlap: float = Field(ge=0, lt=1)
    batch: int = Field(ge=1)
    mirrored: tuple[Annotated[int, Field(ge=0, le=2)], ...] = ()


def channels_of(volumes: Mapping[str, Image], scans: Sequence[str]) -> tuple[Image, NDArray[np.bool_]]:
    """Return prepared scans as channels `(C, X, Y, Z)`, 0 where one is absent, and which are there `(C,)`."""
    there = np.array([name in volumes for name in scans])
    image = np.zeros((len(scans), *next(iter(volumes.values())).shape), np.float32)
    for number, name in enumerate(scans):
        if there[number]:
            image[number] = np.nan_to_num(volumes[name])
    return image, there


class ExportedSegmentation(ExportedRun):
    """A segmentation in a file; see `ExportedRun`.

    Attributes:
        target: The structures that it outlines.
    """

    plan: Plan

    def __init__(self, file: ModelFile, about: About) -> None:
        super().__init__(file, about)
        self.plan = file.plan(PREPARATION, Plan.model_validate)
        self.target = file.plan(FILE, SegmentationTarget.model_validate)
        self.settings = file.settings(WindowSettings)
        self.scans = self.plan.scans
        self.structures = self.target.numbers_of_masks

    def predict(self, study: Study, targets: Sequence[str] | None = None) -> Study:
        """Segment a study; see `FittedSegmentation.predict`."""
        wanted = self.wanted(targets)
        if not wanted:
            return study.answer()
        prepared = prepare(known_scans(study, self.scans), self.plan)
        shares, native = self.shares(dict(prepared.volumes)), prepared.frame.native
        made = native_masks(shares, self.target, wanted, prepared.frame, self.plan)
        found = {name: Scan.of(data, native.affine, synthetic=True, space=native.space) for name, data in made.items()}
        return study.answer(masks=found)

    def shares(self, volumes: Mapping[str, Image]) -> Image:
        """Return the probability of each output `(K, X, Y, Z)` of prepared scans."""
        image, there = channels_of(volumes, self.scans)
        if len(self.settings.window) == 3:
            return self._whole(image, there)
        slices = [self._whole(image[..., place], there) for place in range(image.shape[-1])]
        return np.stack(slices, axis=-1)

    def _whole(self, image: Image, there: NDArray[np.bool_]) -> Image:
        about = self.settings
        compute: Callable[[Image], Image] = lambda windows: self.file.computed(  # noqa: E731
            {PRESENT: there, WINDOWS: windows}
        )[0]
        return mirrored(
            image, about.mirrored, lambda one: blended(one, about.window, about.overlap, about.batch, compute)
        )
