"""Whole studies through the network: overlapping patches with Gaussian weights, mirrored if asked, back to native."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, combinations

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray
from torch import Tensor

from scanweave.engine.progress import in_parts, tell_share
from scanweave.nets.segmentation_network import SegmentationNetwork
from scanweave.nets.sizes import window_count
from scanweave.studies.preparing.plan import Plan
from scanweave.studies.preparing.preparation import Frame, Volume, to_native
from scanweave.systems.segment.config import InferenceSettings
from scanweave.systems.segment.planning import NetworkPlan

Arrays = dict[str, Volume]


class Segmenter:
    """A network ready to segment whole studies.

    Args:
        network: On its device.
        scans: Names in the order of the channels.
        plan: Size of a patch.
        settings: Overlap, mirrored views, batch.
    """

    def __init__(
        self, network: SegmentationNetwork, scans: Sequence[str], plan: NetworkPlan, settings: InferenceSettings
    ) -> None:
        self.network, self.scans, self.plan, self.settings = network.eval(), tuple(scans), plan, settings

    def probabilities(self, volumes: Arrays) -> NDArray[np.float32]:
        """Return the probability of each class `(K, X, Y, Z)`; absent scans change no bit of it.

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
        axes = range(2, image.ndim) if self.settings.mirror else ()
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
            return logits.float().softmax(dim=1)

        made: Tensor = sliding_window_inference(
            image,
            patch,
            self.settings.batch,
            predict,
            overlap=overlap,
            mode="gaussian",
        )
        return made


def native_labels(shares: NDArray[np.float32], values: Sequence[int], frame: Frame, plan: Plan) -> NDArray[np.int16]:
    """Return the label map of the most probable classes on the native grid.

    Probabilities, not labels, are resampled, so that a structure does not grow steps.

    Args:
        shares: Of each class `(K, X, Y, Z)` on the prepared grid.
        values: Value in the label map of the classes 1, 2, …
        frame: How the prepared grid lies in the native one.
        plan: How the study was made ready.
    """
    box = tuple(slice(a, a + n) for a, n in zip(frame.start, frame.shape, strict=True))
    best = np.full(frame.native.shape, 0.0, np.float32)
    labels = np.zeros(frame.native.shape, np.int16)
    whole: Callable[[float], Volume] = lambda fill: np.full(frame.working.shape, fill, np.float32)  # noqa: E731
    for number, value in enumerate((0, *values)):
        full = whole(float(number == 0))  # what lies outside of the prepared box is background
        full[box] = shares[number]
        share = to_native(full, frame, plan)
        better = share > best
        labels[better], best[better] = value, share[better]
    return labels
