"""Validation of a network of images and reports: the loss of pairs, what is found, and findings told by sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from scanweave.framework.classification.validation import validated
from scanweave.framework.reported.pair_fit import Pairs
from scanweave.framework.reported.pair_reader import PairReader
from scanweave.framework.reported.pair_samples import key_number
from scanweave.framework.reported.settings import PairConfig
from scanweave.framework.reported.zero_shot import prompt_directions, zero_shot_shares
from scanweave.nets.contrast import equal_keys, pair_loss
from scanweave.studies.preparing.prepared_cache import CachedStudy

MOST_VALIDATED = 1_024
"""Validation pairs that a validation looks at."""
VALIDATION_STREAM = 3
"""Keeps their choice apart from what else is drawn from a seed."""


class PairValidation:
    """The validation pairs of a fit, some of them drawn where there are many.

    Args:
        pairs: Of the fit.
        config: Its settings.

    Attributes:
        studies: Those that are looked at; fewer than two cannot be compared.
    """

    def __init__(self, pairs: Pairs, config: PairConfig) -> None:
        self.pairs, self.config = pairs, config
        known = pairs.parts.validation
        drawn = np.random.default_rng([config.training.seed, VALIDATION_STREAM]).permutation(len(known))
        chosen = drawn[:MOST_VALIDATED]
        self.studies: Sequence[CachedStudy] = [known[place] for place in chosen]
        self._answers = pairs.answers[chosen]

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Return the loss of pairs in batches, how often the own report is the likest there, and the mean AUROC.

        `found` is how often a report of the same words is the likest in its batch; while it is near one in a batch,
        nothing is learnt yet. There is an AUROC where findings are told and known.
        """
        temperature, plan = self.config.objective.temperature, self.pairs.plan
        reader = PairReader(network, plan, self.pairs.tokenizer, self.config.sampling.crop)
        images = reader.images({name: one.volume(name)[:] for name in one.names} for one in self.studies)
        texts = [self.pairs.texts[study.id] for study in self.studies]
        reports = reader.reports([text.sentences for text in texts])
        told = self._batches(images, reports, torch.tensor([key_number(text.key) for text in texts]))
        if plan.outputs and not np.isnan(self._answers).all():
            directions = prompt_directions(plan.prompts, reader.sentences)
            shares = zero_shot_shares(images, directions, temperature)
            told |= {k: v for k, v in validated(self._answers, shares, plan).items() if k == "auroc"}
        return told

    def _batches(
        self, images: NDArray[np.float64], reports: NDArray[np.float64], keys: torch.Tensor
    ) -> dict[str, float]:
        size, rows = self.config.training.batch_size, list[tuple[float, float, int]]()
        for part in np.array_split(np.arange(len(images)), -(-len(images) // size)):
            scores = torch.from_numpy(images[part] @ reports[part].T / self.config.objective.temperature)
            same = equal_keys(keys[part])
            found = float(same.gather(1, scores.argmax(dim=1, keepdim=True)).float().mean())
            rows.append((float(pair_loss(scores, same)), found, len(part)))
        losses, found_ones, sizes = zip(*rows, strict=True)
        return {
            name: float(np.average(each, weights=sizes))
            for name, each in (("pair loss", losses), ("found", found_ones))
        }
