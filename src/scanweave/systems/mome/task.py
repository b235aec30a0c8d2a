"""Learning task that MOME hands to the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from scanweave.engine.run import Run
from scanweave.engine.weight_shapes import stem_of, with_channels
from scanweave.framework.classification.validation import binary_truths, validated
from scanweave.framework.network_memory import refuse_large_input
from scanweave.framework.network_task import NetworkTask, seeded_network
from scanweave.systems.mome.config import InputSettings, MomeConfig
from scanweave.systems.mome.inference import Diagnoser
from scanweave.systems.mome.inputs import batch_of
from scanweave.systems.mome.network import MomeNetwork, image_channels, make_network
from scanweave.systems.mome.objective import MomeObjective
from scanweave.systems.mome.planning import MomePlan
from scanweave.systems.mome.samples import KnownStudy, MomeSamples

Known = tuple[Sequence[KnownStudy], NDArray[np.float64]]


class MomeTask(NetworkTask):
    """Network, objective, samples and validation of one fit; see `scanweave.engine.task.Task`.

    Args:
        config: All settings.
        plan: The question and the modalities.
        training: Training studies, and what is known of them.
        validation: Likewise; may be none.
    """

    monitor = "auroc"

    def __init__(self, config: MomeConfig, plan: MomePlan, training: Known, validation: Known) -> None:
        self.plan, self.config, self.validation = plan, config, validation
        self.validates = bool(validation[0])
        for image in plan.images:
            refuse_large_input(image.size, image.frames or 1, "input.size", config.training.batch_size)
        self.network = seeded_network(config, lambda: make_network(plan, config.network))
        self.objective = MomeObjective(self.network, plan.kind, plan.shares, config.loss)
        self.samples = MomeSamples(*training, plan, config)
        self.collate = partial(_collate, plan=plan, settings=config.input)  # type: ignore[method-assign]
        if not any(len(set(known.tolist())) > 1 for known in binary_truths(validation[1], plan)):
            self.monitor, self.higher_is_better = "log loss", False  # there is no AUROC of one class

    def start_weights(self, weights: Mapping[str, Tensor], origin: Run | None) -> Mapping[str, Tensor]:
        """Return the encoder of a pre-training run as that of each modality that has it; other weights as they are."""
        own = [number for number, image in enumerate(self.plan.images) if image.encoder is not None]
        if not own:
            return weights
        found = dict[str, Tensor]()
        for number in own:
            encoder = self.network.encoders[str(number)]
            stem, channels = stem_of(encoder)[0], image_channels(self.plan, number)
            for name, value in weights.items():
                part = name.removeprefix("encoder.")
                if part != name:
                    other = part == stem and value.shape[1] != channels
                    found[f"encoders.{number}.{part}"] = with_channels(value, channels) if other else value
        return found

    def validate(self, network: nn.Module) -> Mapping[str, float] | None:
        """Return log loss and mean AUROC, of each class against the others or of each finding."""
        studies, answers = self.validation
        if not studies:
            return None
        if not isinstance(network, MomeNetwork):
            raise TypeError(f"a MomeNetwork is validated, not a {type(network).__name__}")
        diagnoser = Diagnoser(network, self.plan, self.config.input)
        shares = diagnoser.probabilities(study.read(self.plan, self.config) for study in studies)
        return validated(answers, shares, self.plan)


def _collate(samples: list[dict[str, Any]], plan: MomePlan, settings: InputSettings) -> dict[str, Any]:
    """Join samples to a batch of the network with what is known of them."""
    return {
        **batch_of([sample["input"] for sample in samples], plan, settings),
        **{name: torch.stack([sample[name] for sample in samples]) for name in ("answer", "known")},
        "case": [sample["case"] for sample in samples],
    }
