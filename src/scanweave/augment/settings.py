"""Settings of augmentation. Imports nothing slow."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Range = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]


class AugmentationSettings(BaseModel):
    """Hold how samples are varied; the defaults are nnU-Net v2's, in order and in figures.

    A share is the probability that a sample (`_per_channel`: then one of its channels) is varied so. Sources: Isensee
    et al., Nature Methods 18, 2021, supplement; `nnUNetTrainer.get_training_transforms` of nnU-Net 2.5 and later.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rotation_share: Share = 0.2
    rotation: float = Field(
        30.0, ge=0, le=180, description="Largest angle about each axis [degrees]; nnU-Net takes 180 for square images."
    )
    in_plane: bool = Field(
        False, description="Whether volumes turn and grow in the planes of their last two axes only (thick slices)."
    )
    scaling_share: Share = 0.2
    scaling: Range = Field((0.7, 1.4), description="Size of what is seen against what was, the same along all axes.")
    shift_share: Share = 0.0
    shift: float = Field(0.0, ge=0, le=0.5, description="Largest shift along each axis [fraction of the axis].")
    flip_shares: tuple[Share, ...] | Share = Field(
        0.5, description="Probability of a flip of each axis, one number for all or one an axis."
    )
    noise_share: Share = 0.1
    noise: float = Field(
        0.1, ge=0, description="Largest standard deviation of noise; images have a deviation of about 1."
    )
    blur_share: Share = 0.2
    blur_per_channel: Share = 0.5
    blur: Range = Field((0.5, 1.0), description="Standard deviation of the blur along each axis [voxels].")
    brightness_share: Share = 0.15
    brightness: Range = Field((0.75, 1.25), description="Factor on all intensities.")
    contrast_share: Share = 0.15
    contrast: Range = Field((0.75, 1.25), description="Factor on differences from the mean; the range is kept.")
    low_resolution_share: Share = 0.25
    low_resolution_per_channel: Share = 0.5
    low_resolution: Range = Field((0.5, 1.0), description="Voxels along an axis, as a fraction, before going back.")
    inverted_gamma_share: Share = 0.1
    gamma_share: Share = 0.3
    gamma: Range = Field(
        (0.7, 1.5), description="Exponent; below and above 1 are as likely. Mean and deviation are kept."
    )
    border: bool = Field(
        False, description="Whether voxels from beyond the image repeat its border (films) rather than being 0."
    )

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        varied = ["rotation", "scaling", "shift", "noise", "blur", "brightness", "contrast", "low_resolution"]
        never = [name for name in varied if not getattr(self, f"{name}_share")]
        fields = [(name, field) for name in never for field in (name, f"{name}_per_channel")]
        found = {field: f"without {name}_share" for name, field in fields if field in type(self).model_fields}
        gamma = self.gamma_share or self.inverted_gamma_share
        return found if gamma else {**found, "gamma": "without gamma_share and inverted_gamma_share"}


FILM = AugmentationSettings(
    rotation_share=0.5,
    rotation=10.0,
    scaling_share=0.5,
    scaling=(0.9, 1.1),
    shift_share=0.5,
    shift=0.05,
    flip_shares=(0.0, 0.5),
    blur_share=0.1,
    low_resolution_share=0.1,
    border=True,
)
"""For films `(C, H, W)`: small turns, sizes and shifts, left and right may change places, up and down never do.

Set `flip_shares` to 0 where the side itself is a finding (situs, laterality markers).
"""

QUANTITATIVE = AugmentationSettings(
    rotation_share=0.5,
    scaling_share=0.5,
    scaling=(0.8, 1.25),
    shift_share=0.5,
    shift=0.1,
    noise_share=0.5,
    blur_share=0.0,
    brightness_share=0.0,
    contrast_share=0.0,
    low_resolution_share=0.0,
    inverted_gamma_share=0.0,
    gamma_share=0.0,
    border=True,
)
"""For volumes whose intensities are the finding, such as uptake or diffusion: position and noise vary, these do not."""
