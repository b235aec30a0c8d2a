"""The network of a fitted ULTRA as it goes into a file: filtered backprojections in, clean images out."""

from __future__ import annotations

import numpy as np
import torch

from scanweave.augment.crops import central_crop
from scanweave.errors import ScanweaveError
from scanweave.framework.exporting.graph import Feeds, Graph
from scanweave.studies.study import Study
from scanweave.systems.ultra.fitted import FittedUltra

IMAGES, CLEAN = "images", "clean"
TILE = 256
"""Pixels along each edge of what the file takes."""


def graph_of(run: FittedUltra) -> Graph:
    """Return the network of a run on one tile `(1, S, 256, 256)` [1/mm].

    Raises:
        ScanweaveError: It looks at the measurements too.
    """
    if run.network.needs_sinogram:
        reason = "projects within its network (learned primal–dual), which no operator of ONNX does"
        raise ScanweaveError(run.run.folder, reason, "Export a run of another architecture")
    example = torch.zeros(1, len(run.plan.bins), TILE, TILE)

    def feeds(study: Study) -> Feeds:
        image = run.images(study).fbp
        return {IMAGES: central_crop(image.shape[1:], (TILE, TILE)).read(image)[None].astype(np.float32)}

    return Graph(run.network, {IMAGES: example}, (CLEAN,), feeds, settings={"bins": list(run.plan.bins)})
