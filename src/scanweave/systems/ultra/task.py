"""The task that ULTRA hands to the engine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from scanweave.framework.network_task import NetworkTask, seeded_network
from scanweave.measures.image import decibels
from scanweave.systems.ultra.config import UltraConfig
from scanweave.systems.ultra.images import SpectralImages
from scanweave.systems.ultra.objective import UltraObjective
from scanweave.systems.ultra.plan import SpectralPlan
from scanweave.systems.ultra.reconstruction import Reconstruction
from scanweave.systems.ultra.samples import PatchSamples


class UltraTask(NetworkTask):
    """Network, objective, samples and validation of one fit; see `scanweave.engine.task.Task`.

    Args:
        config: All settings.
        plan: What is known of the scans.
        training: Training slices, with truth.
        validation: Validation slices, with truth; may be none.
    """

    def __init__(
        self,
        config: UltraConfig,
        plan: SpectralPlan,
        training: Sequence[SpectralImages],
        validation: Sequence[SpectralImages],
    ) -> None:
        seed = config.training.seed
        geometry = training[0].geometry
        self.network = seeded_network(config, lambda: Reconstruction(config.network, plan.offset, plan.scale, geometry))
        self.objective = UltraObjective(self.network, config.objective)
        self.samples = PatchSamples(training, config.sampling, seed, whole=self.network.needs_sinogram)
        self.plan = plan
        self.validation = list(validation)[: config.sampling.validation_studies]
        self.validates = bool(self.validation)

    def validate(self, network: nn.Module) -> dict[str, float] | None:
        """Mean PSNR [dB] over bins and validation slices, and that of the worst bin."""
        if not self.validation:
            return None
        device = next(network.parameters()).device
        values = []
        for images in self.validation:
            made = clean(network, images, device)
            error = np.mean((made - np.asarray(images.truth)) ** 2, axis=(1, 2), dtype=np.float64)
            values.append(decibels(error, self.plan.span))
        by_bin = np.mean(values, axis=0)
        return {"psnr": float(by_bin.mean()), "psnr_worst": float(by_bin.min())}


def clean(network: nn.Module, images: SpectralImages, device: torch.device) -> np.ndarray:
    """Return the network's image of each bin of a slice [1/mm], `(S, H, W)`."""
    with torch.inference_mode():
        made: Tensor = network(_batch(images.fbp, device), _batch(images.lines, device))
    return made[0].cpu().numpy()


def _batch(values: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(np.array(values, np.float32))[None].to(device)
