"""Training samples: measured images, differences of two, and those that the objective turns into residuals."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from scanweave.errors import ScanweaveError
from scanweave.framework.network_task import draw_study
from scanweave.systems.acid.config import SamplingSettings
from scanweave.systems.acid.measurement_pairs import Pairs


class PairSamples(Dataset[dict[str, Any]]):
    """An endless list of samples; number k is a pure function of the seed and k.

    A sample: `measurement` `(C, …)`, `image` `(C, H, W)`, `residual` (whether the network's own error is to be learnt
    from it), `case`.

    Args:
        pairs: What was measured.
        settings: What is drawn.
        seed: Of all draws.
    """

    def __init__(self, pairs: Pairs, settings: SamplingSettings, seed: int) -> None:
        if settings.differences + settings.residuals > 1:
            reason = f"differences and residuals are {settings.differences + settings.residuals:g} of the samples"
            raise ScanweaveError("sampling", reason, "Let them be 1 at most")
        self.pairs, self.settings, self.seed = pairs, settings, seed

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Sample number `index`."""
        number, rng = draw_study(range(len(self.pairs)), self.seed, index)
        measurement, image = self.pairs.measurement[number], self.pairs.truth[number]
        kind = rng.random()
        if kind < self.settings.differences and len(self.pairs) > 1:
            other = (number + 1 + int(rng.integers(len(self.pairs) - 1))) % len(self.pairs)
            measurement, image = measurement - self.pairs.measurement[other], image - self.pairs.truth[other]
        residual = 0 <= kind - self.settings.differences < self.settings.residuals
        if self.settings.jitter:
            noise = torch.from_numpy(rng.standard_normal(tuple(measurement.shape), dtype=np.float32)).to(measurement)
            size = self.settings.jitter * rng.random() * measurement.norm() / noise.norm()
            measurement = measurement + float(size) * noise
        return {"measurement": measurement, "image": image, "residual": residual, "case": self.pairs.names[number]}

    def case(self, index: int) -> str:
        """Return the case of a sample, without reading it."""
        return self.pairs.names[draw_study(range(len(self.pairs)), self.seed, index)[0]]
