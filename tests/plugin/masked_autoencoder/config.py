"""Every setting of the masked autoencoder. Imports no torch."""

from pydantic import Field

from scanweave.engine.settings import Settings, TrainingSettings
from scanweave.studies.preparing.settings import PreparationSettings


class MaskedConfig(Settings):
    """Every setting."""

    preset: str = Field("small", description="Name of these values, kept for the record.")
    scans: tuple[str, ...] = Field((), description="Scans to learn; none named: all that the cohort has.")
    block: int = Field(8, gt=0, description="Edge of a hidden block [voxels].")
    hidden: float = Field(0.4, gt=0, lt=1, description="Share of the blocks that are hidden.")
    width: int = Field(8, gt=0, description="Channels at full size; doubled each time that is halved.")
    crop: tuple[int, int, int] = Field((32, 32, 32), description="Training crop [voxels].")
    preparation: PreparationSettings = PreparationSettings()
    training: TrainingSettings = TrainingSettings(steps=2_000, learning_rate=2e-3, schedule="cosine", workers=0)


PRESETS = {"small": MaskedConfig()}
