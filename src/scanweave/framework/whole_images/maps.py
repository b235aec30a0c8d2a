"""Maps of what a network saw, brought to the native grid."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from scanweave.framework.whole_images.planning import WholeImagePlan
from scanweave.framework.whole_images.reading import plane_order
from scanweave.studies.preparing.plan import Plan
from scanweave.studies.preparing.preparation import Frame, to_native
from scanweave.studies.scan import Scan


def native_scan_of(shown: Tensor, frame: Frame, plan: WholeImagePlan, preparation: Plan, crop: float) -> Scan:
    """Return a map on the native grid, at least 0; 0 where the network did not look.

    Args:
        shown: Of the size of the network's input `([Z,] Y, X)`.
        frame: How the image was made ready.
        plan: Axes and size of the input.
        preparation: How studies are made ready.
        crop: Share of each axis that the network sees.
    """
    axes = plane_order(plan)
    whole = [round(edge / crop) for edge in plan.size]
    middle = torch.zeros(whole)
    start = [(a - b) // 2 for a, b in zip(whole, shown.shape, strict=True)]
    middle[tuple(slice(a, a + n) for a, n in zip(start, shown.shape, strict=True))] = shown
    mode = "bilinear" if plan.dimensions == 2 else "trilinear"
    sizes = [frame.shape[axis] for axis in axes]
    grown = F.interpolate(middle[None, None], size=sizes, mode=mode, align_corners=False)[0, 0].numpy().T
    full = np.zeros(frame.working.shape, np.float32)
    full[frame.box] = grown if plan.thin is None else np.expand_dims(grown, plan.thin)
    native = np.maximum(to_native(full, frame, preparation), 0)
    return Scan.of(native, frame.native.affine, space=frame.native.space)
