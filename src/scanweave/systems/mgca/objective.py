"""The losses of one step: pairs, words and regions, prototypes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.nets.contrast import equal_keys, pair_loss
from scanweave.systems.mgca.alignment import token_loss
from scanweave.systems.mgca.config import ObjectiveSettings
from scanweave.systems.mgca.network import MgcaNetwork, Read, Seen
from scanweave.systems.mgca.prototypes import swapped_loss


class MgcaObjective(nn.Module):
    """L = λ_1 L_instance + λ_2 L_token + λ_3 L_prototype (Wang et al., NeurIPS 2022, Eq. 9).

    Args:
        network: What is trained.
        settings: The weights λ.

    Attributes:
        steps: Updates so far, which a checkpoint keeps.
    """

    steps: Tensor

    def __init__(self, network: MgcaNetwork, settings: ObjectiveSettings) -> None:
        super().__init__()
        self.network, self.settings = network, settings
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the loss and its terms.

        Args:
            batch: `image` `(B, 1, Y, X)`, `ids` and `words` `(B, L)`; `number` of the study, and hashes of its `report`
                and of what is `read` of it, each `(B,)`. Films of one study are never wrong pairs.
        """
        network = self.network
        seen, read = network.look(batch["image"]), network.read(batch["ids"], batch["words"])
        right = equal_keys(batch["number"])
        if self.settings.copies == "together":
            right = right | equal_keys(batch["report"]) | equal_keys(batch["read"])
        with torch.autocast(seen.film.device.type, enabled=False):  # half precision is too coarse for cosines over 0.07
            terms = self._terms(Seen(*map(_single, seen)), Read(*map(_single, read)), right)
        if network.drafter is not None and seen.last is not None:
            terms["draft"] = self.settings.draft * network.drafter.loss(batch["ids"], seen.last)
        return {"loss": torch.stack([term.float() for term in terms.values()]).sum(), **terms}

    def _terms(self, seen: Seen, read: Read, right: Tensor) -> dict[str, Tensor]:
        settings = self.settings
        scores = seen.film @ read.report.T / settings.temperature
        terms = {"instance": settings.instance * pair_loss(scores, right)}
        rise = ((self.steps + 1) / settings.warm_in).clamp(max=1.0) if settings.warm_in else 1.0
        if settings.token:
            terms["token"] = rise * settings.token * token_loss(seen, read, settings.token_temperature)
        if settings.prototype:
            films, reports = (one @ self._prototypes().T for one in (seen.film, read.report))
            rest = (settings.prototype_temperature, settings.sharpness, settings.rounds)
            terms["prototype"] = rise * settings.prototype * swapped_loss(films, reports, *rest)
        return terms

    def after_step(self) -> None:
        """Count the step, and bring prototypes back to length 1."""
        self.steps += 1
        weights = self.network.prototypes
        weights.copy_(F.normalize(weights, dim=1))

    def _prototypes(self) -> Tensor:
        """Return the prototypes; in the first steps without a gradient, which is 0 then rather than absent."""
        weights: Tensor = self.network.prototypes
        still = self.steps < self.settings.frozen_steps
        return torch.where(still, weights.detach() + 0 * weights, weights).float()


def _single(part: Any) -> Any:
    """Return a tensor of half precision in single precision; all else as it is."""
    return part.float() if isinstance(part, Tensor) and part.dtype in (torch.float16, torch.bfloat16) else part
