"""Learning task that Detect hands to the engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import nn

from scanweave.framework.classification.validation import binary_truths, validated
from scanweave.framework.network_memory import refuse_large_input
from scanweave.framework.network_task import NetworkTask, seeded_network
from scanweave.measures.detection import average_precision, match_boxes
from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.systems.detect.config import DetectConfig
from scanweave.systems.detect.detector import Detector
from scanweave.systems.detect.inference import Film, FilmReader, Reading
from scanweave.systems.detect.make_network import make_network
from scanweave.systems.detect.objective import DetectObjective
from scanweave.systems.detect.planning import DetectPlan
from scanweave.systems.detect.samples import FilmSamples
from scanweave.systems.detect.truth import FilmTruth

IOU = 0.5
"""Of the average precision that a validation measures."""
Known = tuple[Sequence[CachedStudy], Sequence[FilmTruth]]


class DetectTask(NetworkTask):
    """Network, objective, samples and validation of one fit; see `scanweave.engine.task.Task`.

    Args:
        config: All settings.
        plan: The question and the input.
        training: Prepared training films, and what is known of each.
        validation: Likewise; may be none.
    """

    monitor = "AP50"

    def __init__(self, config: DetectConfig, plan: DetectPlan, training: Known, validation: Known) -> None:
        self.plan, self.validation = plan, validation
        self.validates = bool(validation[0])
        refuse_large_input(plan.size, plan.channels, "network.size", config.training.batch_size)
        self.network = seeded_network(config, lambda: make_network(plan, config.network))
        self.objective = DetectObjective(self.network, config.loss)
        self.samples = FilmSamples(*training, plan, config.sampling, config.training.seed)
        if not any(map(_has_boxes, validation[1])):
            self.monitor = "auroc"
            if not any(len(set(known[~np.isnan(known)])) > 1 for known in self._answers.T):
                self.monitor, self.higher_is_better = "log loss", False

    @property
    def _answers(self) -> Any:
        rows = [truth.answers for truth in self.validation[1]]
        return np.array(rows).reshape(len(rows), len(self.plan.outputs))

    def validate(self, network: nn.Module) -> dict[str, float] | None:
        """Return the mean AP at IoU 0.5 of the annotated films, log loss and mean AUROC of all."""
        films, truths = self.validation
        if not films:
            return None
        if not isinstance(network, Detector):
            raise TypeError(f"a Detector is validated, not a {type(network).__name__}")
        read = FilmReader(network, self.plan).read(cached_film(film, self.plan) for film in films)
        shares = np.stack([one.shares for one in read])
        found = {}
        if any(map(_has_boxes, truths)):
            found["AP50"] = mean_precision(truths, read)
        answered = [number for number, known in enumerate(binary_truths(self._answers, self.plan)) if known.size]
        return {**found, **(validated(self._answers, shares, self.plan) if answered else {})}


def _has_boxes(truth: FilmTruth) -> bool:
    """Tell whether the average precision knows a film as one with findings."""
    return truth.is_complete and len(truth.findings) > 0


def mean_precision(truths: Sequence[FilmTruth], read: Sequence[Reading]) -> float:
    """Return the mean over classes of the AP at IoU 0.5, of the films whose boxes are all there."""
    pairs = [(truth.boxes, one.boxes) for truth, one in zip(truths, read, strict=True) if truth.is_complete]
    matches = match_boxes([pair[0] for pair in pairs], [pair[1] for pair in pairs], (IOU,))
    values = [float(average_precision(one)[0]) for one in matches.values()]
    return float(np.nanmean(values)) if not np.isnan(values).all() else 0.0


def cached_film(film: CachedStudy, plan: DetectPlan) -> Film:
    """Return a prepared film on disk as a network reads it."""
    width, height, _ = film.frames[plan.scan].native.shape
    return Film(np.asarray(film.volume(plan.scan)[:]), (width, height))
