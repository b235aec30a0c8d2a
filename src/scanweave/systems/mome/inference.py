"""Whole studies through the network: probabilities, embeddings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scanweave.systems.mome.config import InputSettings
from scanweave.systems.mome.inputs import StudyInput, batch_of
from scanweave.systems.mome.network import MomeNetwork
from scanweave.systems.mome.planning import MomePlan

BATCH, MOST_VOXELS = 16, 16 * 96**3
"""Studies that go through the network at once, at most, and voxels of their images."""


class Diagnoser:
    """A network ready to answer for whole studies.

    Args:
        network: On its device.
        plan: The question and the modalities.
        settings: How images fit into the input.
    """

    def __init__(self, network: MomeNetwork, plan: MomePlan, settings: InputSettings) -> None:
        self.network, self.plan, self.settings = network.eval(), plan, settings
        voxels = sum(math.prod(image.size) * (image.frames or 1) for image in plan.images)
        self.at_once = max(1, min(BATCH, MOST_VOXELS // max(1, voxels)))

    def batch(self, studies: Sequence[StudyInput]) -> dict[str, Tensor]:
        """Return studies as a batch on the network's device."""
        device = self.network.answer.device
        return {name: values.to(device) for name, values in batch_of(studies, self.plan, self.settings).items()}

    @torch.inference_mode()
    def logits(self, studies: Iterable[StudyInput]) -> NDArray[np.float64]:
        """Return the logits of studies `(N, K)`.

        Raises:
            ScanweaveError: A study has no modality of the run.
        """
        found: list[Tensor] = []
        waiting: list[StudyInput] = []
        for study in studies:
            waiting.append(study)
            if len(waiting) == self.at_once:
                found.append(self.network(self.batch(waiting)).double().cpu())
                waiting = []
        if waiting:
            found.append(self.network(self.batch(waiting)).double().cpu())
        return torch.cat(found).numpy() if found else np.zeros((0, len(self.plan.outputs)))

    def probabilities(self, studies: Iterable[StudyInput]) -> NDArray[np.float64]:
        """Return the probability of each class or finding of studies `(N, K)`."""
        made: NDArray[np.float64] = self.plan.probabilities(torch.from_numpy(self.logits(studies))).numpy()
        return made

    @torch.inference_mode()
    def embedding(self, study: StudyInput) -> NDArray[np.float32]:
        """Return what the head reads of a study `(D,)`."""
        made: NDArray[np.float32] = self.network.embed(self.batch([study]))[0].cpu().numpy()
        return made
