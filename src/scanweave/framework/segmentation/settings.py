"""Settings of networks that outline structures. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt, field_validator

from scanweave.augment.settings import AugmentationSettings
from scanweave.engine.settings import Channels, Names, Settings, StartSettings, TrainingSettings
from scanweave.framework.options import VerbOptions
from scanweave.studies.preparing.settings import OWN_LEVELS, PreparationSettings

Mirror = Literal["all", "left-right", "none"]


class NetworkSettings(Settings):
    """Sizes of the network; what is left open is planned from the training studies."""

    dimensions: Literal["auto", 2, 3] = Field(
        "auto", description="3: volumes. 2: slices. auto: 3, but 2 where studies are films or have few slices."
    )
    patch: tuple[PositiveInt, ...] | None = Field(
        None, description="Voxels of a patch along each axis; None: planned from the median study and patch_voxels."
    )
    patch_voxels: PositiveInt = Field(
        128**3, description="Most voxels of a planned patch; 128³ as nnU-Net takes on a GPU of 8 GB."
    )
    padded: bool = Field(
        True, description="Round a planned patch up to whole strides, as nnU-Net, and not down to lie inside the study."
    )
    batch_voxels: PositiveInt = Field(
        2 * 128**3, description="Voxels of all patches of a batch: small patches make large batches, 2 at least."
    )
    encoder: str = Field(
        "plain",
        description="plain: nnU-Net's, planned here; another by name: hybrid, swin, segresnet, resnet18; or RUN: as "
        "that of a pre-training run. A fit --from such a run takes its encoder.",
    )
    first_channels: Channels = Field(32, description="Channels of the first stage, doubled each stage, as nnU-Net.")
    stages: PositiveInt = Field(6, le=8, description="Most stages; each halves the axes that are long enough.")

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        found = {} if self.patch is None else dict.fromkeys(["patch_voxels", "padded"], "with network.patch")
        own = {} if self.encoder == "plain" else dict.fromkeys(["first_channels", "stages"], "with network.encoder")
        return found | own


class SamplingSettings(Settings):
    """Settings of the patches that are drawn."""

    foreground: float = Field(
        1 / 3, ge=0, le=1, description="Share of patches around a voxel of a structure, as in nnU-Net."
    )
    mirror: Mirror = Field(
        "all", description="Axes along which patches are mirrored; none where left and right are different structures."
    )
    rotate: bool = Field(True, description="Turn and scale patches, and vary their intensities, as nnU-Net does.")
    drop_scans: float = Field(
        0.0, ge=0, lt=1, description="Share of patches that lose scans at random, so that studies without them do well."
    )
    validation_studies: PositiveInt = Field(16, description="Studies that a validation looks at, at most.")

    @field_validator("mirror", mode="before")
    @classmethod
    def _of_old_runs(cls, value: object) -> object:
        """Read what runs of 0.1 wrote: true or false."""
        return {True: "all", False: "none"}[value] if isinstance(value, bool) else value


class InferenceSettings(Settings):
    """Settings of segmenting a whole study."""

    overlap: float = Field(0.5, ge=0, lt=1, description="Share of a patch that the next one covers too.")
    mirror: bool = Field(True, description="Mean over studies mirrored as the patches were: 2 to 8 times the time.")
    batch: PositiveInt = Field(4, description="Patches that go through the network at once.")


class SegmentationConfig(Settings):
    """Settings of a fit that outlines structures; the values are nnU-Net's unless given."""

    preset: str = Field("nnunet", description="Name of these values, kept for the record.")
    scans: Names = Field((), description="Scans to read; none named: all that the cohort has.")
    mask: Names = Field((), description="Mask to learn, or several; may be left out where the cohort has one.")
    start: StartSettings = StartSettings()
    network: NetworkSettings = NetworkSettings()
    sampling: SamplingSettings = SamplingSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    inference: InferenceSettings = InferenceSettings()
    preparation: PreparationSettings = PreparationSettings(crop=False)
    training: TrainingSettings = TrainingSettings(
        steps=250_000,
        batch_size=2,
        optimizer="sgd",
        momentum=0.99,
        nesterov=True,
        learning_rate=0.01,
        weight_decay=3e-5,
        schedule="poly",
        poly_power=0.9,
        schedule_every=250,
        final_learning_rate=0.0,
        clip_norm=12.0,
        validate_every=2_500,
        checkpoint_every=2_500,
    )

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        found = OWN_LEVELS | {"training.batch_size": "here: network.batch_voxels and the patch decide"}
        found |= {"inference.mirror": "with sampling.mirror none"} if self.sampling.mirror == "none" else {}
        if self.sampling.rotate:
            return found
        varied = [name for name in AugmentationSettings.model_fields if name != "flip_shares"]
        return found | {f"augmentation.{name}": "without sampling.rotate" for name in varied}


class EvaluateOptions(VerbOptions):
    """Options of `evaluate`."""

    tolerance: float = Field(1.0, gt=0, description="Distance up to which a surface counts as right [mm].")
    lesions: bool = Field(False, description="Also count lesions: which were found, and how many false ones there are.")
    covered: float = Field(0.0, ge=0, le=1, description="Share of a lesion that must be found; 0: one voxel.")
    false_rate: float | None = Field(
        None, ge=0, description="Also lesions and Dice at the threshold with so many false lesions a scan, such as 0.5."
    )
    pictures: int = Field(3, ge=0, description="Studies to draw, from the worst to the best.")
    seed: int = Field(0, ge=0, description="Seed of the resampling behind the intervals.")
