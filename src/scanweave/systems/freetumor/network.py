"""The generator of what a tumour changes, and the discriminator of real and made ones."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.nets.segmentation_network import plain_unet
from scanweave.systems.freetumor.config import GeneratorSettings

STRIDES = (1, 2, 2, 2)
KERNEL, DEVIATION = 7, 1.0
"""Of the Gaussian blur of what the generator makes [voxels] (FreeTumor, released code)."""
BACKGROUND, REAL, MADE = range(3)
"""Classes of the discriminator."""


class Generator(nn.Module):
    """A U-Net that looks at a scan and says, voxel by voxel, what a tumour there would change, from −1 to 1.

    Args:
        settings: Width, and whether it is told mask, size and contrast.
    """

    blur: Tensor

    def __init__(self, settings: GeneratorSettings) -> None:
        super().__init__()
        self.conditioned = settings.conditioned
        told = 3 if self.conditioned else 0
        self.unet = plain_unet(1 + told, 1, 3, STRIDES, first_channels=settings.first_channels, deep_outputs=0)
        places = torch.arange(KERNEL) - KERNEL // 2
        weights = torch.exp(-(places.float() ** 2) / (2 * DEVIATION**2))
        self.register_buffer("blur", weights / weights.sum())

    def forward(self, image: Tensor, soft: Tensor, radius: Tensor, contrast: Tensor) -> Tensor:
        """Return the change `(B, 1, X, Y, Z)`.

        Args:
            image: As prepared, `(B, 1, X, Y, Z)`.
            soft: Share of each voxel that the tumour takes, likewise.
            radius: Logarithm of its radius in millimetres `(B,)`.
            contrast: Mean change that is wanted, as prepared `(B,)`.
        """
        inputs = image
        if self.conditioned:
            told = [soft, soft * radius.view(-1, 1, 1, 1, 1), soft * contrast.view(-1, 1, 1, 1, 1)]
            inputs = torch.cat([image, *told], dim=1)
        made = torch.tanh(self.unet(inputs))
        for axis in range(3):
            shape, padding = [1] * 5, [0] * 6
            shape[2 + axis], padding[4 - 2 * axis], padding[5 - 2 * axis] = KERNEL, KERNEL // 2, KERNEL // 2
            made = F.conv3d(F.pad(made, padding, mode="replicate"), self.blur.view(shape))
        return made


def make_discriminator(settings: GeneratorSettings) -> nn.Module:
    """Return the network `(B, 1, X, Y, Z) → (B, 3, X, Y, Z)`: background, real tumour, made tumour, as logits."""
    return plain_unet(1, 3, 3, STRIDES, first_channels=settings.first_channels, deep_outputs=0)


class Inserter(nn.Module):
    """Put the tumours of a batch into its images: x' = x − a g s T d, or by rules x' = x + s c (FreeTumor, eq. of a.4).

    a is the reach, g the gain, s the soft mask, T the texture, d what the generator makes, c the change by rules.

    Args:
        generator: None: by rules.
        reach: Largest change, as prepared.
    """

    def __init__(self, generator: Generator | None, reach: float) -> None:
        super().__init__()
        self.generator, self.reach = generator, reach

    def forward(self, batch: Mapping[str, Tensor], number: int = 0) -> Tensor:
        """Return the images with tumour `number` of each `(B, 1, X, Y, Z)`."""
        image = batch["image"]
        soft = batch["soft"][:, number, None].to(image.dtype)
        if self.generator is None:
            return image + soft * batch["change"][:, number, None]
        made = self.generator(image, soft, batch["radius"][:, number], batch["contrast"][:, number])
        gain = batch["gain"][:, number].view(-1, 1, 1, 1, 1)
        return image - self.reach * gain * soft * batch["texture"][:, number, None] * made


class Frozen(nn.Module):
    """A network that learns nothing, and stays as in evaluation while others train.

    Args:
        network: Whose weights are kept.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> Frozen:
        """Stay as in evaluation."""
        super().train(False)
        return self

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return what the network does."""
        made: Tensor = self.network(*inputs)
        return made
