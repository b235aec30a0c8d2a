"""The task that Seq2Seq hands to the engine."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from torch import nn

from scanweave.framework.network_memory import refuse_large_input
from scanweave.framework.network_task import NetworkTask, seeded_network
from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.systems.seq2seq.config import Seq2SeqConfig
from scanweave.systems.seq2seq.network import Seq2SeqNetwork
from scanweave.systems.seq2seq.objective import Seq2SeqObjective
from scanweave.systems.seq2seq.samples import CropSamples
from scanweave.systems.seq2seq.synthesis import Synthesizer

RANGE = 2.0
"""Width of the range [-1, 1] that validation measures PSNR in, as the paper does."""


class Seq2SeqTask(NetworkTask):
    """Network, objective, samples and validation of one fit; see `scanweave.engine.task.Task`.

    Args:
        config: All settings.
        sequences: Names in the order of their numbers.
        training: Prepared training studies.
        validation: Prepared validation studies; may be none.
    """

    def __init__(
        self,
        config: Seq2SeqConfig,
        sequences: Sequence[str],
        training: Sequence[CachedStudy],
        validation: Sequence[CachedStudy],
    ) -> None:
        seed = config.training.seed
        self.samples = CropSamples(training, sequences, network=config.network, settings=config.sampling, seed=seed)
        refuse_large_input(self.samples.size, 2, "network.slices and sampling.crop", config.training.batch_size)
        self.network = seeded_network(config, lambda: Seq2SeqNetwork(config.network))
        self.objective = Seq2SeqObjective(self.network, config.objective)
        self.config, self.sequences = config, tuple(sequences)
        self.validation = [s for s in validation if s.names][: config.synthesis.validation_studies]

    def validate(self, network: nn.Module) -> dict[str, float] | None:
        """Mean PSNR [dB] over all (source, target) pairs that the validation studies have, self-pairs included."""
        if not self.validation:
            return None
        if not isinstance(network, Seq2SeqNetwork):
            raise TypeError(f"a Seq2SeqNetwork is validated, not a {type(network).__name__}")
        around = {name: value for study in self.validation for name, value in study.backgrounds.items()}
        synthesizer = Synthesizer(network, self.sequences, self.config.synthesis, self.config.sampling, around)
        values = []
        for study in self.validation:
            depth = study.frame.shape[2]
            first = max(0, (depth - self.config.synthesis.validation_slices) // 2)
            last = min(depth, first + self.config.synthesis.validation_slices)
            real = {name: study.slices(name, first, last) for name in study.names}
            made = {source: synthesizer.translate(source, volume, study.names) for source, volume in real.items()}
            errors = [(made[s][t] - real[t]) ** 2 for s, t in product(study.names, repeat=2)]
            values += [np.nanmean(error) for error in errors if not np.isnan(error).all()]  # NaN: not covered
        return {"psnr": float(np.mean([10 * np.log10(RANGE**2 / max(value, 1e-10)) for value in values]))}
