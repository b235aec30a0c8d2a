"""Settings that all systems have whose network sees whole films or volumes. Imports no torch."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from scanweave.engine.settings import Settings


class InputSettings(Settings):
    """Settings of an encoder and its input; what is left open is planned from the training studies."""

    encoder: str = Field(
        "resnet18",
        description="Encoder by name: resnet18, densenet121, … ; torchvision/NAME or timm/NAME for films; or RUN: as "
        "that of a pre-training run. A fit --from such a run takes its encoder.",
    )
    width: float = Field(1.0, gt=0, le=64, description="Factor on the channels of a resnet.")
    small_images: bool | None = Field(
        None, description="Whether a resnet begins without strides; None: where no edge of its input exceeds 64 voxels."
    )
    size: tuple[PositiveInt, ...] | None = Field(
        None, description="Input of the network along (Z,) Y, X [voxels]; None: planned from the median study."
    )
    most_pixels: PositiveInt = Field(224**2, description="Most pixels of a planned film; 224² as ImageNet's networks.")
    most_voxels: PositiveInt = Field(96**3, description="Most voxels of a planned volume.")

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        resnet = self.encoder.startswith("resnet")
        found = {} if resnet else dict.fromkeys(["width", "small_images"], f"with network.encoder {self.encoder}")
        return found | ({} if self.size is None else dict.fromkeys(["most_pixels", "most_voxels"], "with network.size"))
