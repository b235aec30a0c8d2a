"""Every setting of MiM, and its presets. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from scanweave.engine.settings import Channels, Layers, Names, Settings, StartSettings, TrainingSettings
from scanweave.framework.options import VerbOptions
from scanweave.studies.preparing.settings import OWN_LEVELS, PreparationSettings

Ratio = Annotated[float, Field(gt=0, lt=1)]
Weight = Annotated[float, Field(ge=0)]


class LevelSettings(Settings):
    """Settings of the levels: a crop, then parts of it that it hides, then parts of these that they hide."""

    extent: PositiveInt = Field(192, le=1024, description="Edge of the crop that the first level sees [voxels].")
    view: PositiveInt = Field(96, le=512, description="Edge of what the network sees of every level [voxels].")
    units: tuple[PositiveInt, ...] = Field(
        (3, 1, 1), min_length=1, description="Blocks along an edge of what is hidden or shown together, for each level."
    )
    ratios: tuple[Ratio, ...] = Field((0.5, 0.6, 0.5), description="Share that is hidden at each level.")
    children: tuple[PositiveInt, ...] = Field(
        (4, 4), description="Of the hidden units of a level, those that the next one looks into."
    )

    @model_validator(mode="after")
    def _levels_agree(self) -> Self:
        levels = len(self.units)
        if len(self.ratios) != levels or len(self.children) != levels - 1:
            raise ValueError(f"{levels} levels need {levels} units and ratios, and {levels - 1} children")
        return self


class NetworkSettings(Settings):
    """Settings of encoder and decoder."""

    encoder: str = Field("hybrid", description="Encoder by name: hybrid, swin, resnet18, segresnet, plain.")
    widths: tuple[Channels, ...] = Field(
        (48, 96, 192, 384), min_length=2, description="Channels of each stage of the hybrid encoder."
    )
    depths: tuple[Layers, ...] = Field((2, 2, 2, 11), description="Layers of each of its stages.")
    heads: Layers = Field(12, description="Heads of attention of its last stage.")
    fusion: Literal["pooled", "convolution"] = Field(
        "pooled", description="How its early stages reach its output; convolution: by kernels of 8³, as published."
    )
    encoder_width: float = Field(1.0, gt=0, le=64, description="Factor on the channels of a resnet.")
    block: PositiveInt = Field(16, le=64, description="Edge of a block [voxels] where the encoder is not the hybrid.")
    hidden: Literal["absent", "filled"] = Field(
        "absent",
        description="absent: the encoder computes visible blocks alone (hybrid). filled: hidden ones hold one value.",
    )
    decoder: Literal["transformer", "linear"] = Field(
        "transformer", description="linear: one layer on the features of hidden blocks, as SimMIM; with hidden filled."
    )
    decoder_width: Channels = Field(576, description="Numbers of a token in the decoder.")
    decoder_layers: Layers = Field(8, description="Layers of the decoder.")
    decoder_heads: Layers = Field(16, description="Heads of attention of the decoder.")
    views_at_once: PositiveInt | None = Field(
        None,
        description="Views whose activations are in memory at once; others are computed anew. None: all of a level.",
    )

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if self.encoder == "hybrid" and len(self.depths) != len(self.widths):
            raise ValueError("give a depth for each width")
        if self.encoder != "hybrid" and self.hidden == "absent":
            raise ValueError("only the hybrid encoder leaves hidden blocks out: give hidden filled")
        if self.decoder == "linear" and self.hidden == "absent":
            raise ValueError("a linear decoder reads the features of hidden blocks: give hidden filled")
        return self

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        own = ["widths", "depths", "heads", "fusion"]
        found = dict.fromkeys(["block"] if self.encoder == "hybrid" else own, f"with network.encoder {self.encoder}")
        if not self.encoder.startswith("resnet"):
            found["encoder_width"] = f"with network.encoder {self.encoder}"
        if self.decoder == "linear":
            lost = ["decoder_width", "decoder_layers", "decoder_heads"]
            found |= dict.fromkeys(lost, "with network.decoder linear")
        return found


class LossSettings(Settings):
    """Settings of the loss."""

    reconstruction: tuple[Weight, ...] = Field((1.0, 1.0, 1.0), description="Weight of each level's reconstruction.")
    alignment: tuple[Weight, ...] = Field((0.1, 0.1), description="Weight of each pair of neighbouring levels.")
    form: Literal["cosine", "parents"] = Field(
        "cosine",
        description="Alignment: cosine to the parent's feature of the region; or which region of the parent it is.",
    )
    temperature: float = Field(0.15, gt=0, description="Of the choice among the regions of a parent.")
    target: Literal["standardised", "values"] = Field(
        "standardised", description="What is reconstructed: each block with mean 0 and deviation 1, or as it is."
    )
    distance: Literal["squared", "absolute"] = Field("squared", description="How a reconstruction is measured.")

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        return {} if self.form == "parents" else {"temperature": "with loss.form cosine"}


class MimConfig(Settings):
    """Every setting; the values of the preset `paper` unless given."""

    preset: str = Field("paper", description="Name of these values, kept for the record.")
    scans: Names = Field((), description="Scans to learn from, each an image by itself; none named: all.")
    start: StartSettings = StartSettings()
    levels: LevelSettings = LevelSettings()
    network: NetworkSettings = NetworkSettings()
    loss: LossSettings = LossSettings()
    preparation: PreparationSettings = PreparationSettings(crop=False, grid="own")
    validation_studies: PositiveInt = Field(16, description="Studies that a validation looks at, at most.")
    training: TrainingSettings = TrainingSettings(
        steps=60_000,
        batch_size=128,
        optimizer="adamw",
        learning_rate=2e-4,
        betas=(0.9, 0.95),
        weight_decay=0.05,
        decay_norms_and_biases=False,
        schedule="cosine",
        warm_up=3_000,
        final_learning_rate=0.0,
        validate_every=1_000,
        checkpoint_every=500,
    )

    @model_validator(mode="after")
    def _weights_of_all_levels(self) -> Self:
        levels = len(self.levels.units)
        if len(self.loss.reconstruction) != levels or len(self.loss.alignment) != levels - 1:
            raise ValueError(f"{levels} levels need as many weights of reconstruction, and {levels - 1} of alignment")
        return self

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        one = len(self.levels.units) == 1
        return OWN_LEVELS | (dict.fromkeys(["loss.form", "loss.temperature"], "with one level") if one else {})


PAPER = MimConfig()

_SMALL_TRAINING = PAPER.training.model_copy(
    update={
        "steps": 2_000,
        "batch_size": 8,
        "learning_rate": 1e-3,
        "warm_up": 100,
        "ema_decay": 0.99,
        "validate_every": 500,
        "checkpoint_every": 250,
    }
)
_SMALL_NETWORK = NetworkSettings(
    widths=(16, 32, 64), depths=(1, 1, 4), heads=4, decoder_width=96, decoder_layers=2, decoder_heads=4
)

SMALL = MimConfig(
    preset="small",
    levels=LevelSettings(extent=64, view=32, units=(2, 1), ratios=(0.5, 0.6), children=(2,)),
    network=_SMALL_NETWORK,
    loss=LossSettings(reconstruction=(1.0, 1.0), alignment=(0.1,)),
    training=_SMALL_TRAINING,
)

_ONE_LEVEL = LossSettings(reconstruction=(1.0,), alignment=())

MAE = MimConfig(
    preset="mae",
    levels=LevelSettings(extent=32, view=32, units=(1,), ratios=(0.75,), children=()),
    network=_SMALL_NETWORK,
    loss=_ONE_LEVEL,
    training=_SMALL_TRAINING.model_copy(update={"batch_size": 24}),
)

SIMMIM = MimConfig(
    preset="simmim",
    levels=LevelSettings(extent=32, view=32, units=(1,), ratios=(0.6,), children=()),
    network=NetworkSettings(encoder="resnet18", encoder_width=0.5, block=8, hidden="filled", decoder="linear"),
    loss=_ONE_LEVEL.model_copy(update={"target": "values", "distance": "absolute"}),
    training=_SMALL_TRAINING.model_copy(update={"batch_size": 24}),
)

PRESETS = {"small": SMALL, "paper": PAPER, "mae": MAE, "simmim": SIMMIM}


class EvaluateOptions(VerbOptions):
    """Options of `evaluate`."""

    seed: int = Field(0, ge=0, description="Of masks, and of the resampling behind the intervals.")
    pictures: int = Field(3, ge=0, description="Studies to draw, from the worst to the best.")
    probe: bool = Field(True, description="Whether labels and masks that the cohort has are told from the features.")


OPTIONS: dict[str, type[VerbOptions]] = {"evaluate": EvaluateOptions}
"""Options of each verb that has some."""
