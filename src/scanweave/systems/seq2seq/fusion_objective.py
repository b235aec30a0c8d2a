"""The losses of one training step where sources are fused."""

from __future__ import annotations

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

    L = λ H(x̂, x) + λ_un H(x̂ without attention, x) + λ_str (1 - SSIM(x̂, x)) + λ_grad |∇x̂ - ∇x|₁
        + λ_temp |Δx̂ - Δx|₁,

    H = SmoothL1 with β, ∇ between neighbouring voxels, Δ between one frame of a series and the next that is drawn. What
    the scan of the target does not cover counts as right.

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
        made, plain, few = self._made(batch)
        made = torch.where(covered, made, real)
        terms = {"cross": settings.cross * F.smooth_l1_loss(made, real, beta=settings.beta)}
        if settings.unattended:
            plain = torch.where(covered[few], plain, real[few])
            distance = F.smooth_l1_loss(plain, real[few], beta=settings.beta, reduction="sum")
            expected = settings.self_share * real.numel()  # voxels, on average over batches
            terms["unattended"] = settings.unattended * distance / expected
        if self.dissimilarity is not None:
            terms["structural"] = settings.structural * self.dissimilarity(made.flatten(0, 1), real.flatten(0, 1))
        if settings.gradient:
            terms["gradient"] = settings.gradient * gradient_difference(made, real)
        return {"loss": torch.stack([term.float() for term in terms.values()]).sum(), **terms}

    def _made(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the targets; those of a share of the samples without attention too; and which samples these are."""
        due = samples_due(batch["number"], self.settings.self_share)
        due &= self.settings.unattended > 0
        made, plain = torch.empty_like(batch["target"]), torch.empty_like(batch["target"])
        for rows in _alike(batch):
            first = int(rows.nonzero()[0])
            target, around = int(batch["to"][first]), float(batch["around"][first])
            parts, sources = self.network.target_parts(target), self._encoded(batch, rows)
            some = SomeFrames.of(batch, "target")
            about: dict[str, Any] = {"frames": batch["target"].shape[1]}
            answer, _ = self.network.correct(sources, target, parts, around, some=some.rows(rows), **about)
            made = made.index_put((rows,), answer.to(made.dtype))
            few = due & rows
            if few.any():
                chosen = {number: source.rows(due[rows]) for number, source in sources.items()}
                about["attended"] = False
                answer, _ = self.network.correct(chosen, target, parts, around, some=some.rows(few), **about)
                plain = plain.index_put((few,), answer.to(plain.dtype))
        return made, plain[due], due

    def _encoded(self, batch: dict[str, Any], rows: Tensor) -> dict[int, Encoded]:
        """Encode the sequences that some samples are given, all of them the same ones."""
        given = batch["given"][rows][0].nonzero()[:, 0].tolist()
        frames = {number: batch["scans"][number][rows] for number in given}
        told = {number: batch["scan_values"][number][rows] for number in given} if "scan_values" in batch else {}
        if all(x.shape[1] == 1 for x in frames.values()) and not any(values.numel() for values in told.values()):
            return self.network.ready_together(frames)
        sources = {}
        for number, x in frames.items():
            sequence = torch.tensor([number], device=rows.device)
            shifts = self.network.shifts_in(sequence, told.get(number))
            known = batch["nodes"][number][rows] if number in self.network.nodes else None
            own, values = self.network.source(sequence), told.get(number) if known is not None else None
            sources[number] = self.network.ready(number, x, own, shifts, known, values)
        return sources


def _alike(batch: dict[str, Any]) -> list[Tensor]:
    """Return the samples of a batch, `(B,)` booleans, apart by what they ask for and what they are given."""
    asked = torch.cat([batch["to"][:, None], batch["given"].long()], dim=1)
    kinds, of = torch.unique(asked, dim=0, return_inverse=True)
    return [of == number for number in range(len(kinds))]


def gradient_difference(made: Tensor, real: Tensor) -> Tensor:
    """Return the mean absolute difference of the in-plane gradients of two images `(…, H, W)`."""
    error = made - real
    return error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
