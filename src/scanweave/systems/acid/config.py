"""Every setting of ACID, and its presets. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from scanweave.engine.settings import Channels, Levels, Settings, StartSettings, TrainingSettings


class NetworkSettings(Settings):
    """Sizes of the reconstruction network: FBPConvNet (Jin et al. 2017)."""

    width: Channels = Field(32, description="Channels at full size; twice as many each level down.")
    levels: Levels = Field(4, description="Sizes that it works at.")


class SamplingSettings(Settings):
    """Settings of what the network is trained on beside whole images: what the loop will feed it."""

    differences: float = Field(
        0.2, ge=0, le=1, description="Share of samples that are the difference of two measured images."
    )
    residuals: float = Field(
        0.3, ge=0, le=1, description="Share of samples that are the network's own error, seen through its residual."
    )
    jitter: float = Field(
        0.0, ge=0, description="Largest noise that is added to a training measurement, as a share of its norm; 0: none."
    )


class LoopSettings(Settings):
    """The iteration."""

    iterations: int = Field(30, ge=0, description="Rounds of feedback, K; 0 leaves the network's own image.")
    step: float = Field(0.3, gt=0, le=2, description="How much of Φ(r) is added, c; chosen on validation by default.")
    rule: Literal["constant", "line"] = Field(
        "constant", description="constant: c. line: c times the step along Φ(r) that makes the residual smallest."
    )
    sparsifier: Literal["tv-inverse", "tv-prox", "wavelet", "none"] = Field(
        "tv-inverse", description="What promotes sparsity: one pass of the TV pseudo-inverse, a TV prox, Haar wavelets."
    )
    threshold: float = Field(
        0.01, ge=0, description="Soft threshold ε, in root mean squares of A†p; chosen on validation by default."
    )
    threshold_decay: float = Field(1.0, gt=0, le=1, description="Factor of the threshold from round to round.")
    discrepancy: float = Field(
        1.0, ge=0, description="Stop where the residual falls below this many times the noise; 0: never."
    )
    feedback: Literal["auto", "network", "dagger", "adjoint"] = Field(
        "auto", description="What maps residuals back; auto: the network, unless its measured BREN ratio reaches 1."
    )
    safeguard: bool = Field(
        True, description="Whether A† takes the place of a feedback in rounds where that would raise the data residual."
    )

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        if not self.iterations:
            return {name: "without loop.iterations" for name in type(self).model_fields if name != "iterations"}
        none = self.sparsifier == "none"
        found = dict.fromkeys(["threshold", "threshold_decay"], "with loop.sparsifier none") if none else {}
        return found | ({"safeguard": "with loop.feedback dagger"} if self.feedback == "dagger" else {})


class TuningSettings(Settings):
    """Step and threshold by trial on validation images."""

    steps: tuple[float, ...] = Field(
        (0.03, 0.1, 0.3, 1.0), description="Steps that are tried; none named: loop.step stays."
    )
    thresholds: tuple[float, ...] = Field(
        (0.01, 0.03, 0.1), description="Thresholds that are tried; none named: loop.threshold stays."
    )
    discrepancies: tuple[float, ...] = Field(
        (0.0, 0.6, 0.8, 1.0), description="Stops that are tried; none named: loop.discrepancy stays."
    )
    tv_weights: tuple[float, ...] = Field(
        (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1),
        min_length=1,
        description="Weights of the total variation that stands beside the loop as a control.",
    )
    images: int = Field(16, gt=0, description="Validation images that they are tried on, at most.")


class AcidConfig(Settings):
    """All of it. The paper's own values could not be established: see CARD.md."""

    preset: str = Field("small", description="Where the values started from; kept for the record.")
    start: StartSettings = StartSettings(part="")
    network: NetworkSettings = NetworkSettings()
    sampling: SamplingSettings = SamplingSettings()
    loop: LoopSettings = LoopSettings()
    tuning: TuningSettings = TuningSettings()
    training: TrainingSettings = TrainingSettings(
        steps=20_000,
        batch_size=8,
        learning_rate=1e-3,
        schedule="cosine",
        warm_up=100,
        clip_norm=1.0,
        ema_decay=0.999,
        final_learning_rate=1e-5,
        validate_every=1_000,
        checkpoint_every=500,
        workers=0,
    )

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        tried = {"step": "steps", "threshold": "thresholds", "discrepancy": "discrepancies"}
        found = {
            f"loop.{name}": f"beside tuning.{several}, of which the best is taken: give tuning.{several} () to set it"
            for name, several in tried.items()
            if getattr(self.tuning, several)
        }
        if not self.loop.iterations:
            return found | {f"tuning.{several}": "without loop.iterations" for several in tried.values()}
        return found | ({"tuning.thresholds": "with loop.sparsifier none"} if self.loop.sparsifier == "none" else {})


SMALL = AcidConfig(
    network=NetworkSettings(width=16, levels=3),
    training=TrainingSettings(
        steps=1_500,
        batch_size=8,
        learning_rate=2e-3,
        schedule="cosine",
        warm_up=50,
        clip_norm=1.0,
        ema_decay=0.99,
        final_learning_rate=1e-5,
        validate_every=250,
        checkpoint_every=250,
        workers=0,
    ),
)
"""Minutes on two cores at 64² to 128²."""

LARGE = AcidConfig(preset="large")

PRESETS = {"small": SMALL, "large": LARGE}
