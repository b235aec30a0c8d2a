"""Every setting of FreeTumor, its presets and options. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from scanweave.engine.settings import Channels, Names, Settings, TrainingSettings
from scanweave.framework.options import VerbOptions
from scanweave.framework.segmentation.settings import EvaluateOptions as SegmentationOptions
from scanweave.framework.segmentation.settings import (
    InferenceSettings,
    NetworkSettings,
    SamplingSettings,
    SegmentationConfig,
)
from scanweave.studies.preparing.settings import PreparationSettings

Source = Literal["learnt", "rules", "copied"]
Millimetres = Annotated[float, Field(gt=0, le=300)]
Share = Annotated[float, Field(ge=0, le=1)]


class SynthesisSettings(Settings):
    """Settings of the tumours that are put into scans while the segmentor learns."""

    source: Source = Field(
        "learnt",
        description="learnt: by a generator. rules: a texture of a drawn contrast, as SynTumor; copied: real tumours "
        "of the training studies, as CarveMix; these two need no generator.",
    )
    share: Share = Field(1.0, description="Share of the crops with organ and without tumour that are offered one.")
    labelled: float | None = Field(
        None, gt=0, lt=1, description="Share of crops that are of studies with a tumour; None: every study as often."
    )
    diameters: tuple[Millimetres, ...] = Field(
        (12.0, 24.0, 48.0, 96.0), min_length=1, description="Classes of diameter [mm], each as likely where it fits."
    )
    shape: Literal["ellipsoid", "grown"] = Field("ellipsoid", description="See scanweave synthesize --help.")
    contrast: Literal["fixed", "labelled"] = Field(
        "fixed",
        description="fixed: SynTumor's range of contrast [HU]. labelled: those of the tumours of the training studies.",
    )
    gain: tuple[float, float] = Field((1.0, 1.0), description="Least and largest factor on what a generator changes.")
    judged: bool = Field(True, description="Whether a segmentor of labelled studies alone decides which tumours count.")
    measure: Literal["found", "sure"] = Field(
        "found", description="What is judged. found: share of voxels called tumour. sure: mean probability of tumour."
    )
    accepted: tuple[Share, Share] = Field((0.7, 1.0), description="Least and largest of it; others are not put in.")
    tries: PositiveInt = Field(1, le=8, description="Tumours that are tried in a crop before it stays healthy.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name, (low, high) in (("gain", self.gain), ("accepted", self.accepted)):
            if low > high:
                raise ValueError(f"{name}: {low:g} is above {high:g}")
        return self

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        idle = ["measure", "tries"] + ([] if self.source == "learnt" else ["accepted"])  # a generator heeds its band
        found = {} if self.judged else dict.fromkeys(idle, "without synthesis.judged")
        found |= {} if self.source == "learnt" else {"gain": "without a generator"}
        if self.source == "copied":
            found |= dict.fromkeys(["contrast", "diameters", "shape"], "with synthesis.source copied")
        return found


class GeneratorSettings(Settings):
    """Settings of the generator and its adversary."""

    first_channels: Channels = Field(32, description="Channels of the first of four stages, doubled each stage.")
    conditioned: bool = Field(
        False, description="Whether it is told mask, size and contrast; else it sees the scan alone, as published."
    )
    reach: float | None = Field(None, gt=0, description="Largest change [HU]; None: FreeTumor's window of 425.")
    adversarial: float = Field(0.1, ge=0, description="Weight of the adversary's loss; 0.1 abdomen, 0.5 chest.")
    discriminator: Literal["linear", "entropy"] = Field(
        "linear",
        description="linear: 1 − mean probability, in tumours alone, as released. entropy: cross-entropy, balanced "
        "over background, real and made.",
    )
    band: bool = Field(
        False, description="Whether the judge need only be as sure as synthesis.accepted asks; else surer is better."
    )
    prior: float = Field(0.0, ge=0, description="Weight of the distance of the contrast from one of a labelled tumour.")
    training: TrainingSettings = Field(TrainingSettings(), description="How both are trained.")


class FreeTumorConfig(SegmentationConfig):
    """Every setting; the values of the preset `faithful` unless given. `training` is that of the last segmentor."""

    organ_mask: str = Field("organs", description="Mask of the organs that tumours lie in.")
    organ: Names = Field((), description="Structures in it that tumours lie in; none named: all of it.")
    synthesis: SynthesisSettings = SynthesisSettings()
    generator: GeneratorSettings = GeneratorSettings()
    judge: TrainingSettings = Field(TrainingSettings(), description="Training of the first segmentor.")

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        found = super().without_effect()
        found |= {} if self.uses_generator else {"generator": "without a generator"}
        return found | ({} if self.uses_judge else {"judge": "without synthesis.judged and without a generator"})

    @property
    def uses_generator(self) -> bool:
        """Tell whether a generator is learnt."""
        return self.synthesis.source == "learnt"

    @property
    def uses_judge(self) -> bool:
        """Tell whether a first segmentor is learnt, as a judge."""
        return self.synthesis.judged or self.uses_generator


_SEGMENTOR = TrainingSettings(
    steps=20_000,
    batch_size=2,
    optimizer="adamw",
    learning_rate=3e-4,
    weight_decay=1e-5,
    schedule="cosine",
    warm_up=500,
    clip_norm=None,
    validate_every=1_000,
    checkpoint_every=1_000,
)
_ADVERSARIES = TrainingSettings(
    steps=20_000,
    batch_size=4,
    optimizer="adam",
    learning_rate=1e-4,
    betas=(0.0, 0.999),
    schedule="constant",
    clip_norm=None,
    validate_every=1_000,
    checkpoint_every=1_000,
)
_ABDOMEN = PreparationSettings(crop=False, window=(-175.0, 250.0))
FAITHFUL = FreeTumorConfig(
    preset="faithful",
    network=NetworkSettings(encoder="swin", patch=(96, 96, 96), batch_voxels=2 * 96**3),
    sampling=SamplingSettings(foreground=0.5, rotate=False),
    inference=InferenceSettings(overlap=0.75, mirror=False),
    preparation=_ABDOMEN,
    generator=GeneratorSettings(training=_ADVERSARIES),
    judge=_SEGMENTOR,
    training=_SEGMENTOR,
)
BEST = FreeTumorConfig(
    preset="best",
    network=NetworkSettings(patch_voxels=96**3, batch_voxels=2 * 96**3),
    sampling=SamplingSettings(foreground=0.5),
    preparation=_ABDOMEN,
    synthesis=SynthesisSettings(
        share=0.75,
        labelled=0.5,
        shape="grown",
        contrast="labelled",
        gain=(0.3, 1.0),
        measure="sure",
        accepted=(0.5, 0.98),
        tries=3,
    ),
    generator=GeneratorSettings(
        conditioned=True, reach=150.0, discriminator="entropy", band=True, prior=1.0, training=_ADVERSARIES
    ),
    judge=_SEGMENTOR.model_copy(update={"ema_decay": 0.999}),
    training=_SEGMENTOR.model_copy(update={"ema_decay": 0.999}),
)
RULES = BEST.model_copy(
    update={
        "preset": "rules",
        "synthesis": SynthesisSettings(source="rules", share=0.75, labelled=0.5, contrast="labelled", judged=False),
        "generator": GeneratorSettings(),
        "judge": TrainingSettings(),
    }
)
_QUICK = TrainingSettings(
    steps=1_500,
    batch_size=4,
    optimizer="adamw",
    learning_rate=2e-3,
    weight_decay=1e-2,
    schedule="cosine",
    warm_up=100,
    clip_norm=1.0,
    ema_decay=0.99,
    validate_every=500,
    checkpoint_every=500,
)
SMALL = BEST.model_copy(
    update={
        "preset": "small",
        "network": NetworkSettings(
            patch_voxels=40**3, batch_voxels=4 * 40**3, padded=False, first_channels=12, stages=4
        ),
        "inference": InferenceSettings(mirror=False),
        "generator": BEST.generator.model_copy(
            update={
                "first_channels": 8,
                "training": _ADVERSARIES.model_copy(
                    update={"steps": 600, "learning_rate": 5e-4, "validate_every": 300, "checkpoint_every": 300}
                ),
            }
        ),
        "judge": _QUICK,
        "training": _QUICK,
    }
)
PRESETS = {"small": SMALL, "best": BEST, "faithful": FAITHFUL, "rules": RULES}


class EvaluateOptions(SegmentationOptions):
    """Options of `evaluate`."""

    lesions: bool = Field(True, description="Also count lesions: which were found, and how many false ones there are.")
    covered: float = Field(0.2, ge=0, le=1, description="Share of a lesion that must be found; 0: one voxel.")
    false_rate: float | None = Field(
        0.5, ge=0, description="Also lesions and Dice at the threshold with so many false lesions a scan."
    )


OPTIONS: dict[str, type[VerbOptions]] = {"evaluate": EvaluateOptions}
"""Options of each verb that has some."""
