"""Losses of one step: the generator against discriminator and judge, and the segmentor on mixed scans."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.framework.segmentation.objective import SegmentationObjective
from scanweave.nets.segmentation_network import SegmentationNetwork
from scanweave.systems.freetumor.config import GeneratorSettings, SynthesisSettings
from scanweave.systems.freetumor.network import BACKGROUND, MADE, REAL, Frozen, Inserter


class GeneratorObjective(nn.Module):
    """Losses of generator and discriminator, of one pass each (FreeTumor, released code, and our variants).

    Linear, as released, with means over the voxels of a mask (m made, r real):
    generator `(1 − mean_m p_judge(x')) + λ (1 − mean_m D_real(x'))`,
    discriminator `½ (1 − mean_m D_made(x')) + ½ (1 − mean_r D_real(x))`, its second half only where there is an r.
    Entropy: cross-entropies, averaged over the classes that are there; the generator's is that of `real` in m.
    With a band the judge's part is how far its mean probability lies outside of what is accepted; with a prior
    `|mean_m (x' − x) − c| / |c|` is added, c the contrast of a labelled tumour.

    Args:
        inserter: With the generator.
        discriminator: `(B, 1, …) → (B, 3, …)`.
        judge: A segmentor, `(B, 1, …) → (B, 1 + K, …)`, which learns nothing.
        settings: Weights of the parts.
        accepted: What the judge accepts.
    """

    def __init__(
        self,
        inserter: Inserter,
        discriminator: nn.Module,
        judge: Frozen,
        settings: GeneratorSettings,
        accepted: tuple[float, float],
    ) -> None:
        super().__init__()
        self.inserter, self.discriminator, self.judge = inserter, discriminator, judge
        self.settings, self.accepted = settings, accepted

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return `generator`, `discriminator`, and of the former `found`, `real` and `contrast`."""
        image, made = batch["image"], self.inserter(batch)
        mask = batch["hard"][:, 0] & batch["offered"].view(-1, 1, 1, 1)
        sure = tumour_share(self.judge(made, batch["present"]))
        found = masked_mean(sure, mask)
        judged = self._outside(sure, mask) if self.settings.band else 1 - found
        told = self.discriminator(made)
        fooled = self._fooled(told, mask)
        change = masked_means((made - image)[:, 0], mask)
        wanted = batch["contrast"][:, 0]
        rows = mask.flatten(1).any(dim=1)
        off = ((change - wanted).abs() / wanted.abs().clamp_min(1e-3))[rows]
        prior = off.mean() if rows.any() else off.sum()
        generator = judged + self.settings.adversarial * fooled + self.settings.prior * prior
        return {
            "generator": generator,
            "discriminator": self._told_apart(told, self.discriminator(image), mask, batch["tumour"]),
            "found": found.detach(),
            "fooled": fooled.detach(),
            "off contrast": prior.detach(),
        }

    def _outside(self, sure: Tensor, mask: Tensor) -> Tensor:
        """Return how far the mean probability in each tumour lies outside of what is accepted."""
        low, high = self.accepted
        rows = mask.flatten(1).any(dim=1)
        means = masked_means(sure, mask)[rows]
        outside = F.relu(low - means) + F.relu(means - high)
        return outside.mean() if rows.any() else outside.sum()

    def _fooled(self, told: Tensor, mask: Tensor) -> Tensor:
        if self.settings.discriminator == "linear":
            return 1 - masked_mean(told.softmax(dim=1)[:, REAL], mask)
        return masked_mean(-told.log_softmax(dim=1)[:, REAL], mask)

    def _told_apart(self, of_made: Tensor, of_real: Tensor, mask: Tensor, real: Tensor) -> Tensor:
        if self.settings.discriminator == "linear":
            made = 1 - masked_mean(of_made.softmax(dim=1)[:, MADE], mask)
            return 0.5 * made + 0.5 * (real.any() * (1 - masked_mean(of_real.softmax(dim=1)[:, REAL], real)))
        first, second = -of_made.log_softmax(dim=1), -of_real.log_softmax(dim=1)
        parts = [
            (first[:, MADE], mask),
            (second[:, REAL], real),
            (first[:, BACKGROUND], ~(mask | real)),
            (second[:, BACKGROUND], ~real),
        ]
        there = torch.stack([where.any() for _, where in parts]).to(first.dtype)
        losses = torch.stack([masked_mean(values, where) for values, where in parts])
        return (losses * there).sum() / there.sum().clamp_min(1)


class MixedObjective(nn.Module):
    """Losses of a segmentor on crops as they are, and on healthy ones with a tumour that the judge accepts.

    A tumour is tried after the other until one is accepted; where none is, the crop stays healthy.

    Args:
        network: The segmentor.
        inserter: Puts tumours in; it learns nothing.
        judge: A segmentor that learns nothing; None: every tumour is accepted.
        settings: What is accepted.
    """

    def __init__(
        self,
        network: SegmentationNetwork,
        inserter: Inserter,
        judge: Frozen | None,
        settings: SynthesisSettings,
    ) -> None:
        super().__init__()
        self.segmentation = SegmentationObjective(network)
        self.inserter, self.judge, self.settings = Frozen(inserter), judge, settings

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the losses of segmentation, and which shares of the crops were offered and got a tumour."""
        image, mask, got = self.mixed(batch)
        terms: dict[str, Tensor] = self.segmentation({"image": image, "present": batch["present"], "mask": mask})
        return terms | {"offered": batch["offered"].float().mean(), "accepted": got.float().mean()}

    @torch.no_grad()
    def mixed(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return images `(B, 1, X, Y, Z)`, classes `(B, X, Y, Z)`, and which crops got a tumour `(B,)`."""
        image, mask = batch["image"].clone(), batch["tumour"].clone()
        got = torch.zeros_like(batch["offered"])
        inserter = self.inserter.network
        for number in range(batch["hard"].shape[1]):
            rows = torch.nonzero(batch["offered"] & ~got).flatten()
            if not len(rows):
                break
            part = {name: value[rows] for name, value in batch.items() if isinstance(value, Tensor)}
            made, hard = inserter(part, number), part["hard"][:, number]
            passed = self._accepts(made, part["present"], hard)
            chosen = rows[passed]
            image[chosen], got[chosen] = made[passed], True
            mask[chosen] |= hard[passed]
        return image, mask.long(), got

    def _accepts(self, made: Tensor, present: Tensor, hard: Tensor) -> Tensor:
        if self.judge is None:
            return torch.ones(len(made), dtype=torch.bool, device=made.device)
        return accepted_tumours(tumour_share(self.judge(made, present)), hard, self.settings)


def accepted_tumours(sure: Tensor, hard: Tensor, settings: SynthesisSettings) -> Tensor:
    """Return which tumours count `(B,)`, by what a judge finds of them."""
    low, high = settings.accepted
    values = judged_values(sure, hard, settings)
    return (values >= low) & (values <= high) & hard.flatten(1).any(dim=1)


def judged_values(sure: Tensor, hard: Tensor, settings: SynthesisSettings) -> Tensor:
    """Return the share of each tumour that a judge finds, or its mean probability in it `(B,)`."""
    return masked_means(sure if settings.measure == "sure" else (sure > 0.5).to(sure.dtype), hard)


def tumour_share(logits: Tensor) -> Tensor:
    """Return the probability of any tumour `(B, …)` of logits whose first class is the background."""
    return 1 - logits.float().softmax(dim=1)[:, 0]


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of values `(B, …)` over the voxels of a mask of their shape; 0 where it is empty."""
    return (values * mask).sum() / mask.sum().clamp_min(1)


def masked_means(values: Tensor, mask: Tensor) -> Tensor:
    """Return the same of each item of a batch by itself `(B,)`."""
    return (values * mask).flatten(1).sum(dim=1) / mask.flatten(1).sum(dim=1).clamp_min(1)
