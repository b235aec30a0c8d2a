"""Every setting of MGCA, and its presets. Imports no torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from scanweave.engine.settings import Channels, TrainingSettings
from scanweave.framework.options import VerbOptions
from scanweave.framework.reported.settings import (
    EvaluateOptions,
    ExplainOptions,
    PairConfig,
    PairLossSettings,
    PairSamplingSettings,
    TextSettings,
)
from scanweave.framework.whole_images.settings import InputSettings
from scanweave.studies.preparing.settings import OWN_LEVELS


class NetworkSettings(InputSettings):
    """Settings of the network."""

    embedding: Channels = Field(128, description="Length of what films, reports, words and regions are compared by.")
    hidden: Channels = Field(2_048, description="Width of the layer before it, in each of the four heads.")
    regions: Literal["last", "before last"] = Field(
        "before last", description="Feature of the encoder whose places are the regions of a film."
    )
    prototypes: PositiveInt = Field(500, description="Groups that films and reports are to be put into alike.")


class ObjectiveSettings(PairLossSettings):
    """Weights of the losses of one step."""

    instance: float = Field(1.0, ge=0, description="Weight of film against report: InfoNCE in the batch.")
    token: float = Field(1.0, ge=0, description="Weight of words against regions of the same pair.")
    prototype: float = Field(1.0, ge=0, description="Weight of films and reports having the same prototypes.")
    token_temperature: float = Field(0.1, gt=0, description="Of attention between words and regions, and their loss.")
    prototype_temperature: float = Field(0.2, gt=0, description="Of the choice among prototypes.")
    sharpness: float = Field(0.05, gt=0, description="Sinkhorn's regularisation of the codes; less is sharper.")
    rounds: PositiveInt = Field(3, le=100, description="Of Sinkhorn's balancing.")
    frozen_steps: int = Field(1_500, ge=0, description="First steps in which prototypes stay where they are.")
    warm_in: int = Field(0, ge=0, description="Steps in which the weights of token and prototype rise to their values.")

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


class MgcaConfig(PairConfig):
    """Every setting; the values of the preset `paper` unless given."""

    network: NetworkSettings = NetworkSettings(encoder="resnet50")
    objective: ObjectiveSettings = ObjectiveSettings()
    sampling: PairSamplingSettings = PairSamplingSettings()
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
    sampling=PairSamplingSettings(some_sentences=0.5),
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


OPTIONS: dict[str, type[VerbOptions]] = {"evaluate": EvaluateOptions, "explain": ExplainOptions}
"""Options of each verb that has some."""
