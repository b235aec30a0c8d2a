"""Every setting of Segment, and its presets. Imports no torch."""

from __future__ import annotations

from scanweave.engine.settings import TrainingSettings
from scanweave.framework.options import VerbOptions
from scanweave.framework.segmentation.settings import (
    EvaluateOptions,
    NetworkSettings,
    SamplingSettings,
    SegmentationConfig,
)


class SegmentConfig(SegmentationConfig):
    """Every setting; the values of the preset `nnunet` unless given."""


NNUNET = SegmentConfig()

SMALL = SegmentConfig(
    preset="small",
    network=NetworkSettings(patch_voxels=96 * 96 * 32, batch_voxels=100_000, padded=False, first_channels=16, stages=5),
    sampling=SamplingSettings(mirror="left-right"),
    training=TrainingSettings(
        steps=2_000,
        batch_size=2,
        optimizer="adamw",
        learning_rate=2e-3,
        weight_decay=1e-2,
        schedule="cosine",
        warm_up=100,
        clip_norm=1.0,
        ema_decay=0.995,
        validate_every=500,
        checkpoint_every=500,
    ),
)

PRESETS = {"small": SMALL, "nnunet": NNUNET}


OPTIONS: dict[str, type[VerbOptions]] = {"evaluate": EvaluateOptions}
"""Options of each verb that has some."""
