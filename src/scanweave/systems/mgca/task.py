"""Learning task that MGCA hands to the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from scanweave.framework.classification.validation import validated
from scanweave.framework.network_memory import refuse_large_input
from scanweave.framework.network_task import NetworkTask, seeded_network
from scanweave.framework.reported.study_texts import StudyText
from scanweave.framework.reported.tokens import ReportTokenizer
from scanweave.framework.reported.zero_shot import prompt_directions, zero_shot_shares
from scanweave.nets.contrast import equal_keys, pair_loss
from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.systems.mgca.config import MgcaConfig
from scanweave.systems.mgca.inference import PairReader
from scanweave.systems.mgca.network import MgcaNetwork, make_network
from scanweave.systems.mgca.objective import MgcaObjective
from scanweave.systems.mgca.planning import MgcaPlan
from scanweave.systems.mgca.samples import PairSamples, key_number

Texts = Mapping[str, StudyText]
MOST_VALIDATED = 1_024
"""Validation pairs that a validation looks at."""
VALIDATION_STREAM = 3
"""Keeps their choice apart from what else is drawn from a seed."""


class MgcaTask(NetworkTask):
    """Network, objective, samples and validation of one fit; see `scanweave.engine.task.Task`.

    Args:
        config: All settings.
        plan: Findings, films and reports.
        tokenizer: Cuts reports.
        texts: Reports of all studies.
        training: Prepared training studies.
        validation: Prepared validation studies, and what is known of their findings `(N, K)`; may be none.
    """

    monitor = "pair loss"
    higher_is_better = False
    batch_coupled = True

    def __init__(
        self,
        config: MgcaConfig,
        plan: MgcaPlan,
        tokenizer: ReportTokenizer,
        texts: Texts,
        training: Sequence[CachedStudy],
        validation: tuple[Sequence[CachedStudy], NDArray[np.float64]],
    ) -> None:
        self.plan, self.config, self.tokenizer, self.texts = plan, config, tokenizer, texts
        drawn = np.random.default_rng([config.training.seed, VALIDATION_STREAM]).permutation(len(validation[0]))
        chosen = drawn[:MOST_VALIDATED]
        self.validation = [validation[0][place] for place in chosen], validation[1][chosen]
        self.validates = len(chosen) > 1
        refuse_large_input(plan.size, 1, "network.size", config.training.batch_size)
        self.network = seeded_network(config, lambda: make_network(plan, config.network))
        self.objective = MgcaObjective(self.network, config.objective)
        self.samples = PairSamples(training, texts, tokenizer, plan, config.sampling, config.training.seed)

    def after_step(self, step: int) -> None:
        """Bring prototypes back to length 1."""
        self.objective.after_step()

    def validate(self, network: nn.Module) -> dict[str, float] | None:
        """Return the loss of pairs in batches, how often the own report is the likest there, and the mean AUROC.

        `found` is how often a report of the same words is the likest in its batch; while it is near one in a batch,
        nothing is learnt yet. There is an AUROC where findings are told and known.
        """
        studies, answers = self.validation
        if not isinstance(network, MgcaNetwork):
            raise TypeError(f"an MgcaNetwork is validated, not a {type(network).__name__}")
        objective = self.config.objective
        reader = pair_reader(network, self.plan, self.tokenizer, self.config)
        images = reader.images({name: one.volume(name)[:] for name in one.names} for one in studies)
        reports = reader.reports([self.texts[study.id].sentences for study in studies])
        keys = torch.tensor([key_number(self.texts[study.id].key) for study in studies])
        losses, found, sizes = list[float](), list[float](), list[int]()
        for part in np.array_split(np.arange(len(studies)), -(-len(studies) // self.config.training.batch_size)):
            scores = torch.from_numpy(images[part] @ reports[part].T / objective.temperature)
            same = equal_keys(keys[part])
            losses.append(float(pair_loss(scores, same)))
            found.append(float(same.gather(1, scores.argmax(dim=1, keepdim=True)).float().mean()))
            sizes.append(len(part))
        told = {
            name: float(np.average(each, weights=sizes)) for name, each in (("pair loss", losses), ("found", found))
        }
        if self.plan.outputs and not np.isnan(answers).all():
            directions = prompt_directions(self.plan.prompts, reader.sentences)
            shares = zero_shot_shares(images, directions, objective.temperature)
            told |= {k: v for k, v in validated(answers, shares, self.plan).items() if k == "auroc"}
        return told


def pair_reader(network: MgcaNetwork, plan: MgcaPlan, tokenizer: ReportTokenizer, config: MgcaConfig) -> PairReader:
    """Return a network ready to look and to read, by the settings of its fit."""
    return PairReader(network, plan, tokenizer, config.sampling.crop, config.objective.token_temperature)
