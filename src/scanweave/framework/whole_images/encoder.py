"""The encoder of a plan: by name, or that of a pre-training run."""

from __future__ import annotations

from scanweave.framework.whole_images.planning import WholeImagePlan
from scanweave.framework.whole_images.settings import InputSettings
from scanweave.nets.axis_order import ordered_encoder
from scanweave.nets.encoders import Encoder, make_encoder


def encoder_of(plan: WholeImagePlan, settings: InputSettings, channels: int) -> Encoder:
    """Return a new encoder of images `(B, channels, [Z,] Y, X)` with random weights.

    Args:
        plan: Dimensions, and the encoder of a pre-training run.
        settings: Its name and width.
        channels: Of its input.

    Raises:
        ScanweaveError: There is no such encoder, or not in so many dimensions.
    """
    if plan.encoder is not None:
        own = plan.encoder
        made: Encoder = ordered_encoder(own.name, channels, plan.dimensions, own.options, own.axes, "ZYX")
        return made
    return make_encoder(settings.encoder, channels, plan.dimensions, **encoder_options(plan, settings))


def encoder_options(plan: WholeImagePlan, settings: InputSettings) -> dict[str, bool | float]:
    """Return what the encoder that the settings name is made with."""
    resnet = settings.encoder.startswith("resnet")
    return {"small_images": plan.small_images, "width": settings.width} if resnet else {}
