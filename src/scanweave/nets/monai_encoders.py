"""Encoders of MONAI in two and three dimensions, with MONAI's names of their parts."""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.nets import densenet, resnet, segresnet_ds, swin_unetr
from torch import Tensor, nn

from scanweave.errors import ScanweaveError
from scanweave.nets.encoder_scales import feature_scales
from scanweave.nets.layers import Size, per_axis
from scanweave.nets.staged_encoder import StagedEncoder

SMALL_STEM = {"conv1_t_size": 3, "conv1_t_stride": 1, "no_max_pool": True}
WHOLE_STEM = {"conv1_t_size": 7, "conv1_t_stride": 2, "no_max_pool": False}


class ResNetEncoder(StagedEncoder):
    """Run a residual network (He et al. 2016; in three dimensions Hara et al. 2018): strides 2, 4, 8, 16, 32.

    Args:
        model: `resnet10` to `resnet152`.
        channels_in: Channels of the input.
        dimensions: 2 or 3.
        small_images: Whether it begins with a 3-voxel convolution of stride 1 and no pooling, for images of about 28
            to 64 pixels: strides 1, 1, 2, 4, 8.
        norm: `batch` or `instance`.
        width: Factor on all channels.
    """

    def __init__(
        self,
        model: str,
        channels_in: int,
        dimensions: int,
        small_images: bool = False,
        norm: str = "batch",
        width: float = 1.0,
    ) -> None:
        block, layers, shortcut, bias, _ = resnet.resnet_params[model]
        network = resnet.ResNet(
            block=block,
            layers=layers,
            block_inplanes=resnet.get_inplanes(),
            spatial_dims=dimensions,
            n_input_channels=channels_in,
            shortcut_type="B" if norm == "batch" else shortcut,
            bias_downsample=bias,
            widen_factor=width,
            feed_forward=False,
            norm=_norm(norm),
            **(SMALL_STEM if small_images else WHOLE_STEM),
        )
        names = ["conv1", "bn1", "act", *([] if small_images else ["maxpool"]), *(f"layer{k}" for k in range(1, 5))]
        taps = ["act", *names[-4:]]
        super().__init__([(name, network.get_submodule(name)) for name in names], taps, channels_in, dimensions)


class DenseNetEncoder(StagedEncoder):
    """Run a densely connected network (Huang et al. 2017): strides 2, 4, 8, 16, 32.

    Args:
        model: `densenet121`, `densenet169` or `densenet201`.
        channels_in: Channels of the input.
        dimensions: 2 or 3.
        norm: `batch` or `instance`.
    """

    def __init__(self, model: str, channels_in: int, dimensions: int, norm: str = "batch") -> None:
        kind = getattr(densenet, model.replace("densenet", "DenseNet"))
        network = kind(
            spatial_dims=dimensions, in_channels=channels_in, out_channels=1, norm=_norm(norm), pretrained=False
        )
        taps = ["relu0", "denseblock1", "denseblock2", "denseblock3", "relu5"]
        layers = [*network.features.named_children(), ("relu5", nn.ReLU(inplace=True))]
        super().__init__(layers, taps, channels_in, dimensions)


class SegResNetEncoder(segresnet_ds.SegResEncoder):  # type: ignore[misc]
    """Run the encoder of SegResNet (Myronenko 2018) as MONAI's SegResNetDS has it: strides 1, 2, 4 and so on.

    Args:
        channels_in: Channels of the input.
        dimensions: 2 or 3.
        first_channels: Channels of the first level, doubled each level.
        blocks: Residual blocks of each level.
        norm: `batch` or `instance`.
    """

    def __init__(
        self,
        channels_in: int,
        dimensions: int,
        first_channels: int = 32,
        blocks: Sequence[int] = (1, 2, 2, 4),
        norm: str = "instance",
    ) -> None:
        super().__init__(
            spatial_dims=dimensions,
            init_filters=first_channels,
            in_channels=channels_in,
            norm=_norm(norm),
            blocks_down=tuple(blocks),
        )
        self.dimensions = dimensions
        self.channels, self.strides = feature_scales(self, channels_in, dimensions)


class SwinEncoder(nn.Module):
    """Run the Swin transformer of Swin UNETR (Hatamizadeh et al. 2022): strides 2, 4, 8, 16, 32.

    Args:
        channels_in: Channels of the input.
        dimensions: 2 or 3.
        first_channels: Channels of the first feature, doubled each level.
        window: Voxels of a window of attention.
        depths: Blocks of each level.
        heads: Heads of attention of each level.
        version_2: Whether a residual convolution begins each level (SwinUNETR-V2, He et al. 2023).
        drop_path: Rate at which paths are dropped in training.
        checkpoint: Whether activations are computed anew in the backward pass, for less memory.
    """

    def __init__(
        self,
        channels_in: int,
        dimensions: int,
        first_channels: int = 48,
        window: Size = 7,
        depths: Sequence[int] = (2, 2, 2, 2),
        heads: Sequence[int] = (3, 6, 12, 24),
        version_2: bool = False,
        drop_path: float = 0.0,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        self.swinViT = swin_unetr.SwinTransformer(
            in_chans=channels_in,
            embed_dim=first_channels,
            window_size=per_axis(window, dimensions, "window"),
            patch_size=(2,) * dimensions,
            depths=tuple(depths),
            num_heads=tuple(heads),
            drop_path_rate=drop_path,
            use_checkpoint=checkpoint,
            spatial_dims=dimensions,
            use_v2=version_2,
        )
        self.dimensions = dimensions
        self.channels, self.strides = feature_scales(self, channels_in, dimensions)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map `(B, C, [D,] H, W)` to five features, fine to coarse, each normalised over its channels."""
        features: list[Tensor] = self.swinViT(x.contiguous(), normalize=True)
        return features


def _norm(norm: str) -> str | tuple[str, dict[str, bool]]:
    if norm not in ("batch", "instance"):
        raise ScanweaveError("norm", f"there is no {norm}", "Give batch or instance")
    return norm if norm == "batch" else ("instance", {"affine": True})
