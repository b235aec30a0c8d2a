"""Encoders of timm, in two dimensions: every model that hands out features (optional group `timm`)."""

from __future__ import annotations

import difflib

from torch import Tensor, nn

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.nets.encoder_scales import PROBE_SIZE_VOXELS, feature_scales


class TimmEncoder(nn.Module):
    """Run a model of timm that hands out features, with random weights.

    Args:
        model: Its name in timm, such as `efficientnet_b0`, without the name of a set of weights.
        channels_in: Channels of the input.
        dimensions: 2.
        image_size: Pixels of the input's edge, for models that take one size only; None: any size.

    Raises:
        ScanweaveError: timm is absent, has no such model or no features of it, or 3 dimensions are asked for.
    """

    def __init__(self, model: str, channels_in: int, dimensions: int = 2, image_size: int | None = None) -> None:
        super().__init__()
        where = f"encoder timm/{model}"
        if dimensions != 2:
            raise ScanweaveError(
                where,
                f"timm's networks have 2 dimensions, not {dimensions}",
                "Give resnet18 or another of MONAI's names",
            )
        timm = require("timm", "timm")
        if not timm.is_model(model):
            near = difflib.get_close_matches(model, timm.list_models(), n=1)
            step = f"Did you mean {near[0]}?" if near else "Give a name of timm.list_models()"
            raise ScanweaveError(where, "timm has none of this name", step)
        size = {} if image_size is None else {"img_size": image_size}
        try:
            self.network = timm.create_model(model, pretrained=False, features_only=True, in_chans=channels_in, **size)
        except (RuntimeError, TypeError, AttributeError) as error:
            raise ScanweaveError(where, f"timm cannot make it: {error}", "Give another model or option") from error
        # Swin and its kin hand out (B, H, W, C); some of timm's classes do not say their format and hand out the other
        self._channels_last = getattr(getattr(self.network, "output_fmt", None), "value", "NCHW") == "NHWC"
        self.dimensions = 2
        try:
            self.channels, self.strides = feature_scales(self, channels_in, 2, image_size or PROBE_SIZE_VOXELS)
        except (AssertionError, RuntimeError) as error:
            raise ScanweaveError(where, f"does not take any size: {error}", "Give image_size") from error

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map `(B, C, H, W)` to features, fine to coarse."""
        features = self.network(x)
        return [one.permute(0, 3, 1, 2) for one in features] if self._channels_last else list(features)
