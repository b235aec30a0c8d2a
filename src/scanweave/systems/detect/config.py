"""Every setting of Detect, and its presets. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from scanweave.augment.settings import FILM
from scanweave.engine.settings import Layers, Name, Names, Settings, StartSettings, TrainingSettings
from scanweave.framework.classification.settings import EvaluateOptions
from scanweave.framework.options import VerbOptions
from scanweave.studies.preparing.settings import OWN_LEVELS, PreparationSettings

END_TO_END = ("d-fine", "rt-detr")
"""Detectors of transformers, which have an encoder, proposals and matching of their own."""

BOXED_FILM = FILM.model_copy(update={"rotation_share": 0.0, "scaling": (0.8, 1.25), "shift": 0.1})
"""For films with boxes `(C, H, W)`: sizes, shifts and sides vary. Nothing turns, since an upright box around a turned
one is larger: around a square that is turned by 10° by a third."""


class NetworkSettings(Settings):
    """Settings of the network; what is left open is planned from the training films."""

    detector: Literal["chexdet", "d-fine", "rt-detr"] = Field(
        "chexdet",
        description="chexdet: encoder, BiFPN, proposals, RoIAlign; d-fine, rt-detr: end to end, of transformers.",
    )
    encoder: str = Field(
        "torchvision/efficientnet_b0",
        description="Encoder by name: resnet18, densenet121, torchvision/NAME, timm/NAME.",
    )
    encoder_width: float = Field(1.0, gt=0, le=64, description="Factor on the channels of a resnet.")
    size: tuple[PositiveInt, PositiveInt] | None = Field(
        None, description="Input of the network along Y, X [pixels]; None: planned from the median film."
    )
    most_pixels: PositiveInt = Field(512**2, description="Most pixels of a planned input.")
    pyramid_width: PositiveInt = Field(64, le=2**12, description="Channels of the BiFPN; 64 as in EfficientDet-D0.")
    pyramid_layers: Layers = Field(3, description="Layers of the BiFPN; three as in the figure of CheXDet.")
    head_width: PositiveInt = Field(64, le=2**12, description="Channels of the four convolutions on each proposal.")
    training_proposals: PositiveInt = Field(1000, description="Proposals of a training film.")
    sampled: PositiveInt = Field(256, description="Of them, those that teach the head; a quarter on findings at most.")
    proposals: PositiveInt = Field(300, description="Proposals of a film that is predicted.")
    least_score: float = Field(0.02, ge=0, lt=1, description="Score below which a box is not reported.")
    overlap: float = Field(0.5, gt=0, le=1, description="IoU of two boxes of a class from which the lower goes.")
    most_boxes: PositiveInt = Field(100, description="Boxes of a film at most, the highest scores first.")
    image_score: Literal["highest", "noisy-or"] = Field(
        "highest", description="Score of a film: that of its highest box, or that any of its boxes is right."
    )

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        found = {} if self.size is None else {"most_pixels": "with network.size"}
        if self.detector in END_TO_END:
            own = ["encoder", "encoder_width", "pyramid_width", "pyramid_layers", "head_width"]
            own += ["training_proposals", "sampled", "overlap"]
            return found | dict.fromkeys(own, f"with network.detector {self.detector}")
        return found if self.encoder.startswith("resnet") else {**found, "encoder_width": f"with {self.encoder}"}


class SamplingSettings(Settings):
    """Settings of what a training sample shows."""

    augment: bool = Field(True, description="Vary samples in size, place, side and intensity.")
    mirror: bool = Field(True, description="Mirror samples; off where the side is a finding, as in situs inversus.")

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        return {} if self.augment else {"mirror": "without sampling.augment"}


class LossSettings(Settings):
    """Settings of the loss."""

    image: float = Field(
        1.0, ge=0, description="Weight of a label of a finding without a box, which its highest proposal is to have."
    )


class DetectConfig(Settings):
    """Every setting; the values of the preset `chexdet` unless given."""

    preset: str = Field("chexdet", description="Name of these values, kept for the record.")
    scan: Name = Field("", description="The film that the boxes lie on; may be left out where a cohort has one scan.")
    classes: Names = Field(
        (), description="Classes of boxes to find; none named: those with a label of that name, else all."
    )
    start: StartSettings = StartSettings()
    network: NetworkSettings = NetworkSettings()
    loss: LossSettings = LossSettings()
    sampling: SamplingSettings = SamplingSettings()
    preparation: PreparationSettings = PreparationSettings(crop=False, orientation="LPS")
    training: TrainingSettings = TrainingSettings(
        steps=30_000,
        batch_size=8,
        optimizer="adamw",
        learning_rate=4e-4,
        weight_decay=1e-2,
        decay_norms_and_biases=False,
        schedule="cosine",
        warm_up=500,
        clip_norm=5.0,
        ema_decay=0.999,
        validate_every=1_000,
        checkpoint_every=500,
    )

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        return OWN_LEVELS


CHEXDET = DetectConfig()

SMALL = DetectConfig(
    preset="small",
    network=NetworkSettings(encoder="resnet10", encoder_width=0.5, most_pixels=320 * 256, sampled=128, proposals=200),
    training=CHEXDET.training.model_copy(
        update={
            "steps": 1_500,
            "batch_size": 4,
            "learning_rate": 1e-3,
            "warm_up": 100,
            "ema_decay": 0.99,
            "validate_every": 250,
            "checkpoint_every": 250,
        }
    ),
)

DFINE = DetectConfig(
    preset="d-fine",
    start=StartSettings(part="model", prefix=""),
    network=NetworkSettings(detector="d-fine"),
    training=CHEXDET.training.model_copy(update={"learning_rate": 2e-4, "clip_norm": 0.1}),
)

PRESETS = {"small": SMALL, "chexdet": CHEXDET, "d-fine": DFINE}


OPTIONS: dict[str, type[VerbOptions]] = {"evaluate": EvaluateOptions}
"""Options of each verb that has some."""
