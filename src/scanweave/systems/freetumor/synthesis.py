"""Tumours of a fitted run in scans on their native grid: only a box around each goes through the networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.random import Generator as Chance
from numpy.typing import NDArray
from torch import Tensor

from scanweave.files import file_sha256
from scanweave.framework.tumour_synthesis import RuleMaker, TumourMaker, Verdict
from scanweave.studies.geometry import Geometry, resample
from scanweave.studies.preparing.preparation import Frame, prepare, to_native
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study
from scanweave.systems.freetumor.fitted import FittedFreeTumor
from scanweave.systems.freetumor.objective import judged_values, tumour_share
from scanweave.tumours.appearance import Around, Rules, to_mean
from scanweave.tumours.drawing import Box, DrawnTumour
from scanweave.tumours.fields import Array
from scanweave.tumours.insertion import Insertion


def tumour_maker(fitted: FittedFreeTumor, *, rules: bool = False) -> TumourMaker:
    """Return what makes tumours as a run does.

    Args:
        fitted: The run.
        rules: Whether rules make them, with the contrasts of its labelled tumours, and nothing judges them.
    """
    if rules:
        contrasts = fitted.looks.contrasts
        return RuleMaker(Rules(contrasts, mean=True) if contrasts else Rules())
    return GeneratorMaker(fitted)


class GeneratorMaker:
    """Make tumours by the generator of a run, judged as while it learnt.

    Args:
        fitted: The run.
    """

    def __init__(self, fitted: FittedFreeTumor) -> None:
        self.fitted = fitted
        _ = fitted.generator  # refused at once where there is none

    @property
    def about(self) -> Mapping[str, Any]:
        """The run and its weights."""
        run = self.fitted.run
        accepted = list(self.fitted.config.synthesis.accepted)
        weights = file_sha256(run.weights)[:12]
        return {"maker": "freetumor", "run": run.folder.name, "weights_sha256": weights, "accepted": accepted}

    def appearance(self, scan: Scan) -> GeneratorLook:
        """Return how the generator makes tumours look in a scan."""
        return GeneratorLook(self.fitted, scan)

    def judge(self, scan: Scan, insertion: Insertion) -> Verdict | None:
        """Return what the run's judge finds of a tumour; None: it learnt without a judge."""
        judge, settings = self.fitted.judge, self.fitted.config.synthesis
        if judge is None or not settings.judged:
            return None
        seen = Seen.of(self.fitted, scan, insertion.box)
        changed = seen.image + seen.brought(insertion.after.astype(np.float32) - insertion.before) * self.fitted.unit
        hard = seen.brought(insertion.tumour.mask.astype(np.float32)) > 0.5
        if not hard.any():  # smaller than a prepared voxel
            hard = seen.brought(insertion.tumour.mask.astype(np.float32)) > 0
        with torch.inference_mode():
            sure = tumour_share(judge(changed[None, None].to(self.fitted.device))).cpu()
        value = float(judged_values(sure, hard[None], settings)[0])
        low, high = settings.accepted
        return Verdict(value, low <= value <= high)


class GeneratorLook:
    """Let a generator say what a tumour changes in a scan.

    Args:
        fitted: The run.
        scan: The scan.
    """

    def __init__(self, fitted: FittedFreeTumor, scan: Scan) -> None:
        self.fitted, self.scan = fitted, scan

    def change(self, rng: Chance, tumour: DrawnTumour, around: Around, contrast: float | None) -> Array:
        """Return −a g T d in units of the scan; see `Appearance.change`."""
        fitted, gain = self.fitted, rng.uniform(*self.fitted.config.synthesis.gain)
        known, chance = fitted.looks.contrasts, rng.random()
        wanted = contrast if contrast is not None else known[int(chance * len(known))] if known else 0.0
        seen = Seen.of(fitted, self.scan, tumour.box)
        soft = seen.brought(tumour.soft)
        numbers = float(np.log(tumour.diameter_mm / 2)), wanted * fitted.unit
        told = [seen.image[None, None], soft[None, None], *(torch.tensor([one]).float() for one in numbers)]
        inputs = [one.to(fitted.device) for one in told]
        with torch.inference_mode():
            made = fitted.generator(*inputs)[0, 0].cpu().numpy()
        largest = fitted.reach / fitted.unit
        done = -largest * gain * tumour.texture * seen.back(made)
        return np.asarray(done if contrast is None else to_mean(done, tumour, contrast * around.unit), np.float32)


@dataclass(frozen=True, eq=False)
class Seen:
    """Show a box of a scan as a network sees it.

    Attributes:
        image: The box and what lies around it, as prepared `(X, Y, Z)`, of the size of a patch if the scan is so large.
        frame: How it lies in the native region.
        region: Which voxels of the scan these are.
        box: The box, in the region.
        native: Geometry of the region.
        fitted: The run.
    """

    image: Tensor
    frame: Frame
    region: Box
    box: Box
    native: Geometry
    fitted: FittedFreeTumor

    @classmethod
    def of(cls, fitted: FittedFreeTumor, scan: Scan, box: Box) -> Seen:
        """Prepare the region around a box of a scan."""
        region = _region(fitted, scan.geometry, box)
        native = scan.geometry.crop([side.start for side in region], [side.stop for side in region])
        part = Scan.of(np.asarray(scan.data)[region], native.affine, space=native.space)
        prepared = prepare(Study("part", "part", scans={fitted.scan: part}), fitted.plan)
        image = np.nan_to_num(prepared.volumes[fitted.scan])
        x, y, z = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, region, strict=True))
        return cls(torch.from_numpy(image), prepared.frame, region, (x, y, z), native, fitted)

    def brought(self, values: NDArray[Any]) -> Tensor:
        """Return values in the box, on the prepared grid; 0 around."""
        whole = np.zeros(self.native.shape, np.float32)
        whole[self.box] = values
        found = resample(whole, self.native, self.frame.grid, outside=0)
        return torch.from_numpy(np.ascontiguousarray(found, np.float32))

    def back(self, values: NDArray[np.float32]) -> Array:
        """Return values on the prepared grid in the voxels of the box."""
        full = np.zeros(self.frame.working.shape, np.float32)
        full[self.frame.box] = values
        return np.asarray(to_native(full, self.frame, self.fitted.plan)[self.box], np.float32)


def _region(fitted: FittedFreeTumor, geometry: Geometry, box: Box) -> Box:
    """Return the voxels around a box that make a patch of the run, as far as the scan goes."""
    patch, steps = fitted.segmenter.plan.patch, fitted.plan.spacing or geometry.oriented("RAS").spacing
    axes = geometry.oriented(fitted.plan.settings.orientation)
    wide = _native_extent(geometry, axes, [size * step for size, step in zip(patch, steps, strict=True)])
    found = []
    for side, size, reach, step in zip(box, geometry.shape, wide, geometry.spacing, strict=True):
        count = max(side.stop - side.start, int(np.ceil(reach / step)))
        middle = (side.start + side.stop) // 2
        low = min(max(0, middle - count // 2), max(0, size - count))
        found.append(slice(min(low, side.start), max(min(size, low + count), side.stop)))
    x, y, z = found
    return x, y, z


def _native_extent(geometry: Geometry, oriented: Geometry, extent: Sequence[float]) -> list[float]:
    """Return an extent [mm] along the axes of a plan as one along those of the file."""
    turn = np.abs(np.linalg.inv(oriented.affine[:3, :3]) @ geometry.affine[:3, :3])
    return [float(extent[int(np.argmax(turn[:, axis]))]) for axis in range(3)]
