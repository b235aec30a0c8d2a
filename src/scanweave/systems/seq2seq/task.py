"""The task that Seq2Seq hands to the engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.framework.cohort_fit import PLAN
from scanweave.framework.network_memory import refuse_large_input
from scanweave.framework.network_task import NetworkTask, seeded_network
from scanweave.studies.preparing.plan import Plan
from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.studies.preparing.series_frames import SeriesFrames
from scanweave.systems.seq2seq.config import Seq2SeqConfig
from scanweave.systems.seq2seq.frame_values import NONE, series_nodes
from scanweave.systems.seq2seq.fusion_network import FusionNetwork, make_network
from scanweave.systems.seq2seq.fusion_objective import FusionObjective
from scanweave.systems.seq2seq.fusion_samples import SubsetSamples
from scanweave.systems.seq2seq.network import Seq2SeqNetwork
from scanweave.systems.seq2seq.objective import Seq2SeqObjective
from scanweave.systems.seq2seq.renumbering import REGRESSION, renumbered
from scanweave.systems.seq2seq.samples import CropSamples
from scanweave.systems.seq2seq.shape_groups import grouped
from scanweave.systems.seq2seq.synthesis import FusingSynthesizer, Synthesizer, Volume, ready_synthesizer

RANGE = 2.0
"""Width of the range [-1, 1] that validation measures PSNR in, as the paper does."""


class Seq2SeqTask(NetworkTask):
    """Network, objective, samples and validation of one fit; see `scanweave.engine.task.Task`.

    Args:
        config: All settings.
        sequences: Names in the order of their numbers.
        training: Prepared training studies.
        validation: Prepared validation studies; may be none.
        series: The typical frames of each sequence that is a series, by the plan.
    """

    def __init__(
        self,
        config: Seq2SeqConfig,
        sequences: Sequence[str],
        training: Sequence[CachedStudy],
        validation: Sequence[CachedStudy],
        series: Mapping[str, SeriesFrames] = NONE,
    ) -> None:
        about: dict[str, Any] = {"network": config.network, "settings": config.sampling, "series": series}
        about["seed"] = config.training.seed
        nodes = series_nodes(sequences, series)
        network = seeded_network(config, lambda: make_network(config.network, len(sequences), nodes))
        self.network = network
        if isinstance(network, FusionNetwork):
            several = [study for study in training if len(study.names) > 1]
            if not several:
                raise ScanweaveError("network.fusion", "no training study holds two sequences", "Import complete ones")
            samples = SubsetSamples(several, sequences, **about)
            self.samples: CropSamples = samples
            network.regression.learn(samples.moments(config.sampling.regression_samples))
            self.objective: nn.Module = FusionObjective(network, config.objective)
        else:
            self.samples = CropSamples(training, sequences, **about)
            self.objective = Seq2SeqObjective(network, config.objective)
        images, where = (2 * config.sampling.frames if series else 2), "network.slices and sampling.crop"
        refuse_large_input(self.samples.size, images, where, config.training.batch_size)
        self.config, self.sequences, self.series = config, tuple(sequences), series
        self.validation = [s for s in validation if s.names][: config.synthesis.validation_studies]
        self.validates = bool(self.validation)

    @staticmethod
    def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
        """Join samples to a batch, those of equal shapes together; see `grouped`."""
        return grouped(samples)

    def start_weights(self, weights: Mapping[str, Tensor], origin: Run | None) -> Mapping[str, Tensor]:
        """Return the weights with the sequences of this fit in place of those of another, by their names.

        The regression stays that of the patients at hand, which was learnt before.
        """
        if origin is not None and origin.record.get("system") == "seq2seq":
            before = Plan.load(origin.folder / PLAN).scans
            weights = renumbered(weights, before, self.sequences, self.network.state_dict())
        return {name: value for name, value in weights.items() if not name.startswith(REGRESSION)}

    def validate(self, network: nn.Module) -> dict[str, float] | None:
        """Mean PSNR [dB] of every sequence of the validation studies, in [-1, 1].

        As published, over all (source, target) pairs, self-pairs included; of fused sources, from all others.
        """
        if not self.validation:
            return None
        if not isinstance(network, Seq2SeqNetwork):
            raise TypeError(f"a Seq2SeqNetwork is validated, not a {type(network).__name__}")
        around = {name: value for study in self.validation for name, value in study.backgrounds.items()}
        about = (self.sequences, self.config.synthesis, self.config.sampling, around, self.series)
        synthesizer = ready_synthesizer(network, *about)
        values = []
        for study in self.validation:
            depth = study.frame.shape[2]
            first = max(0, (depth - self.config.synthesis.validation_slices) // 2)
            last = min(depth, first + self.config.synthesis.validation_slices)
            real = {name: study.slices(name, first, last) for name in study.names}
            made_by_network = _validated(synthesizer.of_study(study.series) if self.series else synthesizer, real)
            errors = [(made - real[target]) ** 2 for target, made in made_by_network]
            values += [np.nanmean(error) for error in errors if not np.isnan(error).all()]  # NaN: not covered
        if not values:
            return None
        return {"psnr": float(np.mean([10 * np.log10(RANGE**2 / max(value, 1e-10)) for value in values]))}


def _validated(synthesizer: Synthesizer, real: Mapping[str, Volume]) -> Iterator[tuple[str, Volume]]:
    """Yield each target as it is judged: from all others where sources are fused, else from every single one."""
    if isinstance(synthesizer, FusingSynthesizer):
        yield from (synthesizer.fuse(real, list(real)) if len(real) > 1 else {}).items()
        return
    for source, volume in real.items():
        yield from synthesizer.translate(source, volume, list(real)).items()
