"""Studies as a network sees them: whole, resized, in the order of its axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scanweave.augment.crops import central_crop
from scanweave.augment.resizing import resized
from scanweave.errors import ScanweaveError
from scanweave.framework.whole_images.planning import WholeImagePlan


def whole_image(volumes: Mapping[str, Any], plan: WholeImagePlan, crop: float = 1.0) -> tuple[Tensor, list[bool]]:
    """Return the scans of a study as channels, resized so that `crop` of each axis is the network's input.

    Args:
        volumes: Prepared scans that are present `(X, Y, Z)`.
        plan: Names, axes and size of the input.
        crop: Share of each axis that the network sees.

    Returns:
        `(C, (Z,) Y, X)`, 0 where a scan is absent or covers nothing; and which are present.

    Raises:
        ScanweaveError: A volume where films are wanted, or the reverse.
    """
    size = [round(edge / crop) for edge in plan.size]
    present = [name in volumes for name in plan.scans]
    image = torch.zeros(len(present), *size)
    for number, name in enumerate(plan.scans):
        if present[number]:
            image[number] = resized(oriented_volume(np.asarray(volumes[name]), plan)[None], size)[0]
    return image, present


def network_input(volumes: Mapping[str, Any], plan: WholeImagePlan, crop: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return a batch of one study, its middle where the network sees less than all: `(1, C, …)` and booleans `(1, C)`.

    Args:
        volumes: As in `whole_image`.
        plan: As there.
        crop: As there.
    """
    image, present = whole_image(volumes, plan, crop)
    middle = central_crop(image.shape[1:], plan.size).read(image)
    return torch.as_tensor(middle)[None], torch.tensor([present])


def plane_order(plan: WholeImagePlan) -> list[int]:
    """Return the axes of a prepared volume in the order of the network's: (Z,) Y, X, without that of one voxel."""
    return [axis for axis in (2, 1, 0) if axis != plan.thin]


def oriented_volume(volume: NDArray[np.float32], plan: WholeImagePlan) -> Tensor:
    """Return a prepared volume in the order of the network's axes."""
    if plan.thin is not None:
        if volume.shape[plan.thin] != 1:
            shape = "×".join(map(str, volume.shape))
            raise ScanweaveError("scans", f"a volume of {shape} voxels for a run on films", "Give films")
        volume = np.take(volume, [0], axis=plan.thin).squeeze(plan.thin)
    return torch.from_numpy(np.ascontiguousarray(np.nan_to_num(volume).T))
