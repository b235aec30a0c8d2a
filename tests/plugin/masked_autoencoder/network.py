"""The autoencoder and its loss."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from scanweave.nets.layers import convolution, convolution_block, enlargement
from scanweave.nets.sizes import fitted, padded


class BlockFiller(nn.Module):
    """Convolutions down to a quarter of the size and up again, of `width` channels at full size."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            convolution_block(3, 2, width, count=1),
            convolution_block(3, width, 2 * width, stride=2),
            convolution_block(3, 2 * width, 4 * width, stride=2),
            enlargement(3, 4 * width, 2 * width, 2),
            convolution_block(3, 2 * width, 2 * width, count=1),
            enlargement(3, 2 * width, width, 2),
            convolution_block(3, width, width, count=1),
            convolution(3, width, 1, bias=True),
        )

    def forward(self, both: Tensor) -> Tensor:
        """Return `(B, 1, X, Y, Z)`, hidden voxels made from the others; `both` holds a volume and what is hidden."""
        volume, hidden = both[:, :1], both[:, 1:] == 1
        seen = torch.cat([volume.masked_fill(hidden, 0), hidden.to(volume)], dim=1)
        return torch.where(hidden, fitted(self.layers(padded(seen, 4)), volume.shape[2:]), volume)


def filling_error(network: BlockFiller, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the mean absolute error and the mean squared error in hidden voxels of a batch, its `both` `(B, 2, …)`."""
    volume, hidden = batch["both"][:, :1], batch["both"][:, 1:] == 1
    error = (network(batch["both"]) - volume)[hidden]
    return {"loss": error.abs().mean(), "squared": error.square().mean()}
