"""Every setting of MG-3D, and its presets. Imports no torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from scanweave.engine.settings import Channels, Layers, TrainingSettings
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
from scanweave.studies.preparing.settings import OWN_LEVELS, PreparationSettings


class NetworkSettings(InputSettings):
    """Settings of the network."""

    embedding: Channels = Field(768, description="Length of what volumes and reports are compared by.")
    hidden: Channels = Field(1_536, description="Width of the layer before it.")
    regions: Literal["last", "before last"] = Field(
        "last", description="Feature of the encoder whose places are the tokens of a volume."
    )
    fusion_width: Channels = Field(768, description="Width of the layers in which volumes and reports meet.")
    fusion_layers: Layers = Field(2, description="Of these layers, in each direction.")
    fusion_heads: Layers = Field(12, description="Heads of their attention.")

    @model_validator(mode="after")
    def _heads_part_the_width(self) -> Self:
        if self.fusion_width % self.fusion_heads:
            raise ValueError(f"{self.fusion_heads} fusion_heads do not divide fusion_width {self.fusion_width}")
        return self


class ObjectiveSettings(PairLossSettings):
    """Weights of the losses of one step."""

    temperature: float = Field(0.1, gt=0, description="Of volume against report.")
    pair: float = Field(0.1, gt=0, description="Weight of volume against report: InfoNCE in the batch.")
    blocks: float = Field(1.0, ge=0, description="Weight of hidden blocks of a volume, filled in by its report.")
    pieces: float = Field(1.0, ge=0, description="Weight of hidden words of a report, filled in by its volume.")
    soft: float = Field(
        0.0, ge=0, le=1, description="Share of the right answer that goes to the volumes of similar reports (λ)."
    )
    soft_temperature: float = Field(0.1, gt=0, description="Of the likeness of reports; less goes to fewer.")
    gated: float = Field(
        0.1,
        ge=0,
        description="Weight of the released code's term: what two sentences look at is as alike as they are.",
    )
    queue: int = Field(
        0, ge=0, le=2**16, description="Pairs of earlier batches that are wrong answers too; 0: the batch alone."
    )
    warm_in: int = Field(0, ge=0, description="Steps in which blocks, pieces, soft and gated rise to their values.")

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        found = {} if self.soft else {"soft_temperature": "without objective.soft"}
        rising = self.blocks or self.pieces or self.gated or self.soft
        return found | ({} if rising else {"warm_in": "without objective.blocks, pieces, soft and gated"})


class SamplingSettings(PairSamplingSettings):
    """Settings of what a training sample shows and hides."""

    crop: float = Field(1.0, gt=0, le=1, description="Share of each axis that a sample shows.")
    hidden: float = Field(0.5, gt=0, lt=1, description="Share of a volume's blocks that are hidden.")
    block: PositiveInt = Field(16, le=256, description="Edge of a block [voxels of the input].")
    masked: float = Field(0.15, gt=0, lt=1, description="Share of a report's words that are hidden, whole.")


class Mg3dConfig(PairConfig):
    """Every setting; the values of the preset `paper` unless given."""

    text: TextSettings = TextSettings(sections=("findings", "impression"), most_tokens=250, layers=12)
    preparation: PreparationSettings = PreparationSettings(crop=False, orientation="RAS")
    network: NetworkSettings = NetworkSettings(encoder="swin", size=(96, 128, 128))
    objective: ObjectiveSettings = ObjectiveSettings()
    sampling: SamplingSettings = SamplingSettings()
    training: TrainingSettings = TrainingSettings(
        steps=300_000,
        batch_size=4,
        optimizer="adam",
        learning_rate=1e-5,
        weight_decay=1e-8,
        schedule="poly",
        poly_power=1.0,
        warm_up=10_000,
        final_learning_rate=0.0,
        validate_every=3_000,
        checkpoint_every=1_000,
    )

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        unread = dict.fromkeys(["network.most_pixels"], "here: studies are volumes")
        found = OWN_LEVELS | unread | {"training.accumulate": "here: a loss compares the volumes of a batch"}
        found |= {} if self.objective.blocks else dict.fromkeys(_BLOCKS, "without objective.blocks")
        return found | ({} if self.objective.pieces else {"sampling.masked": "without objective.pieces"})


_BLOCKS = ("sampling.hidden", "sampling.block")

PAPER = Mg3dConfig()

SMALL = Mg3dConfig(
    preset="small",
    text=TextSettings(
        sections=("findings", "impression"), width=128, layers=2, heads=4, most_tokens=128, vocabulary=4_000
    ),
    network=NetworkSettings(
        encoder="resnet18",
        width=0.5,
        small_images=False,
        most_voxels=48**3,
        embedding=64,
        hidden=256,
        regions="before last",
        fusion_width=128,
        fusion_layers=1,
        fusion_heads=4,
    ),
    objective=ObjectiveSettings(
        temperature=0.07, pair=1.0, blocks=0.5, pieces=0.2, soft=0.2, gated=0.0, warm_in=300, copies="together"
    ),
    sampling=SamplingSettings(some_sentences=0.5, block=8),
    training=TrainingSettings(
        steps=1_500,
        batch_size=32,
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


class VolumeEvaluateOptions(EvaluateOptions):
    """Options of `evaluate`."""

    filling: bool = Field(
        False, description="Also measure whether hidden blocks are filled in better by the own report than by another."
    )
    pictures: int = Field(2, ge=0, description="Studies whose filled blocks are drawn.")

    def without_effect(self) -> dict[str, str]:
        """Return the options that the others leave without effect, and why."""
        return super().without_effect() | ({} if self.filling else {"pictures": "without filling"})


OPTIONS: dict[str, type[VerbOptions]] = {"evaluate": VolumeEvaluateOptions, "explain": ExplainOptions}
"""Options of each verb that has some."""
