"""Whole studies through the network: probabilities, embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scanweave.framework.whole_images.reading import network_input
from scanweave.nets.classification_network import ClassificationNetwork
from scanweave.systems.classify.planning import ClassifyPlan

BATCH = 16
"""Studies that go through the network at once."""


class Classifier:
    """A network ready to classify whole studies.

    Args:
        network: On its device.
        plan: The question and the input.
        crop: Share of each axis that the network sees.
    """

    def __init__(self, network: ClassificationNetwork, plan: ClassifyPlan, crop: float) -> None:
        self.network, self.plan, self.crop = network.eval(), plan, crop

    def input(self, volumes: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """Return a study as the network takes it, on its device: `(1, C, …)` and which scans are there `(1, C)`."""
        device = next(self.network.parameters()).device
        image, present = network_input(volumes, self.plan, self.crop)
        return image.to(device), present.to(device)

    def probabilities(self, studies: Iterable[Mapping[str, Any]]) -> NDArray[np.float64]:
        """Return the probability of each class or finding of studies `(N, K)`; absent scans change no bit of it.

        Args:
            studies: Prepared scans of each that are present, `(X, Y, Z)`.
        """
        found: list[Tensor] = []
        waiting: list[tuple[Tensor, Tensor]] = []
        with torch.inference_mode():
            for volumes in studies:
                waiting.append(self.input(volumes))
                if len(waiting) == BATCH:
                    found.append(self._shares(waiting))
                    waiting = []
            if waiting:
                found.append(self._shares(waiting))
        return torch.cat(found).numpy() if found else np.zeros((0, len(self.plan.outputs)))

    def embedding(self, volumes: Mapping[str, Any]) -> NDArray[np.float32]:
        """Return the pooled feature of a study `(D,)`."""
        with torch.inference_mode():
            made: NDArray[np.float32] = self.network.embed(*self.input(volumes))[0].cpu().numpy()
        return made

    def _shares(self, inputs: list[tuple[Tensor, Tensor]]) -> Tensor:
        images, present = (torch.cat(parts) for parts in zip(*inputs, strict=True))
        return self.plan.probabilities(self.network(images, present).double().cpu())
