"""The ACID iteration, for any linear operator, any reconstruction network and any sparsifier (spec 2.2).

f¹ = Φ(p), and for k = 1 … K: r = p − A f, f ← f + c Φ(r), f ← H⁺ S_ε(H f).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from scanweave.errors import ScanweaveError
from scanweave.systems.acid.config import LoopSettings
from scanweave.systems.acid.network import rms
from scanweave.systems.acid.sparsifiers import make_sparsifier

Reconstruct = Callable[[Tensor], Tensor]
"""Measurement → image, differentiable."""


@dataclass
class Record:
    """Record of a reconstruction, one figure a round and sample.

    Attributes:
        residual: ‖p − A f‖ / ‖p‖ before each round and after the last, `(K + 1, B)`.
        change: ‖f_{k+1} − f_k‖ / ‖f_{k+1}‖, `(K, B)`; 0 where a sample had stopped.
        step: The step along Φ(r), `(K, B)`; 0 where a sample had stopped.
        images: The iterates, if they are kept.
    """

    residual: list[Tensor] = field(default_factory=list)
    change: list[Tensor] = field(default_factory=list)
    step: list[Tensor] = field(default_factory=list)
    images: list[Tensor] = field(default_factory=list)

    @property
    def rounds(self) -> Tensor:
        """Rounds that each sample made `(B,)`."""
        steps = torch.stack(self.step) if self.step else torch.zeros(0, len(self.residual[0]))
        return (steps != 0).sum(dim=0)

    def rows(self) -> Iterator[dict[str, float]]:
        """Yield one plain row a sample and round, for files."""
        for number, residual in enumerate(self.residual):
            for sample, value in enumerate(residual.tolist()):
                row = {"sample": float(sample), "round": float(number), "residual": value}
                if number:
                    row |= {
                        "change": float(self.change[number - 1][sample]),
                        "step": float(self.step[number - 1][sample]),
                    }
                yield row


class Acid:
    """The whole workflow as one function of the measurement; nothing in it is detached.

    Args:
        phi: The reconstruction network Φ.
        physics: The scanner A.
        settings: The iteration; `step` and `threshold` as chosen.
        feedback: What maps residuals back; Φ if not given (see `bren.choose_feedback`).
        noise: Expected ‖noise‖ / ‖p‖, for the discrepancy stop; None never stops.
        coupled: Whether the channels are parts of one complex image.
    """

    def __init__(
        self,
        phi: Reconstruct,
        physics: LinearPhysics,
        settings: LoopSettings,
        *,
        feedback: Reconstruct | None = None,
        noise: float | None = None,
        coupled: bool = False,
    ) -> None:
        if noise is not None and not noise >= 0:
            raise ScanweaveError("noise", f"a level of {noise}", "Give ‖noise‖ / ‖measurement‖, 0 or more")
        self.phi, self.physics, self.settings = phi, physics, settings
        self.feedback = phi if feedback is None else feedback
        self.noise = noise
        self.sparsify = make_sparsifier(settings.sparsifier, coupled=coupled)

    def __call__(self, measurement: Tensor, record: Record | None = None, *, keep: bool = False) -> Tensor:
        """Return the image `(B, C, H, W)` of a measurement.

        Args:
            measurement: p, `(B, C, …)`.
            record: Is filled with what happens.
            keep: Whether it takes the iterates too.

        Raises:
            ScanweaveError: The iteration left the finite numbers.
        """
        image = self.phi(measurement)
        threshold = self.settings.threshold * rms(self.physics.A_dagger(measurement))
        residual = measurement - self.physics.A(image)
        active = self._active(residual, measurement)
        self._note_start(record, image, residual, measurement, keep)
        for _ in range(self.settings.iterations):
            if not active.any():
                break
            before = image
            image, residual, step = self._round(image, residual, measurement, threshold, active)
            threshold = threshold * self.settings.threshold_decay
            if not torch.isfinite(image).all():
                raise ScanweaveError(
                    "ACID", "the iteration diverged", "Choose a smaller loop.step, or another feedback"
                )
            if record is not None:
                self._note_start(record, image, residual, measurement, keep)
                record.step.append(_plain(step) * active)
                record.change.append(_norm(image - before).detach() / _norm(image).detach().clamp_min(1e-30))
            active = active & self._active(residual, measurement)
        return image

    def _round(self, *state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if torch.is_grad_enabled() and state[2].requires_grad:
            # Derivatives through K networks need the memory of one: each round is computed again on the way back.
            made: tuple[Tensor, Tensor, Tensor] = checkpoint(self._next, *state, use_reentrant=False)
            return made
        return self._next(*state)

    def _next(
        self, image: Tensor, residual: Tensor, measurement: Tensor, threshold: Tensor, active: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        back, step = self._way_back(residual)
        made = self.sparsify(image + step * back, threshold)
        made = torch.where(_like(active, made), made, image)
        return made, measurement - self.physics.A(made), step

    def _way_back(self, residual: Tensor) -> tuple[Tensor, Tensor]:
        """Return the residual as an image, and the step along it.

        Where the step would make a sample's residual larger, its feedback expands what it should contract (BREN seen in
        the data, which needs no truth), as a network may on a scan unlike those it was trained on; A† takes its place.
        """
        back = self.feedback(residual)
        step = self._step(back, residual)
        if not self.settings.safeguard:
            return back, step
        larger = _norm(residual - self.physics.A(step * back)) > _norm(residual)
        if larger.any():
            back = torch.where(_like(larger, back), self.physics.A_dagger(residual), back)
            step = torch.where(_like(larger, step), self._step(back, residual), step)
        return back, step

    def _step(self, back: Tensor, residual: Tensor) -> Tensor:
        if self.settings.rule == "constant":
            return torch.full_like(rms(back), self.settings.step)
        seen = self.physics.A(back)
        along = (seen * residual).flatten(1).sum(dim=1)
        best = along / seen.square().flatten(1).sum(dim=1).clamp_min(torch.finfo(seen.dtype).tiny)
        return self.settings.step * _like(best, back)

    def _active(self, residual: Tensor, measurement: Tensor) -> Tensor:
        """Tell which samples go on, `(B,)`: those whose residual is above the noise."""
        if self.noise is None or not self.settings.discrepancy:
            return torch.ones(len(residual), dtype=torch.bool, device=residual.device)
        bound = self.settings.discrepancy * self.noise * _norm(measurement)
        return (_norm(residual) > bound).detach()

    @staticmethod
    def _note_start(record: Record | None, image: Tensor, residual: Tensor, measurement: Tensor, keep: bool) -> None:
        if record is None:
            return
        record.residual.append((_norm(residual) / _norm(measurement).clamp_min(1e-30)).detach())
        if keep:
            record.images.append(image.detach())


def _norm(values: Tensor) -> Tensor:
    return values.flatten(1).norm(dim=1)


def _plain(step: Tensor) -> Tensor:
    return step.detach().flatten()


def _like(values: Tensor, image: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (image.ndim - 1))
