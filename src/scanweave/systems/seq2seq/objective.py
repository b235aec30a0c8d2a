"""The losses of one training step (spec a.5)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.systems.seq2seq.config import ObjectiveSettings
from scanweave.systems.seq2seq.network import Seq2SeqNetwork


class Seq2SeqObjective(nn.Module):
    """Self, cross and cycle terms of a source s and a target t of the same patient.

    With x̂_t = G(x_s → t), x̂_s = G(x_s → s) and x̃_s = G(x̂_t → s):

    L = λ_rec [H(x̂_t, x_t) + H(x̂_s, x_s)] + λ_per [V(x̂_t, x_t) + V(x̂_s, x_s)] + λ_cyc H(x̃_s, x_s)
    (+ λ_str [S(x̂_t, x_t) + S(x̂_s, x_s)], S = 1 - SSIM, not in the paper),

    H = SmoothL1 with β (1 in the paper), V = VGG-19 feature distance.

    Args:
        network: The generator G.
        settings: The weights λ.
    """

    def __init__(self, network: Seq2SeqNetwork, settings: ObjectiveSettings) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.perceptual, self.dissimilarity = _perceptual(settings), structural_dissimilarity(network, settings)

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return the loss and its terms, each a mean over the batch.

        Args:
            batch: `source` and `target` `(B, T, C, [D,] H, W)` in [-1, 1], and where they are covered by a scan; `from`
                and `to`, their sequence numbers, and `number`, that of each sample, `(B,)`.
        """
        source, target = batch["source"], batch["target"]
        network, settings = self.network, self.settings
        latent = network.encode(source, network.source(batch["from"]))
        made_target = network.decode(latent, network.target(batch["to"]), target.shape[1])
        shown = torch.where(batch["target_covered"], made_target, target)  # what was not acquired cannot be wrong
        terms = {"cross": settings.cross * self._distance(shown, target)}
        terms |= dict.fromkeys(("self", "cycle"), latent.new_zeros(()))
        terms |= self._likeness(shown, target)

        few = samples_due(batch["number"], settings.self_share)
        weight = float(few.float().mean()) / settings.self_share
        if weight:
            some, frames = source[few], source.shape[1]
            own, again = network.target(batch["from"][few]), network.source(batch["to"][few])
            covered = batch["source_covered"][few]
            made_source = torch.where(covered, network.decode(latent[few], own, frames), some)
            cycled = torch.where(covered, network.decode(network.encode(made_target[few], again), own, frames), some)
            terms["self"] = weight * settings.identity * self._distance(made_source, some)
            terms["cycle"] = weight * settings.cycle * self._distance(cycled, some)
            for name, term in self._likeness(made_source, some).items():
                terms[name] = terms[name] + weight * term
        return {"loss": torch.stack([term.float() for term in terms.values()]).sum(), **terms}

    def _distance(self, made: Tensor, real: Tensor) -> Tensor:
        return F.smooth_l1_loss(made, real, beta=self.settings.beta)

    def _likeness(self, made: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Return the terms that compare more than voxels, where they are asked for."""
        terms = {}
        if self.perceptual is not None:
            terms["perceptual"] = self.settings.perceptual * self.perceptual(made, real)
        if self.dissimilarity is not None:
            terms["structural"] = self.settings.structural * self.dissimilarity(made.flatten(0, 1), real.flatten(0, 1))
        return terms


def samples_due(numbers: Tensor, share: float) -> Tensor:
    """Tell which samples of the endless list belong to a share of it: the same, however it is cut into batches."""
    thousandths = round(1000 * share)  # whole numbers: exact for any number of samples, on any device
    return numbers * thousandths % 1000 < thousandths


# MONAI and torchvision take seconds to import: only where a term needs them.
def _perceptual(settings: ObjectiveSettings) -> nn.Module | None:
    if not settings.perceptual or settings.vgg_weights is None:
        return None
    from scanweave.systems.seq2seq.perceptual import PerceptualDistance

    return PerceptualDistance(settings.vgg_weights)


def structural_dissimilarity(network: Seq2SeqNetwork, settings: ObjectiveSettings) -> nn.Module | None:
    """Return 1 - SSIM of two batches of images in [-1, 1]; None where it has no weight."""
    if not settings.structural:
        return None
    from monai.losses import SSIMLoss

    return SSIMLoss(spatial_dims=network.settings.dimensions, data_range=2.0)
