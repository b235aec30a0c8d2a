"""The losses of one training step (spec a.5)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.systems.seq2seq.config import ObjectiveSettings
from scanweave.systems.seq2seq.frame_values import SomeFrames
from scanweave.systems.seq2seq.network import Seq2SeqNetwork
from scanweave.systems.seq2seq.shape_groups import mean_over_groups


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
                and `to`, their sequence numbers, and `number`, that of each sample, `(B,)`; of series also which frames
                they are (`SomeFrames`). Or samples of several shapes, as `grouped` makes them.
        """
        return mean_over_groups(self._terms, batch)

    def _terms(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        source, target = batch["source"], batch["target"]
        network, settings = self.network, self.settings
        given, wanted = (SomeFrames.of(batch, name) for name in ("source", "target"))
        latent = network.encode(source, network.source(batch["from"]), network.shifts_in(batch["from"], given.shown))
        unrolled = network.unroll_some(latent, batch["to"], target.shape[1], wanted)
        made_target = network.decode_frames(unrolled, network.target(batch["to"]))
        shown = torch.where(batch["target_covered"], made_target, target)  # what was not acquired cannot be wrong
        terms = {"cross": settings.cross * self._distance(shown, target)}
        terms |= dict.fromkeys(("self", "cycle"), latent.new_zeros(()))
        terms |= self._likeness(shown, target)

        few = samples_due(batch["number"], settings.self_share)
        weight = float(few.float().mean()) / settings.self_share
        if weight:
            some, covered = source[few], batch["source_covered"][few]
            made_source, cycled = (
                torch.where(covered, made, some) for made in self._returned(batch, few, latent, made_target)
            )
            terms["self"] = weight * settings.identity * self._distance(made_source, some)
            terms["cycle"] = weight * settings.cycle * self._distance(cycled, some)
            for name, term in self._likeness(made_source, some).items():
                terms[name] = terms[name] + weight * term
        return {"loss": torch.stack([term.float() for term in terms.values()]).sum(), **terms}

    def _returned(
        self, batch: dict[str, Any], few: Tensor, latent: Tensor, made_target: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the source of a few samples, made from itself and from the target that was made from it."""
        network, frames = self.network, batch["source"].shape[1]
        given, wanted = (SomeFrames.of(batch, name).rows(few) for name in ("source", "target"))
        own, again = network.target(batch["from"][few]), network.source(batch["to"][few])

        def decoded(own_latent: Tensor) -> Tensor:
            return network.decode_frames(network.unroll_some(own_latent, batch["from"][few], frames, given), own)

        shifts = network.shifts_in(batch["to"][few], wanted.shown)
        return decoded(latent[few]), decoded(network.encode(made_target[few], again, shifts))

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
