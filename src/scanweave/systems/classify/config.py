"""Every setting of Classify, and its presets. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from scanweave.engine.settings import Name, Names, Settings, StartSettings, TrainingSettings
from scanweave.framework.classification.settings import EvaluateOptions as AnswerOptions
from scanweave.framework.classification.settings import LossSettings, Uncertain
from scanweave.framework.options import VerbOptions
from scanweave.framework.whole_images.settings import InputSettings
from scanweave.studies.preparing.settings import OWN_LEVELS, PreparationSettings


class NetworkSettings(InputSettings):
    """Settings of the network."""

    pooling: Literal["mean", "max", "both"] = Field("mean", description="How the last feature is pooled over voxels.")
    scans_as: Literal["auto", "channels", "views"] = Field(
        "auto",
        description="channels: of one image. views: each goes through the same encoder, and the features of those that "
        "are present are averaged. auto: views where scans share no grid, as films do not.",
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="Rate at which pooled features are dropped in training.")


class SamplingSettings(Settings):
    """Settings of what a training sample shows."""

    crop: float = Field(
        1.0, gt=0, le=1, description="Share of each axis that a sample shows, at random; 0.875 is usual on ImageNet."
    )
    augment: bool = Field(True, description="Vary samples: films as FILM says, volumes as nnU-Net does.")
    mirror: bool = Field(True, description="Mirror samples; off where the side is a finding, as in situs inversus.")
    drop_scans: float = Field(
        0.0, ge=0, lt=1, description="Share of samples that lose scans at random, so that studies without them do well."
    )

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        return {} if self.augment else {"mirror": "without sampling.augment"}


class ClassifyConfig(Settings):
    """Every setting; the values of the preset `chexnet` unless given."""

    preset: str = Field("chexnet", description="Name of these values, kept for the record.")
    scans: Names = Field((), description="Scans to read; none named: all that the cohort has.")
    labels: Names = Field(
        (), description="One label of classes, or several findings; may be left out where the cohort has one label."
    )
    uncertain: Uncertain = Field(
        "ignore", description="What an uncertain finding (-1) counts as: U-Ignore, U-Zeroes or U-Ones of CheXpert."
    )
    start: StartSettings = StartSettings()
    network: NetworkSettings = NetworkSettings(encoder="densenet121")
    loss: LossSettings = LossSettings()
    sampling: SamplingSettings = SamplingSettings()
    preparation: PreparationSettings = PreparationSettings(crop=False, orientation="LPS")
    training: TrainingSettings = TrainingSettings(
        steps=60_000,
        batch_size=16,
        optimizer="adam",
        learning_rate=1e-3,
        schedule="cosine",
        validate_every=2_000,
        checkpoint_every=1_000,
    )

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        return OWN_LEVELS


CHEXNET = ClassifyConfig()

SMALL = ClassifyConfig(
    preset="small",
    network=NetworkSettings(encoder="resnet18", width=0.5, most_pixels=128**2, most_voxels=48**3),
    training=TrainingSettings(
        steps=1_500,
        batch_size=32,
        optimizer="adamw",
        learning_rate=1e-3,
        weight_decay=5e-2,
        decay_norms_and_biases=False,
        schedule="cosine",
        warm_up=100,
        clip_norm=1.0,
        ema_decay=0.99,
        validate_every=150,
        checkpoint_every=300,
    ),
)

PRESETS = {"small": SMALL, "chexnet": CHEXNET}


class EvaluateOptions(AnswerOptions):
    """Options of `evaluate`."""

    localise: bool = Field(
        False,
        description="Also turn Grad-CAMs into boxes, and measure them against those of the cohort; films only. Costs a "
        "map a film and finding.",
    )


class ExplainOptions(VerbOptions):
    """Options of `explain`."""

    method: Literal["gradcam", "occlusion"] = Field(
        "gradcam", description="gradcam: gradients at the last feature; occlusion: what hiding a part takes away."
    )
    of: Name = Field("", description="Class or finding to explain; not given: the one that is most probable.")
    maps: int = Field(8, ge=1, description="Studies to explain at most, the surest of each class or finding first.")
    window: int = Field(8, ge=2, description="Edges of the hidden part are so many times shorter than the input's.")

    def without_effect(self) -> dict[str, str]:
        """Return the options that the others leave without effect, and why."""
        return {} if self.method == "occlusion" else {"window": f"with method {self.method}"}


OPTIONS: dict[str, type[VerbOptions]] = {"evaluate": EvaluateOptions, "explain": ExplainOptions}
"""Options of each verb that has some."""
