"""Learning task of the masked autoencoder for the engine: samples, network, loss, validation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from masked_autoencoder.config import MaskedConfig
from masked_autoencoder.network import BlockFiller, filling_error
from scanweave.augment.crops import uniform_crop
from scanweave.framework import NetworkLoss, NetworkTask, PreparedParts, draw_study, read_crop, seeded_network
from scanweave.measures.image import decibels
from scanweave.studies.preparing.prepared_cache import CachedStudy

RANGE = 2.0
"""Width of the range [-1, 1] of prepared volumes."""


def hide(rng: np.random.Generator, shape: Sequence[int], config: MaskedConfig) -> np.ndarray:
    """Return which voxels of a volume lie in hidden blocks, `(X, Y, Z)`; one block at least."""
    blocks = np.zeros([-(-edge // config.block) for edge in shape], dtype=bool)
    blocks.flat[rng.permutation(blocks.size)[: max(1, round(config.hidden * blocks.size))]] = True
    return np.kron(blocks, np.ones((config.block,) * 3, dtype=bool))[tuple(map(slice, shape))]


class HiddenBlocks:
    """Sample k is a crop of a scan with hidden blocks; see `scanweave.engine.task.Samples`."""

    def __init__(self, studies: Sequence[CachedStudy], config: MaskedConfig) -> None:
        self.studies, self.config = studies, config

    def __getitem__(self, index: int) -> dict[str, Any]:
        study, rng = draw_study(self.studies, self.config.training.seed, index)
        name, crop = str(rng.choice(study.names)), uniform_crop(rng, study.shape, self.config.crop)
        both = np.stack([read_crop(study, name, crop), hide(rng, crop.size, self.config)])
        return {"case": study.id, "both": torch.from_numpy(both)}


class MaskedTask(NetworkTask):
    """Network, loss, samples and validation of one fit; see `scanweave.engine.task.Task`."""

    def __init__(self, config: MaskedConfig, parts: PreparedParts) -> None:
        self.network = seeded_network(config, lambda: BlockFiller(config.width))
        self.objective, self.samples = NetworkLoss(self.network, filling_error), HiddenBlocks(parts.training, config)
        self.validation, self.validates = HiddenBlocks(parts.validation, config), bool(parts.validation)

    def validate(self, network: BlockFiller) -> dict[str, float] | None:
        """Return the mean PSNR [dB] in hidden blocks of a crop of each validation study."""
        device, count = next(network.parameters()).device, len(self.validation.studies)
        batches = ({"both": self.validation[index]["both"][None].to(device)} for index in range(count))
        errors = [float(filling_error(network, batch)["squared"]) for batch in batches]
        return {"psnr": float(decibels(errors, RANGE).mean())} if errors else None
