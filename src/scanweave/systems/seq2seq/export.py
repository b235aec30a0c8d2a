"""The network of a fitted Seq2Seq as it goes into a file: a slice or crop of one sequence in, that of another out."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from scanweave.augment.crops import central_crop
from scanweave.errors import ScanweaveError
from scanweave.framework.exporting.graph import Feeds, Graph
from scanweave.studies.study import Study
from scanweave.systems.seq2seq.fitted import FittedSeq2Seq
from scanweave.systems.seq2seq.network import Seq2SeqNetwork

IMAGE, SOURCE, TARGET, MADE = "image", "source", "target", "made"
LONGEST_EDGE = {2: 256, 3: 64}
"""Longest edge of the input by the network's dimensions, where the run was trained on crops that are larger."""


class AnyToAny(nn.Module):
    """Map one image of a sequence to that of another; the kernels are made within, from the numbers of the sequences.

    Args:
        network: Ready to predict.
    """

    def __init__(self, network: Seq2SeqNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Map `(1, C, [D,] H, W)` in [-1, 1] and numbers `(1,)` to the same shape."""
        made: Tensor = self.network(image[:, None], source, target)[:, 0]
        return made


def graph_of(run: FittedSeq2Seq) -> Graph:
    """Return the network of a run on one crop, for any source and any target.

    Raises:
        ScanweaveError: The run knows series.
    """
    if run.plan.series:
        reason = f"has a network that is told times and b-values of series ({', '.join(run.plan.series)})"
        raise ScanweaveError(run.run.folder, f"{reason}, which no file can hold", "Export a run on volumes")
    settings = run.config.network
    dimensions, channels = settings.dimensions, settings.image_channels
    step = 2 ** (len(settings.channels) - 1)
    most = LONGEST_EDGE[dimensions]
    crop = run.config.sampling.crop
    edge = max(step, math.ceil(min(crop if isinstance(crop, int) else max(crop), most) / step) * step)
    shape = (edge,) * dimensions

    def feeds(study: Study) -> Feeds:
        prepared = run.prepare(study)
        name = next(iter(prepared.volumes))
        volume = np.nan_to_num(prepared.volumes[name], nan=-1.0)
        if dimensions == 3:
            read = central_crop(volume.shape, shape).read(volume, -1.0)[None]
        else:
            middle = (volume.shape[2] - channels) // 2
            stack = np.moveaxis(volume[:, :, max(middle, 0) : max(middle, 0) + channels], 2, 0)
            read = central_crop(stack.shape[1:], shape).read(stack, -1.0)
        source = run.sequences.index(name)
        target = (source + 1) % len(run.sequences)
        return {IMAGE: read[None].astype(np.float32), SOURCE: np.array([source]), TARGET: np.array([target])}

    inputs = {IMAGE: torch.zeros(1, channels, *shape), SOURCE: torch.tensor([0]), TARGET: torch.tensor([1])}
    network = run.synthesizer.network
    return Graph(AnyToAny(network), inputs, (MADE,), feeds, settings={"sequences": list(run.sequences)})
