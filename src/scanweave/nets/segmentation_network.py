"""A segmentation network: encoder, U-Net decoder, head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, overload

from torch import Tensor, nn

from scanweave.errors import ScanweaveError
from scanweave.nets.decoders import UNetDecoder
from scanweave.nets.encoders import Encoder
from scanweave.nets.heads import SegmentationHead
from scanweave.nets.layers import Size, convolution_block
from scanweave.nets.plain_encoder import DEFAULT_STRIDES, FIRST_CHANNELS, PlainEncoder
from scanweave.nets.present_stem import present_only
from scanweave.nets.sizes import fitted, padded


class SegmentationNetwork(nn.Module):
    """Join any encoder and a U-Net decoder, on any subset of its input channels and at any size.

    An encoder whose finest feature is coarser than its input gets a feature at full size beside it (`stem`: two
    convolutions of the input), as Swin UNETR has one. Start weights address the parts by name: `encoder`, `stem`,
    `decoder`, `head`.

    Args:
        encoder: Maps images to features.
        channels_in: Channels C of the input, one a scan.
        classes: Classes K of the output.
        widths: Channels of the decoder's features, fine to coarse; None: those of the features that they join.
        kernels: Kernels of the decoder, one number or one a feature.
        deep_outputs: Outputs at coarser sizes that `deep=True` gives beside the full one; None: as many as there are.

    Attributes:
        output_strides: Strides of the outputs of `deep=True`, finest first.

    Raises:
        ScanweaveError: The encoder is no module, or there are fewer outputs than asked for.
    """

    def __init__(
        self,
        encoder: Encoder,
        channels_in: int,
        classes: int,
        widths: Sequence[int] | None = None,
        kernels: Sequence[Size] | int = 3,
        deep_outputs: int | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(encoder, nn.Module):
            raise ScanweaveError(type(encoder).__name__, "is no torch module", "Give an encoder that is one")
        self.encoder = encoder
        channels, strides = tuple(encoder.channels), tuple(encoder.strides)
        self.stem: nn.Module | None = None
        if max(strides[0]) > 1:
            width = min(channels[0], FIRST_CHANNELS)
            self.stem = convolution_block(encoder.dimensions, channels_in, width)
            channels, strides = (width, *channels), ((1,) * encoder.dimensions, *strides)
        self.decoder = UNetDecoder(channels, strides, encoder.dimensions, widths, kernels)
        outputs = len(self.decoder.channels) if deep_outputs is None else deep_outputs + 1
        if not 1 <= outputs <= len(self.decoder.channels):
            raise ScanweaveError(
                "deep outputs", f"{deep_outputs} asked for", f"Give 0 to {len(self.decoder.channels) - 1}"
            )
        self.head = nn.ModuleList(
            SegmentationHead(encoder.dimensions, width, classes) for width in self.decoder.channels[:outputs]
        )
        self.output_strides = self.decoder.strides[:outputs]
        self._multiple = strides[-1]

    @overload
    def forward(self, x: Tensor, present: Tensor | None = None, deep: Literal[False] = False) -> Tensor: ...

    @overload
    def forward(self, x: Tensor, present: Tensor | None = None, *, deep: Literal[True]) -> list[Tensor]: ...

    def forward(self, x: Tensor, present: Tensor | None = None, deep: bool = False) -> Tensor | list[Tensor]:
        """Return logits.

        Args:
            x: Inputs `(B, C, [D,] H, W)`, any size.
            present: True where a channel was acquired `(B, C)`; None: all were. Absent channels reach no output.
            deep: Whether coarser outputs are wanted too, for deep supervision.

        Returns:
            Logits `(B, K, [D,] H, W)`, or with `deep` a list of them, finest first, of `ceil(size / stride)` voxels.
        """
        inputs = padded(present_only(x, present), self._multiple)
        features = self.encoder(inputs)
        if self.stem is not None:
            features = [self.stem(inputs), *features]
        decoded = self.decoder(features)
        sizes = [
            [-(-size // step) for size, step in zip(x.shape[2:], steps, strict=True)] for steps in self.output_strides
        ]
        wanted = len(self.head) if deep else 1
        made = [fitted(head(one), size) for head, one, size in zip(self.head[:wanted], decoded, sizes, strict=False)]
        return made if deep else made[0]


def plain_unet(
    channels_in: int,
    classes: int,
    dimensions: int,
    strides: Sequence[Size] = DEFAULT_STRIDES,
    kernels: Sequence[Size] | int = 3,
    first_channels: int = FIRST_CHANNELS,
    deep_outputs: int | None = None,
) -> SegmentationNetwork:
    """Return nnU-Net's plain U-Net (Isensee et al., Nature Methods 18, 2021): strides and kernels a stage.

    Args:
        channels_in: Channels C of the input.
        classes: Classes K of the output.
        dimensions: 2 or 3.
        strides: Stride of each stage, the first one 1.
        kernels: Kernel of each stage, or one for all.
        first_channels: Channels of the first stage, doubled each stage up to 320 (3D) or 512 (2D).
        deep_outputs: Outputs at coarser sizes; None: at every size of the decoder.
    """
    encoder = PlainEncoder(channels_in, dimensions, strides, kernels, first_channels=first_channels)
    # where the first stage has a stride, the network's stem adds one more size
    added = max(encoder.strides[0]) > 1
    decoding = kernels if isinstance(kernels, int) else [*([3] if added else []), *kernels[:-1]]
    return SegmentationNetwork(encoder, channels_in, classes, kernels=decoding, deep_outputs=deep_outputs)
