"""Whole studies through the network: overlapping patches with Gaussian weights, mirrored if asked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, combinations

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray
from torch import Tensor

from scanweave.engine.progress import in_parts, tell_share
from scanweave.framework.segmentation.planning import NetworkPlan
from scanweave.framework.segmentation.settings import InferenceSettings
from scanweave.nets.segmentation_network import SegmentationNetwork
from scanweave.nets.sizes import window_count
from scanweave.studies.preparing.preparation import Volume

Arrays = dict[str, Volume]


class Segmenter:
    """A network ready to segment whole studies.

    Args:
        network: On its device.
        scans: Names in the order of the channels.
        plan: Size of a patch.
        settings: Overlap, mirrored views, batch.
        exclusive: Whether structures exclude each other: softmax over them and the background; else a sigmoid each.
    """

    def __init__(
        self,
        network: SegmentationNetwork,
        scans: Sequence[str],
        plan: NetworkPlan,
        settings: InferenceSettings,
        exclusive: bool = True,
    ) -> None:
        self.network, self.scans, self.plan, self.settings = network.eval(), tuple(scans), plan, settings
        self.exclusive = exclusive

    def probabilities(self, volumes: Arrays) -> NDArray[np.float32]:
        """Return the probability of each output `(K, X, Y, Z)`; absent scans change no bit of it.

        Args:
            volumes: Prepared scans that are present, `(X, Y, Z)`.
        """
        shape = next(iter(volumes.values())).shape
        there = [name in volumes for name in self.scans]
        device = next(self.network.parameters()).device
        image = torch.zeros(1, len(self.scans), *shape)
        for number, name in enumerate(self.scans):
            if there[number]:
                image[0, number] = torch.from_numpy(np.nan_to_num(volumes[name]))
        present = torch.tensor(there, device=device)
        flat = self.plan.dimensions == 2
        batch = image[0].permute(3, 0, 1, 2) if flat else image  # slices are samples of their own
        with torch.inference_mode():
            samples = in_parts(torch.split(batch, 1), len(batch))
            parts = [self._mirrored(one.to(device), present).cpu() for one in samples]
        made = torch.cat(parts)
        return (made.permute(1, 2, 3, 0) if flat else made[0]).numpy()

    def _mirrored(self, image: Tensor, present: Tensor) -> Tensor:
        axes = [2 + axis for axis in self.plan.mirrored if self.settings.mirror]
        views = [*chain.from_iterable(combinations(axes, count) for count in range(len(axes) + 1))]
        found = [self._windows(image.flip(view), present).flip(view) for view in in_parts(views, len(views))]
        return torch.stack(found).mean(dim=0)

    def _windows(self, image: Tensor, present: Tensor) -> Tensor:
        patch, overlap = self.plan.patch[: self.plan.dimensions], self.settings.overlap
        number, seen = window_count(image.shape[2:], patch, overlap), 0

        def predict(patches: Tensor) -> Tensor:
            nonlocal seen
            seen += len(patches)
            tell_share(min(1.0, seen / number))
            logits: Tensor = self.network(patches, present.expand(len(patches), -1))
            return logits.float().softmax(dim=1) if self.exclusive else logits.float().sigmoid()

        made: Tensor = sliding_window_inference(
            image,
            patch,
            self.settings.batch,
            predict,
            overlap=overlap,
            mode="gaussian",
        )
        return made
