"""The bounded relative error norm, measured: ‖f − Φ(A f)‖ ≤ σ ‖f‖ with σ < 1 is what convergence rests on (spec 2.3).

It holds on images readily and says little there; what the loop feeds back are the network's own errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from deepinv.physics import LinearPhysics
from torch import Generator, Tensor

from scanweave.physics.variation import operator_norm
from scanweave.systems.acid.loop import Reconstruct

AMPLITUDES = (1e-1, 1e-2, 1e-3)
"""Sizes of the random images, in those of the true ones."""
SMOOTHNESS = 0.08
"""Standard deviation of the random images' spectrum, in cycles a pixel: structures of some six pixels and more."""
Feedback = Literal["network", "dagger", "adjoint"]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Ratio:
    """BREN ratios of a kind of image.

    Attributes:
        mean: Over the images.
        worst: The largest.
        above: Share of the images at which it reaches 1.
        n: Number of images.
    """

    mean: float
    worst: float
    above: float
    n: int


def bren_ratio(phi: Reconstruct, physics: LinearPhysics, images: Tensor) -> Tensor:
    """Return ‖f − Φ(A f)‖ / ‖f‖ of each image, `(B,)`; images of zeros have 0."""
    with torch.no_grad():
        missed = (images - phi(physics.A(images))).flatten(1).norm(dim=1)
        size = images.flatten(1).norm(dim=1)
    return torch.where(size > 0, missed / size.clamp_min(torch.finfo(size.dtype).tiny), torch.zeros_like(size))


def measure_bren(
    phi: Reconstruct, physics: LinearPhysics, truth: Tensor, measurement: Tensor, generator: Generator
) -> dict[str, Ratio]:
    """Measure BREN on true images, on the network's own errors Φ(p) − f*, and on random smooth images.

    Args:
        phi: The reconstruction network.
        physics: The scanner.
        truth: f*, `(B, C, H, W)`.
        measurement: p of each, with its noise.
        generator: The source of randomness.
    """
    with torch.no_grad():
        errors = phi(measurement) - truth
    sets = {"truth": truth, "errors": errors}
    for amplitude in AMPLITUDES:
        sets[f"random {amplitude:g}"] = amplitude * random_smooth(truth, generator)
    return {name: _summary(bren_ratio(phi, physics, images)) for name, images in sets.items()}


def random_smooth(like: Tensor, generator: Generator) -> Tensor:
    """Return Gaussian random images, smooth on some pixels, each of the norm of the image that it is to be like."""
    rows, columns = like.shape[-2:]
    fy, fx = torch.fft.fftfreq(rows)[:, None], torch.fft.fftfreq(columns)[None, :]
    window = torch.exp(-(fx.square() + fy.square()) / (2 * SMOOTHNESS**2))
    white = torch.randn(like.shape, generator=generator)
    image = torch.fft.ifft2(torch.fft.fft2(white) * window).real.to(like)
    return image * (like.flatten(1).norm(dim=1) / image.flatten(1).norm(dim=1)).reshape(-1, 1, 1, 1)


def choose_feedback(ratios: Mapping[str, Ratio], wanted: str, say: Say = print) -> tuple[Feedback, str]:
    """Decide what maps residuals back, and say where that is not the network, or doubtful.

    Args:
        ratios: Of `measure_bren`.
        wanted: `LoopSettings.feedback`.
        say: Takes the warning.

    Returns:
        The choice, and its reason for the record.
    """
    errors = ratios["errors"]
    found = f"BREN ratio {errors.mean:.3g} on the network's errors (largest {errors.worst:.3g})"
    if wanted in ("network", "dagger", "adjoint"):
        if wanted == "network" and errors.mean >= 1:
            say(f"warning: {found}: feedback by the network, as asked, is not contractive")
        chosen: Feedback = wanted  # type: ignore[assignment]
        return chosen, f"as asked; {found}"
    if not errors.mean < 1:
        say(f"warning: {found} reaches 1: residuals go back through A†, not through the network")
        return "dagger", f"{found} reaches 1"
    if errors.worst >= 1:
        say(f"note: {found}: below 1 on average, but not on {errors.above:.0%} of {errors.n} images")
    return "network", found


def feedback_map(kind: str, phi: Reconstruct, physics: LinearPhysics, like: Tensor) -> Reconstruct:
    """Return the map from residuals to images: Φ, A†, or Aᵀ / ‖A‖².

    Args:
        kind: A `Feedback`.
        phi: The reconstruction network.
        physics: The scanner.
        like: An image `(1, C, H, W)` on the scanner's device, to measure ‖A‖ on.
    """
    if kind == "network":
        return phi
    if kind == "dagger":
        dagger: Reconstruct = physics.A_dagger
        return dagger
    square = operator_norm(physics, like) ** 2
    return lambda residual: physics.A_adjoint(residual) / square


def plain(ratios: Mapping[str, Ratio]) -> dict[str, Any]:
    """Return the ratios as plain values, for files."""
    return {name: asdict(ratio) for name, ratio in ratios.items()}


def _summary(values: Tensor) -> Ratio:
    return Ratio(float(values.mean()), float(values.max()), float((values >= 1).float().mean()), len(values))
