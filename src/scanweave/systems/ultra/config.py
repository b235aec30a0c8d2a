"""Every setting of ULTRA, and its presets. Imports no torch.

Only the paper's abstract was at hand. What it establishes is named as such in a description; every other value is a
choice made here, compatible with it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from scanweave.engine.settings import Channels, Layers, Levels, Settings, StartSettings, TrainingSettings

Architecture = Literal["ultra", "fbpconvnet", "fbpconvnet-per-bin", "red-cnn", "lpd"]


class NetworkSettings(Settings):
    """The network; the architectures besides `ultra` are the controls of the benchmark."""

    architecture: Architecture = Field(
        "ultra",
        description="ultra, or a control trained in the same frame: a U-Net over all bins or one for each, RED-CNN, "
        "learned primal–dual.",
    )
    width: Channels = Field(32, ge=3, description="Channels at full size; not established by the abstract.")
    levels: Levels = Field(4, description="Sizes that it works at; not established by the abstract.")
    multibranch: bool = Field(
        True,
        description="Parallel 1 × 1, 3 × 3 and 5 × 5 filters ('multichannel filtering enhancement' in the abstract).",
    )
    dense: bool = Field(
        True, description="Each encoder level sees the input and all earlier levels ('denser connections', abstract)."
    )
    residual: bool = Field(True, description="Output = input + correction (residual learning, abstract).")
    iterations: Layers = Field(5, description="Unrolled iterations of learned primal–dual; 10 in its paper.")

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        used = {
            "ultra": ("levels", "multibranch", "dense", "residual"),
            "fbpconvnet": ("levels",),
            "fbpconvnet-per-bin": ("levels",),
            "red-cnn": (),
            "lpd": ("iterations",),
        }[self.architecture]
        own = ("levels", "multibranch", "dense", "residual", "iterations")
        return {name: f"with network.architecture {self.architecture}" for name in own if name not in used}


class ObjectiveSettings(Settings):
    """The loss, on images normalised by bin."""

    p: float = Field(1.0, gt=0, le=2, description="Exponent of the data term (Lp^p with p > 0, abstract); p not given.")
    smoothing: float = Field(1e-3, gt=0, description="ε that rounds |·|^p and |·| off at 0 [normalised units].")
    bin_weights: tuple[PositiveFloat, ...] = Field((), description="Weight of each bin in the data term; none: equal.")
    tv: float = Field(1e-3, ge=0, description="Weight of the spatial–spectral total variation (abstract: term (ii)).")
    tv_weights: Literal["isotropic", "anisotropic", "adaptive"] = Field(
        "anisotropic",
        description="isotropic: α = 1 along x, y and energy; anisotropic: `spectral` along energy (the abstract says "
        "'anisotropically weighted', not how); adaptive: also small across the target's edges.",
    )
    spectral: float = Field(0.5, ge=0, description="α along energy over α in the plane; on normalised bins.")
    delta: float = Field(0.1, gt=0, description="Step of the target at which adaptive weights fall to 1/e.")
    correlation: float = Field(
        0.0, ge=0, description="Weight of the bin correlation term (abstract: term (i), its form is not given)."
    )

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        if not self.tv:
            return dict.fromkeys(["tv_weights", "spectral", "delta"], "without objective.tv")
        found = {"spectral": "with objective.tv_weights isotropic"} if self.tv_weights == "isotropic" else {}
        if self.tv_weights != "adaptive":
            found["delta"] = f"with objective.tv_weights {self.tv_weights}"
        return found


class SamplingSettings(Settings):
    """Settings of a training sample."""

    crop: tuple[PositiveInt, PositiveInt] = Field((64, 64), description="Height and width of a patch [pixels].")
    augment: bool = Field(True, description="Mirror and turn patches at random.")
    validation_studies: int = Field(32, gt=0, description="Studies that a validation looks at, at most.")


class UltraConfig(Settings):
    """All of it."""

    preset: str = Field("paper", description="Where the values started from; kept for the record.")
    sinogram: str = Field("ct", description="Name of the measurement in the studies.")
    bins: tuple[str, ...] = Field(
        (), description="Scans that hold the clean image of each bin; none named: bin1, bin2 … as many as are measured."
    )
    window: Literal["ram-lak", "shepp-logan", "cosine", "hann"] = Field(
        "ram-lak", description="Window of the filtered backprojection that the network starts from."
    )
    materials: tuple[str, ...] = Field(
        ("water", "bone", "iodine", "gadolinium"), min_length=1, description="Basis of the material maps."
    )
    energies: tuple[PositiveInt, ...] = Field((40, 60, 80), description="Virtual monoenergetic images [keV].")
    start: StartSettings = StartSettings(part="body", prefix="body.")
    network: NetworkSettings = NetworkSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    sampling: SamplingSettings = SamplingSettings()
    training: TrainingSettings = TrainingSettings(
        steps=100_000,
        batch_size=8,
        learning_rate=1e-3,
        schedule="cosine",
        final_learning_rate=1e-5,
        clip_norm=1.0,
        warm_up=100,
        validate_every=2_000,
        checkpoint_every=500,
    )

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        if self.network.architecture != "lpd":
            return {}
        reason = "with network.architecture lpd, which learns from whole slices"
        return dict.fromkeys(["sampling.crop", "sampling.augment"], reason)


PAPER = UltraConfig()
"""The parts that the abstract names, at sizes of this project; the paper's own are not established."""

SMALL = UltraConfig(
    preset="small",
    network=NetworkSettings(width=16, levels=3),
    sampling=SamplingSettings(crop=(48, 48)),
    training=TrainingSettings(
        steps=6_000,
        batch_size=2,
        learning_rate=4e-3,
        betas=(0.9, 0.98),
        schedule="cosine",
        final_learning_rate=1e-5,
        clip_norm=1.0,
        warm_up=50,
        ema_decay=0.99,
        validate_every=500,
        checkpoint_every=250,
        workers=0,
    ),
)
"""Small enough for a CPU: some minutes. Many small steps learn more in them than few large ones."""

PRESETS = {"small": SMALL, "paper": PAPER}
