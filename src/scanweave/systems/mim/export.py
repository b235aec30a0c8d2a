"""The encoder of a fitted MiM as it goes into a file: a view in, its features out."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from scanweave.augment.crops import central_crop
from scanweave.framework.exporting.graph import Feeds, Graph
from scanweave.studies.preparing.preparation import background
from scanweave.studies.study import Study
from scanweave.systems.mim.fitted import FittedMim
from scanweave.systems.mim.levels import AXES

VIEW, FEATURE = "view", "feature"


class LastFeature(nn.Module):
    """Map a view to the encoder's last feature, pooled over its voxels.

    Args:
        encoder: Ready to predict.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, view: Tensor) -> Tensor:
        """Map `(1, 1, X, Y, Z)` to `(1, D)`."""
        made: Tensor = self.encoder(view)[-1].flatten(2).mean(2)
        return made


def graph_of(run: FittedMim) -> Graph:
    """Return the encoder of a run on one view."""
    edge = run.config.levels.view

    def feeds(study: Study) -> Feeds:
        prepared = run.prepared(study)
        name = next(iter(prepared.volumes))
        around = background(run.plan, name)
        view = central_crop(prepared.volumes[name].shape, (edge,) * AXES).read(prepared.volumes[name], around)
        return {VIEW: np.nan_to_num(view, nan=around)[None, None].astype(np.float32)}

    encoder = run.reconstructor.network.encoder
    return Graph(LastFeature(encoder), {VIEW: torch.zeros(1, 1, *(edge,) * AXES)}, (FEATURE,), feeds)
