"""Every setting of MOME, and its presets. Imports no torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from scanweave.engine.settings import Channels, Layers, Name, Names, Settings, StartSettings, TrainingSettings
from scanweave.framework.classification.settings import EvaluateOptions as AnswerOptions
from scanweave.framework.classification.settings import LossSettings, Uncertain
from scanweave.framework.options import VerbOptions
from scanweave.studies.preparing.settings import OWN_LEVELS, PreparationSettings


class InputSettings(Settings):
    """Settings of what the network sees of each modality; what is left open is planned from the training studies."""

    fit: Literal["resize", "paste"] = Field(
        "resize",
        description="resize: every image is resized to the input of its modality. paste: it keeps its voxels unless it "
        "is larger than the input, and what lies beside it is masked everywhere.",
    )
    size: tuple[PositiveInt, ...] | None = Field(
        None, description="Input along (Z,) Y, X [voxels], the same for all images; None: planned for each modality."
    )
    most_pixels: PositiveInt = Field(224**2, description="Most pixels of a planned film.")
    most_voxels: PositiveInt = Field(96**3, description="Most voxels of a planned volume.")
    series: Literal["channels", "time"] = Field(
        "channels",
        description="Frames of a series (4D). channels: of one image, resampled in time to the usual number. time: "
        "each frame has tokens of its own, told when it was taken; any number of them.",
    )

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        return {} if self.size is None else dict.fromkeys(["most_pixels", "most_voxels"], "with input.size")


class NetworkSettings(Settings):
    """Sizes of the network, and how absence is told."""

    width: Channels = Field(768, description="Width of a token (D).")
    heads: Channels = Field(12, description="Heads of each attention; they part the width.")
    sparse_layers: int = Field(9, ge=0, le=1000, description="Layers in which a token sees its own modality alone.")
    soft_layers: Layers = Field(3, description="Layers after them in which all tokens see each other.")
    hidden: float = Field(4.0, gt=0, le=64, description="Width of a feed-forward layer, in widths of a token.")
    adapter_ratio: float = Field(0.25, gt=0, le=4, description="Width of an adapter, in widths of a token.")
    experts: int = Field(
        128, ge=0, le=2**14, description="Experts of each soft layer; 0: one adapter that all tokens share."
    )
    slots: Channels = Field(1, description="Slots of each expert.")
    stem: tuple[Channels, Channels] = Field((64, 128), description="Channels of a stem's first two convolutions.")
    stem_norm: Literal["instance", "none"] = Field(
        "instance", description="Norm in a stem, of each channel over its voxels; none: how bright an image is, stays."
    )
    stride: Literal[8, 16] = Field(16, description="Voxels along an axis that make one token.")
    drop_path: float = Field(0.15, ge=0, lt=1, description="Rate at which the last layer is skipped; others less.")
    backbone: Literal["trained", "frozen"] = Field(
        "frozen",
        description="Whether attention and feed-forward layers are trained, or stay as they begin (--from) beside the "
        "stems, positions, adapters and head, which are trained.",
    )
    evidence: float = Field(
        0.0,
        ge=0,
        description="Weight in training of what each modality answers by itself. Above 0 the joint answer begins at "
        "the prevalence and the sum of these, as log-odds of independent witnesses add up, and the layers in which all "
        "see each other correct it; 0: as published, there is none.",
    )
    absent: Literal["drop", "zeros", "mean", "learned"] = Field(
        "drop",
        description="What stands for an absent modality. drop: nothing, which is exact. zeros: an empty image. mean: "
        "the mean of the training studies. learned: one learnt token.",
    )

    @model_validator(mode="after")
    def _heads_part_the_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not part a width of {self.width}")
        return self

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        return {} if self.experts else {"slots": "with network.experts 0"}


class SamplingSettings(Settings):
    """Settings of what a training sample shows."""

    drop: float = Field(
        0.5, ge=0, lt=1, description="Share of samples that lose modalities at random, never all of them."
    )
    augment: bool = Field(True, description="Vary samples: where they lie and their noise, of films intensities too.")
    mirror: bool = Field(True, description="Mirror samples; off where the side is a finding.")

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        return {} if self.augment else {"mirror": "without sampling.augment"}


class MomeConfig(Settings):
    """Every setting; the values of the preset `paper` unless given."""

    preset: str = Field("paper", description="Name of these values, kept for the record.")
    scans: Names = Field((), description="Scans to read, each a modality; none named: all that the cohort has.")
    variables: Names = Field((), description="Variables of the clinical table to read; none named: all; none: `none`.")
    labels: Names = Field(
        (), description="One label of classes, or several findings; may be left out where the cohort has one label."
    )
    uncertain: Uncertain = Field(
        "ignore", description="What an uncertain finding (-1) counts as: U-Ignore, U-Zeroes or U-Ones of CheXpert."
    )
    start: StartSettings = StartSettings(part="layers", prefix="layers.")
    input: InputSettings = InputSettings(fit="paste", most_voxels=384 * 256 * 128)
    network: NetworkSettings = NetworkSettings()
    loss: LossSettings = LossSettings()
    sampling: SamplingSettings = SamplingSettings()
    preparation: PreparationSettings = PreparationSettings(crop=False, orientation="LPS", grid="own")
    training: TrainingSettings = TrainingSettings(
        steps=16_000,
        batch_size=1,
        accumulate=32,
        optimizer="adam",
        learning_rate=1e-4,
        weight_decay=5e-4,
        schedule="cosine",
        validate_every=500,
        checkpoint_every=250,
    )

    @model_validator(mode="after")
    def _stand_ins_have_a_size(self) -> Self:
        absent = self.network.absent
        if absent in ("zeros", "mean") and (self.input.fit == "paste" or self.input.series == "time"):
            raise ValueError(f"network.absent {absent} needs input.fit resize and input.series channels")
        return self

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        return OWN_LEVELS


PAPER = MomeConfig()

SMALL = MomeConfig(
    preset="small",
    input=InputSettings(most_pixels=96**2, most_voxels=32**3),
    network=NetworkSettings(
        width=96,
        heads=4,
        sparse_layers=3,
        soft_layers=2,
        hidden=2.0,
        experts=16,
        stem=(16, 32),
        stem_norm="none",
        stride=8,
        drop_path=0.05,
        backbone="trained",
        evidence=0.5,
    ),
    training=TrainingSettings(
        steps=2_000,
        batch_size=64,
        optimizer="adamw",
        learning_rate=3e-3,
        weight_decay=0.2,
        decay_norms_and_biases=False,
        schedule="cosine",
        warm_up=100,
        clip_norm=1.0,
        ema_decay=0.99,
        validate_every=200,
        checkpoint_every=400,
    ),
)

MALIGNANCY = SMALL.model_copy(update={"preset": "malignancy"})
"""Benign or malignant: an evaluation then also says which biopsies would be spared."""
SUBTYPE = SMALL.model_copy(update={"preset": "subtype", "loss": LossSettings(class_weights="balanced")})
"""Subtypes, of which some are rare: all weigh the same."""
RESPONSE = SMALL.model_copy(update={"preset": "response", "loss": LossSettings(class_weights="balanced")})
"""Response to treatment, such as pCR, which is rarer than none: both weigh the same."""

PRESETS = {
    "small": SMALL,
    "malignancy": MALIGNANCY,
    "subtype": SUBTYPE,
    "response": RESPONSE,
    "paper": PAPER,
}


class EvaluateOptions(AnswerOptions):
    """Options of `evaluate`."""

    subsets: bool | None = Field(
        None, description="Also measure what is told from every subset of the modalities; None: of at most eight."
    )


class ExplainOptions(VerbOptions):
    """Options of `explain`."""

    of: Name = Field("", description="Class or finding to explain; not given: the last one, or each finding.")
    maps: int = Field(4, ge=0, description="Studies to map at most; contributions are measured of all.")
    gradient_steps: int = Field(32, ge=8, le=1024, description="Steps of the integrated gradients.")


OPTIONS: dict[str, type[VerbOptions]] = {"evaluate": EvaluateOptions, "explain": ExplainOptions}
"""Options of each verb that has some."""
