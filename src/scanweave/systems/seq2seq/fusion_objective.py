"""The losses of one training step where sources are fused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.systems.seq2seq.config import ObjectiveSettings
from scanweave.systems.seq2seq.frame_values import SomeFrames
from scanweave.systems.seq2seq.fusion_network import Encoded, FusionNetwork
from scanweave.systems.seq2seq.objective import samples_due, structural_dissimilarity
from scanweave.systems.seq2seq.shape_groups import mean_over_groups


class FusionObjective(nn.Module):
    """Likeness of a target, made from the given sources, to the real one.

    L = λ H(x̂, x) + λ_un H(x̂ without attention, x) + λ_str (1 - SSIM(x̂, x)) + λ_grad |∇x̂ - ∇x|₁,

    H = SmoothL1 with β. What the scan of the target does not cover counts as right.

    Args:
        network: The network.
        settings: The weights λ.
    """

    def __init__(self, network: FusionNetwork, settings: ObjectiveSettings) -> None:
        super().__init__()
        self.network, self.settings = network, settings
        self.dissimilarity = structural_dissimilarity(network, settings)

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return the loss and its terms, each a mean over the batch; see `SubsetSamples` for what a batch holds."""
        return mean_over_groups(self._terms, batch)

    def _terms(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        settings, real, covered = self.settings, batch["target"], batch["target_covered"]
        sources = self._encoded(batch)
        made = torch.where(covered, self._made(batch, sources), real)
        terms = {"cross": settings.cross * F.smooth_l1_loss(made, real, beta=settings.beta)}
        if settings.unattended:
            terms["unattended"] = settings.unattended * self._unattended(batch, sources)
        if self.dissimilarity is not None:
            terms["structural"] = settings.structural * self.dissimilarity(made.flatten(0, 1), real.flatten(0, 1))
        if settings.gradient:
            terms["gradient"] = settings.gradient * gradient_difference(made, real)
        return {"loss": torch.stack([term.float() for term in terms.values()]).sum(), **terms}

    def _unattended(self, batch: dict[str, Any], sources: Sequence[dict[int, Encoded]]) -> Tensor:
        """Return SmoothL1 of the target made without attention, over a share of the samples."""
        few = samples_due(batch["number"], self.settings.self_share)
        if not few.any():
            return batch["target"].new_zeros(())
        needed = ("to", "around", "target", "target_covered", "target_places", "target_values")
        some = {name: batch[name][few] for name in needed if name in batch}
        chosen = [own for own, due in zip(sources, few.tolist(), strict=True) if due]
        made = torch.where(some["target_covered"], self._made(some, chosen, attended=False), some["target"])
        distance = F.smooth_l1_loss(made, some["target"], beta=self.settings.beta)
        return distance * float(few.float().mean()) / self.settings.self_share

    def _encoded(self, batch: dict[str, Any]) -> list[dict[int, Encoded]]:
        """Encode each sequence of the samples that are given it, and return the sources of every sample."""
        scans, given = batch["scans"], batch["given"]
        values = batch.get("scan_values", given.new_zeros((len(scans), len(given), 0)))
        sources: list[dict[int, Encoded]] = [{} for _ in given]
        for number, frames in enumerate(scans):
            rows = given[:, number].nonzero()[:, 0]
            if len(rows):
                sequence = torch.tensor([number], device=given.device)
                shifts = self.network.shifts_in(sequence, values[number][rows])
                encoded = self.network.ready(frames[rows], self.network.source(sequence), shifts)
                for place, row in enumerate(rows.tolist()):
                    sources[row][number] = encoded.sample(place)
        return sources

    def _made(self, batch: dict[str, Any], sources: Sequence[dict[int, Encoded]], *, attended: bool = True) -> Tensor:
        frames, some = batch["target"].shape[1], SomeFrames.of(batch, "target")
        made = []
        for row, (own, target) in enumerate(zip(sources, batch["to"].tolist(), strict=True)):
            parts, around = self.network.target_parts(target), float(batch["around"][row])
            which = some.rows(slice(row, row + 1))
            answer = self.network.correct(own, target, parts, around, frames=frames, some=which, attended=attended)
            made.append(answer[0])
        return torch.cat(made)


def gradient_difference(made: Tensor, real: Tensor) -> Tensor:
    """Return the mean absolute difference of the in-plane gradients of two images `(…, H, W)`."""
    error = made - real
    return error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
