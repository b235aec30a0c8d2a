"""Training samples: patches of a slice and of its truth, mirrored and turned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from scanweave.errors import ScanweaveError
from scanweave.framework.network_task import draw_study
from scanweave.systems.ultra.config import SamplingSettings
from scanweave.systems.ultra.images import SpectralImages


class PatchSamples:
    """Sample k is a patch of a study, each study once before any comes again; see `scanweave.engine.task.Samples`.

    Args:
        studies: What to draw from, with truth.
        settings: Size of patches, and whether they are mirrored and turned.
        seed: What the draws depend on, with their number.
        whole: Whether whole slices are given as they are, with their line integrals.

    Raises:
        ScanweaveError: A slice is smaller than a patch, or whole slices are asked for that differ in geometry.
    """

    def __init__(
        self, studies: Sequence[SpectralImages], settings: SamplingSettings, seed: int, whole: bool = False
    ) -> None:
        self.studies, self.settings, self.seed, self.whole = studies, settings, seed, whole
        small = next(
            (s for s in studies if s.fbp.shape[1] < settings.crop[0] or s.fbp.shape[2] < settings.crop[1]), None
        )
        if small is not None and not whole:
            rows, columns = small.fbp.shape[1:]
            raise ScanweaveError(
                "sampling.crop",
                f"{settings.crop} is larger than {small.id}, {rows} × {columns} pixels",
                "Choose a smaller crop",
            )
        if whole and len({study.geometry for study in studies}) > 1:
            raise ScanweaveError("architecture", "learned primal–dual needs one geometry for all", "Choose another")

    def __getitem__(self, index: int) -> dict[str, Any]:
        study, rng = draw_study(self.studies, self.seed, index)
        pair = np.stack([study.fbp, np.asarray(study.truth)])
        sample: dict[str, Any] = {"case": study.id}
        if self.whole:
            sample["sinogram"] = torch.from_numpy(np.array(study.lines))
        else:
            pair = self._patch(pair, rng)
        image, target = (torch.from_numpy(np.ascontiguousarray(part)) for part in pair)
        return sample | {"image": image, "target": target}

    def case(self, index: int) -> str:
        """Return the study of a sample, without reading it."""
        return draw_study(self.studies, self.seed, index)[0].id

    def _patch(self, pair: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        rows, columns = self.settings.crop
        top = int(rng.integers(pair.shape[-2] - rows, endpoint=True))
        left = int(rng.integers(pair.shape[-1] - columns, endpoint=True))
        patch = pair[..., top : top + rows, left : left + columns]
        if not self.settings.augment:
            return patch
        turns = int(rng.integers(4)) if rows == columns else 2 * int(rng.integers(2))
        patch = np.rot90(patch, turns, axes=(-2, -1))
        return patch[..., ::-1] if rng.random() < 0.5 else patch
