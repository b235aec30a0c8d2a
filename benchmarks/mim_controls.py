"""Two plain ways to pre-train the encoder of MiM, which it must be compared with: denoising, and contrast of crops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from scanweave.engine.schedule import learning_rate
from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.systems.mim.config import MimConfig
from scanweave.systems.mim.levels import AXES, plan_levels
from scanweave.systems.mim.network import MimNetwork, block_of
from scanweave.systems.mim.objective import block_values
from scanweave.systems.mim.samples import CropSamples, images_of

NOISE = 0.5
"""Deviation of the noise, where an image has 1; ours, not tuned."""
TEMPERATURE = 0.1
"""Of the choice among the crops of a batch, as of SimCLR (Chen et al., ICML 2020)."""


class Denoising(nn.Module):
    """Make the voxels of each block from the features of a noisy view, by one layer (`config` has a linear decoder)."""

    def __init__(self, config: MimConfig) -> None:
        super().__init__()
        self.network, self.settings = MimNetwork(config), config.loss
        self.encoder = self.network.encoder

    def forward(self, views: Tensor) -> Tensor:
        """Return the mean squared error of views `(V, 1, R, R, R)`."""
        truth = block_values(views, self.network.block, self.settings)
        nothing = torch.zeros(truth.shape[:2], dtype=torch.bool)
        made = self.network(views + NOISE * torch.randn_like(views), nothing).blocks
        return (made - truth).square().mean()


class Contrast(nn.Module):
    """Tell which two crops are of one image, by the encoder's last feature (SimCLR's loss).

    Views come in pairs of one image, mirrored at random along each axis and made noisy. Neither brightness nor scale is
    changed, so that a pair may be told by its intensities: this is a control at its simplest, not SimCLR at its best.
    """

    def __init__(self, config: MimConfig) -> None:
        super().__init__()
        self.encoder = MimNetwork(config).encoder
        width = self.encoder.channels[-1]
        self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, views: Tensor) -> Tensor:
        """Return the mean cross-entropy over views `(V, 1, R, R, R)`, each with the next or the one before."""
        changed = [view.flip([axis + 1 for axis in range(AXES) if torch.rand(()) < 0.5]) for view in views]
        noisy = torch.stack(changed) + NOISE * torch.randn_like(views)
        told = F.normalize(self.head(self.encoder(noisy)[-1].flatten(2).mean(dim=2)), dim=1)
        alike = (told @ told.T / TEMPERATURE).fill_diagonal_(-torch.inf)
        return F.cross_entropy(alike, torch.arange(len(views)) ^ 1)


class PairSamples(CropSamples):
    """Crops in pairs: numbers 2k and 2k + 1 are of one image."""

    def pair(self, number: int) -> list[Any]:
        """Return both crops of a pair."""
        first = self[number]
        own = [image for image in self.images if image.study.id == first["case"]]
        return [first["crop"], CropSamples(own, self.levels, self.seed + 1)[number]["crop"]]


def pretrain(make: Callable[[MimConfig], Any], config: MimConfig, studies: Sequence[CachedStudy], path: Path) -> None:
    """Train a control as MiM is trained: as many views a step, its learning rate, schedule and moving average.

    AdamW's decay takes norms and biases too, which MiM spares.

    Args:
        make: `Denoising` or `Contrast`.
        config: Encoder, crops and training.
        studies: Prepared training studies.
        path: File of the encoder's weights to write.
    """
    settings = config.training
    torch.manual_seed(settings.seed)
    network = make(config)
    samples = PairSamples(images_of(studies), plan_levels(config.levels, block_of(config.network)), settings.seed)
    optimizer = torch.optim.AdamW(network.parameters(), betas=settings.betas, weight_decay=settings.weight_decay)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(settings.ema_decay or 0.0))
    pairs = settings.batch_size // 2
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(settings, step)
        numbers = range(step * pairs, (step + 1) * pairs)
        loss = network(torch.stack([crop for number in numbers for crop in samples.pair(number)]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        average.update_parameters(network)
    weights = average.module.encoder.state_dict()
    save_file({f"encoder.{name}": value.contiguous() for name, value in weights.items()}, path)
