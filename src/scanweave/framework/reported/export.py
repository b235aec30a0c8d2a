"""The image side of a network of images and reports as it goes into a file: an image in, its vector out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from scanweave.framework.exporting.graph import Feeds, Graph
from scanweave.framework.reported.fitted_pairs import FittedPairs
from scanweave.studies.study import Study

IMAGE, VECTOR = "image", "vector"


class ImageVector(nn.Module):
    """Map one image to the vector that is compared with those of sentences.

    Args:
        network: A `PairNetwork`, ready to predict.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Map `(1, 1, [Z,] Y, X)` to `(1, d)`."""
        made: Tensor = self.network.images(image)
        return made


def graph_of(run: FittedPairs[Any]) -> Graph:
    """Return the image side of a run on one image; beside it lie the directions of its findings."""
    reader = run.reader

    def feeds(study: Study) -> Feeds:
        name, volume = next(iter(run.prepared(study).volumes.items()))
        return {IMAGE: reader.scan(volume, name).cpu().numpy()}

    told = {"findings": list(run.plan.labels), "temperature": run.config.objective.temperature}
    if run.plan.labels:
        told["directions"] = run.directions.round(6).tolist()
    return Graph(
        ImageVector(reader.network), {IMAGE: torch.zeros(1, 1, *run.plan.size)}, (VECTOR,), feeds, settings=told
    )
