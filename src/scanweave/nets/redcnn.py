"""RED-CNN: a residual encoder–decoder for low-dose CT (Chen et al., IEEE Trans. Med. Imaging 36(12), 2017)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.errors import ScanweaveError


class RedCnn(nn.Module):
    """Five 5 × 5 convolutions, five transposed ones, additive skips, no pooling.

    The features of the second and the fourth convolution are added after the first and the third transposed one,
    the image itself at the end. Differs from the paper: borders are padded, so that images keep their size; the last
    rectifier is left out, since a correction may be negative; the last layer is zero at the start.

    Args:
        channels: Channels of images.
        width: Channels within; 96 in the paper.
    """

    def __init__(self, channels: int, width: int = 96) -> None:
        super().__init__()
        if channels < 1 or width < 1:
            raise ScanweaveError("RedCnn", f"{channels} channels, width {width}", "Give positive numbers")
        inputs = [channels, *[width] * 4]
        self.encode = nn.ModuleList(nn.Conv2d(count, width, 5, padding=2) for count in inputs)
        outputs = [*[width] * 4, channels]
        self.decode = nn.ModuleList(nn.ConvTranspose2d(width, count, 5, padding=2) for count in outputs)
        for parameter in self.decode[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, C, H, W)` to the same shape."""
        y, skips = x, []
        for number, layer in enumerate(self.encode):
            y = F.relu(layer(y))
            if number in (1, 3):
                skips.append(y)
        for number, layer in enumerate(self.decode):
            y = layer(y)
            if number in (0, 2):
                y = y + skips.pop()
            if number < len(self.decode) - 1:
                y = F.relu(y)
        return x + y
