"""Every setting of Seq2Seq, and its presets. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from scanweave.engine.settings import Channels, Layers, Settings, StartSettings, TrainingSettings
from scanweave.framework.options import VerbOptions
from scanweave.studies.preparing.settings import PreparationSettings


class NetworkSettings(Settings):
    """Sizes of the network."""

    dimensions: Literal[2, 3] = Field(2, description="2: stacks of slices as channels (2.5D). 3: volumes.")
    slices: Channels = Field(3, description="Adjacent slices in a stack, with 2 dimensions.")
    channels: tuple[Channels, ...] = Field(
        (64, 128, 256),
        min_length=1,
        max_length=12,
        description="Channels at full, half, quarter … size; the last is the latent's.",
    )
    blocks: Layers = Field(6, description="Residual blocks in the encoder, and as many in the decoder.")
    lstm_layers: Layers = Field(3, description="Layers of each ConvLSTM.")
    kernel_size: Literal[1, 3, 5, 7, 9, 11] = Field(7, description="Kernel size of the first and last convolution.")
    rank: Channels = Field(16, description="Kernels in the bank of each HyperConv (r).")
    norm: Literal["instance", "none"] = Field("instance", description="Normalisation after each convolution.")
    source_code: bool = Field(
        False, description="Tell the encoder which sequence it reads, by HyperConvs; the paper's is not told."
    )
    gate_bias: float = Field(
        0.0,
        description="Start of the ConvLSTMs' input and output gates; 2 lets a first frame through, 0 halves it twice.",
    )
    shared_start: bool = Field(
        False, description="Start all sequences from nearly the same HyperConv kernels; not in the paper."
    )

    fusion: Literal["mean", "latent"] = Field(
        "mean",
        description="Several sources: mean, each makes the target alone and the images are averaged; latent, their "
        "features are fused, with weights by what is given and asked and by place, and a quadratic regression on all "
        "that are given is corrected. Not in the paper, after TSF-Seq2Seq.",
    )
    frame_values: bool = Field(
        False,
        description="Tell the network the time or b-value of each frame of a series, in and out; the paper's goes by "
        "their order alone.",
    )
    recompute: bool = Field(
        False,
        description="Compute features anew in the backward pass in place of keeping them: less memory, more time, the "
        "same result.",
    )
    code_length: Channels = Field(64, description="Length of the target code; more sequences than this cannot be told.")

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        return {"slices": "with network.dimensions 3"} if self.dimensions == 3 else {}

    @property
    def stride(self) -> int:
        """Size of the image over that of the latent; crops are divisible by it."""
        return 2 ** (len(self.channels) - 1)

    @property
    def image_channels(self) -> int:
        """Channels of an image: the slices of a stack; 1 for a volume."""
        return self.slices if self.dimensions == 2 else 1

    @property
    def made_channels(self) -> int:
        """Channels of what is made: the middle slice alone where sources are fused, since it knows both neighbours."""
        return 1 if self.fusion == "latent" else self.image_channels


class ObjectiveSettings(Settings):
    """Weights of the losses of one step."""

    cross: float = Field(10.0, ge=0, description="SmoothL1 of the target from the source.")
    identity: float = Field(10.0, ge=0, description="SmoothL1 of the source from itself.")
    cycle: float = Field(10.0, ge=0, description="SmoothL1 of the source from the synthetic target.")
    self_share: float = Field(
        1.0,
        ge=0.001,
        le=1,
        description="Share of the samples that the self, cycle and unattended terms are computed on; less is faster.",
    )
    beta: float = Field(1.0, gt=0, description="Error at which SmoothL1 turns from squared to absolute, in [-1, 1].")
    perceptual: float = Field(0.01, ge=0, description="VGG-19 feature distance; used only where its weights are given.")
    structural: float = Field(0.0, ge=0, description="1 - SSIM, which needs no weights; not in the paper.")
    gradient: float = Field(
        0.0, ge=0, description="Mean difference of neighbouring voxels' differences, for edges; not in the paper."
    )
    unattended: float = Field(
        0.0,
        ge=0,
        description="SmoothL1 of the target without attention, for fused sources, so that its effect can be mapped.",
    )
    vgg_weights: Path | None = Field(
        None, description="VGG-19 ImageNet weights as safetensors (torchvision's names). Nothing is downloaded."
    )

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        second = self.identity or self.cycle or self.unattended
        found = {} if second else {"self_share": "without objective.identity, cycle and unattended"}
        found |= {} if self.perceptual else {"vgg_weights": "without objective.perceptual"}
        plain = self.cross or self.identity or self.cycle
        found |= {} if plain else {"beta": "without objective.cross, objective.identity and objective.cycle"}
        silent = self.perceptual and self.vgg_weights is None
        return found | ({"perceptual": "without objective.vgg_weights"} if silent else {})


class SamplingSettings(Settings):
    """Settings of a training sample."""

    crop: tuple[PositiveInt, PositiveInt] = Field(
        (192, 192), description="Height and width of a crop [voxels]; at most what the volumes fill."
    )
    depth: int = Field(32, gt=0, description="Slices of a crop with 3 dimensions.")
    crops_per_study: int = Field(8, gt=0, description="Crops from one study before the next is taken.")
    flip: bool = Field(True, description="Mirror left and right at random.")
    balance: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of samples whose target is drawn evenly over all sequences, then a study that has it, so "
        "that rare sequences are not starved; the rest draws study, source and target evenly, as the paper does, or, "
        "for fused sources, the target by how many studies have it.",
    )
    frames: int = Field(
        4,
        gt=0,
        description="Most frames of a series in a sample: the first and others at random, in order; memory and time "
        "grow with it.",
    )
    attempts: int = Field(8, gt=0, description="Tries to find a crop that is not all background.")
    all_share: float = Field(
        0.5, ge=0, le=1, description="Share of samples that give all sequences but the target; the rest a random part."
    )
    gamma: float = Field(
        0.0, ge=0, le=1, description="Deviation of ln γ in the power that each given sequence is raised to; 0: none."
    )
    together: int = Field(
        4,
        gt=0,
        description="Samples in a row that ask for the same target from the same sequences, for fused sources: a batch "
        "of so many goes through the network in one pass.",
    )
    regression_samples: int = Field(
        500, gt=0, description="Samples that the regression is learnt from, for fused sources."
    )


class SynthesisSettings(Settings):
    """Settings of synthesising whole volumes."""

    batch_size: int = Field(
        8,
        gt=0,
        description="Stacks of slices in one forward pass, fewer of large slices on a CPU; memory grows with it.",
    )
    validation_slices: int = Field(16, gt=0, description="Middle slices of a study that a validation looks at.")
    validation_studies: int = Field(8, gt=0, description="Studies that a validation looks at, at most.")


ONE_BY_ONE = ("objective.identity", "objective.cycle", "objective.perceptual", "sampling.crops_per_study")
"""Settings that only sources one by one need."""
FUSED = (
    "objective.gradient",
    "objective.unattended",
    "sampling.all_share",
    "sampling.gamma",
    "sampling.together",
    "sampling.regression_samples",
)
"""Settings that only fused sources need."""


class Seq2SeqConfig(Settings):
    """Every setting; the values of the preset `paper` unless given."""

    preset: str = Field("paper", description="Name of these values, kept for the record.")
    sequences: tuple[str, ...] = Field((), description="Sequences to learn; none named: all that the cohort has.")
    start: StartSettings = StartSettings(part="")
    network: NetworkSettings = NetworkSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    sampling: SamplingSettings = SamplingSettings()
    synthesis: SynthesisSettings = SynthesisSettings()
    preparation: PreparationSettings = PreparationSettings(
        orientation="LPS", crop=False, percentile=99.0, percentile_region="volume", headroom=2.0, series_headroom=None
    )
    training: TrainingSettings = TrainingSettings(
        steps=1_000_000,
        batch_size=1,
        learning_rate=2e-4,
        schedule="poly",
        poly_power=0.9,
        schedule_every=6_640,
        schedule_steps=6_640_000,
        final_learning_rate=1e-6,
        validate_every=6_640,
        checkpoint_every=1_280,
    )

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        idle = ["sampling.depth"] if self.network.dimensions == 2 else ["synthesis.batch_size"]
        fusion = self.network.fusion
        return dict.fromkeys(idle, f"with network.dimensions {self.network.dimensions}") | dict.fromkeys(
            ONE_BY_ONE if fusion == "latent" else FUSED, f"with network.fusion {fusion}"
        )

    @model_validator(mode="after")
    def _crops_fit_the_latent(self) -> Self:
        sizes = [*self.sampling.crop, *([self.sampling.depth] if self.network.dimensions == 3 else [])]
        if any(size % self.network.stride for size in sizes):
            raise ValueError(f"sampling.crop and depth must be divisible by {self.network.stride}, the latent's stride")
        return self


PAPER = Seq2SeqConfig()

SMALL = Seq2SeqConfig(
    preset="small",
    network=NetworkSettings(
        channels=(16,),
        blocks=1,
        lstm_layers=1,
        kernel_size=3,
        norm="none",
        source_code=True,
        shared_start=True,
        gate_bias=2.0,
    ),
    objective=ObjectiveSettings(identity=0.5, cycle=0.5, self_share=0.25, beta=0.1, perceptual=0.0),
    sampling=SamplingSettings(crop=(96, 96), crops_per_study=1, balance=1.0),
    preparation=PreparationSettings(),
    training=TrainingSettings(
        steps=2_500,
        batch_size=4,
        learning_rate=4e-3,
        betas=(0.9, 0.98),
        warm_up=50,
        schedule="cosine",
        clip_norm=1.0,
        ema_decay=0.99,
        final_learning_rate=1e-5,
        validate_every=500,
        checkpoint_every=100,
        workers=0,
    ),
)
"""A relative, small enough for a CPU.

Its latent keeps the full size, since a voxel of 2 to 3 mm is as large as the paper's latent at 1 mm. The encoder is
told the source and nothing is normalised: else a short training does not get as far as telling dark from bright
sources. The identity and cycle terms weigh less: they are satisfied by copying the source.
"""

BEST = Seq2SeqConfig(
    preset="best",
    network=NetworkSettings(
        channels=(16, 24, 32),
        blocks=1,
        lstm_layers=1,
        kernel_size=3,
        norm="none",
        source_code=True,
        shared_start=True,
        gate_bias=2.0,
        rank=8,
        fusion="latent",
        frame_values=True,
    ),
    objective=ObjectiveSettings(
        cross=10.0,
        identity=0.0,
        cycle=0.0,
        beta=0.1,
        perceptual=0.0,
        structural=0.5,
        gradient=1.0,
        unattended=2.5,
        self_share=0.25,
    ),
    sampling=SamplingSettings(crop=(96, 96), balance=1.0, all_share=0.0),
    preparation=PreparationSettings(),
    training=SMALL.training.model_copy(update={"steps": 5_000, "learning_rate": 1.5e-3}),
)
"""Sources fused, and a regression on all of them corrected: for several sources, and for few patients.

Samples give one source as often as two or all: where half of them gave all, a single source was made too little of.
"""

PRESETS = {"paper": PAPER, "small": SMALL, "best": BEST}


class EvaluateOptions(VerbOptions):
    """Options of `evaluate`."""

    include_self: bool = Field(False, description="Also reconstruct each sequence from itself.")
    lpips: tuple[Path, Path] | None = Field(
        None,
        description="Weight files for LPIPS: AlexNet as torchvision gives it, and the linear layers of the lpips "
        "package; None leaves it out.",
    )
    seed: int = Field(0, ge=0, description="Seed of the resampling behind the intervals.")


class RankOptions(VerbOptions):
    """The conventions that the paper leaves open (spec b)."""

    region: Literal["brain", "box", "volume"] = Field(
        "brain", description="Where quality was measured: in the mask brain, or the foreground where there is none."
    )
    diagonal: Literal["exclude", "in_norm", "include"] = Field(
        "exclude",
        description="Reconstructions of a sequence from itself: left out, only in mean and spread of the z-scores, or "
        "in the sums too.",
    )
    normalise_by: Literal["rows", "pairs"] = Field(
        "rows", description="z-scores over all rows of the table, as published, or over the means of pairs."
    )
    divide_by: Literal["N", "N-1"] = Field("N", description="The number of sequences, as published, or one less.")
    repeats: int = Field(2000, gt=0, description="Resamples of patients behind the intervals.")
    seed: int = Field(0, ge=0, description="Seed of these resamples.")


class ExplainOptions(VerbOptions):
    """Options of `explain`."""

    include_self: bool = Field(False, description="Count a sequence as its own source, as the paper's code does.")
    pictures: int = Field(4, ge=0, description="Studies to make pictures of; maps are written for all.")


OPTIONS: dict[str, type[VerbOptions]] = {"evaluate": EvaluateOptions, "rank": RankOptions, "explain": ExplainOptions}
"""Options of each verb that has some."""
