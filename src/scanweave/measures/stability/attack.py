"""Worst-case perturbations: gradient ascent on a ball, with restarts.

Of a measurement p and a method f, a perturbation e of norm at most R is sought that makes ‖f(p + e) − f(p)‖ large
(after Genzel, Macdonald and März, IEEE TPAMI 2022, who perturb measurements with projected Adam; Antun et al., PNAS
2020, perturb images r and measure them, e = A r). What is found is a lower bound of the worst case: the checks in
`validity` tell how good it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from scanweave.errors import ScanweaveError
from scanweave.measures.batches import norms
from scanweave.measures.stability.audit_setup import Reconstruct


@dataclass(frozen=True)
class AttackSettings:
    """Settings of the effort of an attack.

    Attributes:
        iterations: Steps of projected Adam in a restart.
        warm_up: Steps before them along the gradient as far as the ball reaches: for a linear method these are power
            iterations, which find its largest singular vector.
        restarts: Starts from random points; the strongest result of each image counts.
        rate: Step of Adam, as a share of the radius, at the beginning; it falls to a tenth by a cosine.
        seed: Of the starts.
    """

    iterations: int = 60
    warm_up: int = 5
    restarts: int = 3
    rate: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.iterations, self.warm_up) < 0 or self.iterations + self.warm_up < 1 or self.restarts < 1:
            reason = f"{self.warm_up} + {self.iterations} iterations, {self.restarts} restarts"
            raise ScanweaveError("attack", reason, "Give at least one iteration and one restart")
        if not self.rate > 0:
            raise ScanweaveError("attack", f"a rate of {self.rate}", "Give a positive share of the radius")


@dataclass(frozen=True, eq=False)
class Target:
    """Method under attack, with what it reconstructs from.

    Attributes:
        reconstruct: The method f.
        measurement: p, `(B, …)`.
        image: Gives the shape of perturbations that live in the image; None: they live in the measurement.
        forward: A, which measures them; needed with `image`.
    """

    reconstruct: Reconstruct
    measurement: Tensor
    image: Tensor | None = None
    forward: Reconstruct | None = None

    @property
    def domain(self) -> Tensor:
        """A tensor of the shape of a perturbation: the measurement or the image."""
        return self.measurement if self.image is None else self.image

    def perturbed(self, perturbation: Tensor) -> Tensor:
        """Return f(p + e), or f(p + A r)."""
        if self.image is not None and self.forward is None:
            raise ScanweaveError("attack", "perturbs images without an operator", "Give forward")
        added = perturbation if self.image is None or self.forward is None else self.forward(perturbation)
        return self.reconstruct(self.measurement + added)

    def part(self, start: int, stop: int) -> Target:
        """Return the same target for some of the images."""
        cut = slice(start, stop)
        return Target(
            self.reconstruct, self.measurement[cut], None if self.image is None else self.image[cut], self.forward
        )


@dataclass(frozen=True, eq=False)
class Attack:
    """Result of an attack.

    Attributes:
        perturbation: The strongest of each image, `(B, …)`, of a norm of at most the radius.
        change: ‖f(p + e) − f(p)‖ of each, `(B,)`.
        history: The same at every iterate, `(restarts, iterations + 1, B)`; the last row after the last step.
    """

    perturbation: Tensor
    change: Tensor
    history: Tensor

    @property
    def spread(self) -> Tensor:
        """Difference between the restarts' best, as a share of the strongest, `(B,)`; 0 with one restart."""
        best = self.history.amax(dim=1)
        return (best.amax(dim=0) - best.amin(dim=0)) / best.amax(dim=0).clamp_min(torch.finfo(best.dtype).tiny)


def attack(target: Target, radius: Tensor, settings: AttackSettings) -> Attack:
    """Search for the strongest perturbation of each image of a batch.

    Args:
        target: What is attacked.
        radius: Largest norm of each perturbation, `(B,)`.
        settings: How hard is tried.

    Raises:
        ScanweaveError: The method gives no finite image, or no derivative.
    """
    with torch.no_grad():
        reference = target.reconstruct(target.measurement)
    if not torch.isfinite(reference).all():
        raise ScanweaveError("attack", "the method gives NaN or infinity without any perturbation", "Check the method")
    best, change = torch.zeros_like(target.domain), torch.full_like(radius, -1.0)
    histories = []
    for restart in range(settings.restarts):
        generator = Generator().manual_seed(1_000_003 * settings.seed + restart)
        start = random_perturbation(target.domain, radius * _uniform(radius, generator), generator)
        found, value, history = _ascend(target, reference, start, radius, settings)
        stronger = value > change
        best = torch.where(_like(stronger, best), found, best)
        change = torch.where(stronger, value, change)
        histories.append(history)
    return Attack(best, change, torch.stack(histories))


def in_batches(target: Target, radius: Tensor, settings: AttackSettings, batch: int) -> Attack:
    """Run `attack` on some images at a time, for less memory."""
    found = [
        attack(target.part(start, start + batch), radius[start : start + batch], settings)
        for start in range(0, len(radius), batch)
    ]
    return Attack(
        torch.cat([one.perturbation for one in found]),
        torch.cat([one.change for one in found]),
        torch.cat([one.history for one in found], dim=2),
    )


def random_perturbation(like: Tensor, radius: Tensor, generator: Generator) -> Tensor:
    """Return Gaussian noise of exactly these norms: the control of equal size.

    Args:
        like: Gives the shape `(B, …)`.
        radius: Norms `(B,)`.
        generator: The source of randomness, on the CPU.
    """
    noise = torch.randn(like.shape, generator=generator, dtype=like.dtype).to(like.device)
    return noise * _like(radius / norms(noise), noise)


def projected(perturbation: Tensor, radius: Tensor) -> Tensor:
    """Return the nearest perturbations whose norms are at most the radius."""
    size = norms(perturbation).clamp_min(torch.finfo(perturbation.dtype).tiny)
    return perturbation * _like((radius / size).clamp_max(1.0), perturbation)


def _ascend(
    target: Target, reference: Tensor, start: Tensor, radius: Tensor, settings: AttackSettings
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one restart; return the best perturbation, its change, and the change at every iterate."""
    current, best, change, history = start, start, torch.full_like(radius, -1.0), []
    first, second = torch.zeros_like(start), torch.zeros_like(start)
    total = settings.warm_up + settings.iterations
    for number in range(total + 1):
        value, gradient = _slope(target, reference, current, last=number == total)
        history.append(value)
        better = value > change
        best, change = torch.where(_like(better, best), current, best), torch.where(better, value, change)
        if gradient is None:
            break
        if number < settings.warm_up:
            current = gradient * _like(radius / norms(gradient).clamp_min(torch.finfo(gradient.dtype).tiny), gradient)
            continue
        if number == settings.warm_up:
            current = best
        count = number - settings.warm_up + 1
        way = _along_the_ball(gradient, current, radius)
        first, second = 0.9 * first + 0.1 * way, 0.99 * second + 0.01 * way.square()
        way = first / (1 - 0.9**count) / ((second / (1 - 0.99**count)).sqrt() + 1e-12)
        fall = 0.55 + 0.45 * math.cos(math.pi * (count - 1) / max(settings.iterations, 1))
        length = settings.rate * fall * radius / math.sqrt(way[0].numel())
        current = projected(current + way * _like(length, way), radius)
    return best, change, torch.stack(history)


def _along_the_ball(gradient: Tensor, current: Tensor, radius: Tensor) -> Tensor:
    """Return the gradient in units of its norm, at the edge of the ball without its part that points out of it.

    That part is large and only lengthens the step; with it Adam turns away from the maximum.
    """
    unit = gradient / _like(norms(gradient).clamp_min(torch.finfo(gradient.dtype).tiny), gradient)
    outwards = current / _like(norms(current).clamp_min(torch.finfo(current.dtype).tiny), current)
    share = (unit * outwards).flatten(1).sum(dim=1).clamp_min(0) * (norms(current) >= 0.999 * radius)
    return unit - _like(share, outwards) * outwards


def _slope(target: Target, reference: Tensor, current: Tensor, *, last: bool) -> tuple[Tensor, Tensor | None]:
    """Return the change at a perturbation and the gradient of its square, for each image."""
    if last:
        with torch.no_grad():
            return norms(target.perturbed(current) - reference), None
    variable = current.detach().requires_grad_()
    square = (target.perturbed(variable) - reference).square().flatten(1).sum(dim=1)
    if not square.requires_grad:
        raise ScanweaveError("attack", "the method has no derivative by its measurement", "Detach nothing inside it")
    (gradient,) = torch.autograd.grad(square.sum(), variable)
    if not torch.isfinite(gradient).all():
        raise ScanweaveError(
            "attack", "the method's derivative is NaN or infinite", "Smooth what is not differentiable"
        )
    return square.detach().sqrt(), gradient


def _uniform(radius: Tensor, generator: Generator) -> Tensor:
    return (0.1 + 0.9 * torch.rand(len(radius), generator=generator)).to(radius)


def _like(values: Tensor, image: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (image.ndim - 1))


def radii_of(share: float, reference: Tensor) -> Tensor:
    """Return the radius of each image: a share of the norm of its measurement, or of itself, `(B,)`."""
    if not share > 0:
        raise ScanweaveError("radius", f"a share of {share}", "Give a positive share of the norm, such as 0.02")
    return share * norms(reference)
