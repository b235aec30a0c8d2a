"""Every setting of MGCA, and its presets. Imports no torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from scanweave.engine.settings import Channels, Name, Names, Settings, StartSettings, TrainingSettings
from scanweave.framework.options import VerbOptions
from scanweave.framework.reported.settings import EvaluateOptions as ReportedOptions
from scanweave.framework.reported.settings import PromptSettings, TextSettings
from scanweave.framework.whole_images.settings import InputSettings
from scanweave.studies.preparing.settings import OWN_LEVELS, PreparationSettings


class NetworkSettings(InputSettings):
    """Settings of the network."""

    embedding: Channels = Field(128, description="Length of what films, reports, words and regions are compared by.")
    hidden: Channels = Field(2_048, description="Width of the layer before it, in each of the four heads.")
    regions: Literal["last", "before last"] = Field(
        "before last", description="Feature of the encoder whose places are the regions of a film."
    )
    prototypes: PositiveInt = Field(500, description="Groups that films and reports are to be put into alike.")


class ObjectiveSettings(Settings):
    """Weights of the losses of one step."""

    instance: float = Field(1.0, ge=0, description="Weight of film against report: InfoNCE in the batch.")
    token: float = Field(1.0, ge=0, description="Weight of words against regions of the same pair.")
    prototype: float = Field(1.0, ge=0, description="Weight of films and reports having the same prototypes.")
    temperature: float = Field(0.07, gt=0, description="Of film against report.")
    token_temperature: float = Field(0.1, gt=0, description="Of attention between words and regions, and their loss.")
    prototype_temperature: float = Field(0.2, gt=0, description="Of the choice among prototypes.")
    sharpness: float = Field(0.05, gt=0, description="Sinkhorn's regularisation of the codes; less is sharper.")
    rounds: PositiveInt = Field(3, le=100, description="Of Sinkhorn's balancing.")
    frozen_steps: int = Field(1_500, ge=0, description="First steps in which prototypes stay where they are.")
    warm_in: int = Field(0, ge=0, description="Steps in which the weights of token and prototype rise to their values.")
    copies: Literal["apart", "together"] = Field(
        "apart",
        description="Films whose reports have equal words: apart counts them as wrong pairs, as the paper does.",
    )

    @model_validator(mode="after")
    def _something_is_learnt(self) -> Self:
        if not (self.instance or self.token or self.prototype):
            raise ValueError("objective.instance, token and prototype are all 0: nothing would be learnt")
        return self

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        found = {} if self.instance else dict.fromkeys(["temperature", "copies"], "without objective.instance")
        found |= {} if self.token else {"token_temperature": "without objective.token"}
        lost = ["prototype_temperature", "sharpness", "rounds", "frozen_steps"]
        found |= {} if self.prototype else dict.fromkeys(lost, "without objective.prototype")
        none = not (self.token or self.prototype)
        return found | ({"warm_in": "without objective.token and objective.prototype"} if none else {})


class SamplingSettings(Settings):
    """Settings of what a training sample shows."""

    crop: float = Field(0.875, gt=0, le=1, description="Share of each axis that a sample shows; 224 of 256 pixels.")
    augment: bool = Field(False, description="Vary films as FILM says, but for left and right, which reports name.")
    some_sentences: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of samples that read some sentences of their report only, drawn anew each time, so that "
        "single sentences are understood.",
    )


class MgcaConfig(Settings):
    """Every setting; the values of the preset `paper` unless given."""

    preset: str = Field("paper", description="Name of these values, kept for the record.")
    scans: Names = Field((), description="Films to read, one of them a sample; none named: all that the cohort has.")
    text: TextSettings = TextSettings()
    prompts: PromptSettings = PromptSettings()
    start: StartSettings = StartSettings()
    network: NetworkSettings = NetworkSettings(encoder="resnet50")
    objective: ObjectiveSettings = ObjectiveSettings()
    sampling: SamplingSettings = SamplingSettings()
    preparation: PreparationSettings = PreparationSettings(crop=False, orientation="LPS")
    training: TrainingSettings = TrainingSettings(
        steps=75_000,
        batch_size=144,
        optimizer="adamw",
        learning_rate=2e-5,
        weight_decay=0.05,
        schedule="cosine",
        warm_up=30_000,
        final_learning_rate=1e-8,
        validate_every=1_500,
        checkpoint_every=500,
    )

    @model_validator(mode="after")
    def _batch_has_pairs(self) -> Self:
        if self.training.batch_size < 2:
            raise ValueError("training.batch_size must be 2 or more: a loss compares the films of a batch")
        return self

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        unread = dict.fromkeys(["network.most_voxels"], "here: studies are films")
        return OWN_LEVELS | unread | {"training.accumulate": "here: a loss compares the films of a batch"}


PAPER = MgcaConfig()

SMALL = MgcaConfig(
    preset="small",
    text=TextSettings(width=128, layers=2, heads=4, most_tokens=96, vocabulary=4_000),
    network=NetworkSettings(encoder="resnet18", width=0.5, most_pixels=128**2, embedding=64, hidden=256, prototypes=32),
    objective=ObjectiveSettings(frozen_steps=100, warm_in=300, copies="together"),
    sampling=SamplingSettings(some_sentences=0.5),
    training=TrainingSettings(
        steps=1_500,
        batch_size=64,
        optimizer="adamw",
        learning_rate=1e-3,
        weight_decay=0.05,
        decay_norms_and_biases=False,
        schedule="cosine",
        warm_up=100,
        clip_norm=1.0,
        final_learning_rate=1e-6,
        ema_decay=0.99,
        validate_every=150,
        checkpoint_every=300,
    ),
)

PRESETS = {"small": SMALL, "paper": PAPER}


class EvaluateOptions(ReportedOptions):
    """Options of `evaluate`."""

    pointing: bool = Field(
        False, description="Also play the pointing game: is the map of a finding's words highest in its boxes?"
    )


class ExplainOptions(VerbOptions):
    """Options of `explain`."""

    of: Name = Field("", description="Finding whose sentences are looked for; not given: the most probable one.")
    text: str = Field("", description='Words to look for in place of a finding, such as "left rib fracture".')
    maps: int = Field(8, ge=1, description="Studies to explain at most.")
    words: int = Field(0, ge=0, le=12, description="Words of the study's own report to map too, the weightiest first.")

    def without_effect(self) -> dict[str, str]:
        """Return the options that the others leave without effect, and why."""
        return {"of": "with text"} if self.text else {}


OPTIONS: dict[str, type[VerbOptions]] = {"evaluate": EvaluateOptions, "explain": ExplainOptions}
"""Options of each verb that has some."""
