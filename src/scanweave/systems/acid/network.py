"""The reconstruction network Φ: measurement → image, 1-homogeneous whatever network is inside."""

from __future__ import annotations

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor, nn

from scanweave.nets.fbpconvnet import FbpConvNet
from scanweave.systems.acid.config import NetworkSettings


class ScaleEquivariant(nn.Module):
    """Φ(y) = s · net(A†y / s), s the root mean square of A†y of each sample; so Φ(t y) = t Φ(y) for t > 0.

    The loop feeds residuals back that are tens to hundreds of times smaller than a measurement. A network with biases
    or normalisation layers, trained on measurements, adds to them what it always adds.

    Args:
        net: Any map of images `(B, C, H, W)` to images.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, backprojected: Tensor) -> Tensor:
        """Return the image `(B, C, H, W)` of what A† gave of a measurement, in the unit of the input."""
        scale = rms(backprojected)
        image: Tensor = scale * self.net(backprojected / scale)
        return image


class Reconstruction(nn.Module):
    """Φ with its scanner: network ∘ A†.

    Args:
        network: Maps A†y to the image.
        physics: The scanner: any linear operator of deepinv.
    """

    def __init__(self, network: nn.Module, physics: LinearPhysics) -> None:
        super().__init__()
        self.network, self.physics = network, physics

    def forward(self, measurement: Tensor) -> Tensor:
        """Return the image `(B, C, H, W)` of a measurement."""
        image: Tensor = self.network(self.physics.A_dagger(measurement))
        return image


def rms(image: Tensor) -> Tensor:
    """Return the root mean square of each sample `(B, 1, …)`, never 0."""
    square = image.square().mean(dim=tuple(range(1, image.ndim)), keepdim=True)
    return square.clamp_min(torch.finfo(image.dtype).tiny).sqrt()


def make_network(channels: int, settings: NetworkSettings) -> ScaleEquivariant:
    """Return the FBPConvNet of the settings for images of some channels: energy bins, or real and imaginary part."""
    return ScaleEquivariant(FbpConvNet(channels, channels, settings.width, settings.levels))
