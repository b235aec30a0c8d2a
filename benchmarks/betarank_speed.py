"""Claim: Beta-Rank's scores take a twentieth of the time of the released loop over channels and positions, or less.

DenseNet-121 with random weights on images of noise. Ours is the whole of `channel_scores`, the passes through the
network included. The reference is the released loop (mohofar/Beta-Rank, `std_filters`) with its axes set right: for
every channel and every position of a layer's output the deviation of the output over the images, that of each number
of the input patch, and the sum of |w| · σ_out / σ_in. It would take hours, so some positions and channels of each layer
are drawn and timed, in the one pass that holds them in memory, and the time of all is reckoned from them; its passes
through the network and its copies are not counted. Layers with few positions are looped over whole: there the scores
must be the same to 1e-3. Both compute on one thread.

Bar, written before any run: 20.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np
import torch
from common import Claim, benchmark_arguments, write_results
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.framework.pruning.rankings import SAME, channel_scores
from scanweave.nets.encoders import make_encoder

SEED, BATCH, BAR = 0, 32, 20.0
WHOLE = 64
"""Positions of a layer's output up to which all of them are looped over."""
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"encoder": "resnet10", "size": 32, "images": 8, "positions": 4, "channels": 2},
    "proof": {"encoder": "densenet121", "size": 224, "images": 256, "positions": 8, "channels": 4},
    "study": {"encoder": "densenet121", "size": 224, "images": 256, "positions": 64, "channels": 16},
}


class Seen(NamedTuple):
    """Hold what a layer took in and made at some positions.

    Attributes:
        patches: `(P, N, C_in, k, k)`.
        outputs: `(P, N, C)`.
        positions: Of all of the layer's output.
    """

    patches: NDArray[np.float32]
    outputs: NDArray[np.float32]
    positions: int


class Whole(nn.Module):
    """Stand for an objective: the network on the images of a batch."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `loss`."""
        return {"loss": self.network(batch["image"])[-1].sum()}


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    network: Any = make_encoder(tier["encoder"], 3, 2)
    network.eval()
    images = torch.randn(tier["images"], 3, tier["size"], tier["size"])
    batches = [{"image": part} for part in images.split(BATCH)]
    objective = Whole(network).eval()
    layers = {name: one for name, one in network.named_modules() if isinstance(one, nn.Conv2d)}
    began = time.perf_counter()
    scores = channel_scores(network, objective, batches, "beta", SEED)
    ours = time.perf_counter() - began
    seen = look(layers, objective, batches, tier["positions"])
    rng = np.random.default_rng(SEED)
    theirs, equal, compared = 0.0, 0, 0
    for name, layer in layers.items():
        weight, one = layer.weight.detach().numpy(), seen[name]
        chosen = rng.permutation(len(weight))[: tier["channels"]]
        began = time.perf_counter()
        looped(weight, one, chosen)
        theirs += (time.perf_counter() - began) * one.positions / len(one.outputs) * len(weight) / len(chosen)
        if layer.groups == 1 and one.positions == len(one.outputs):
            compared += 1
            full = looped(weight, one, range(len(weight)))
            equal += int(np.allclose(full, scores[name].numpy(), rtol=1e-3))
    nan = float("nan")
    about = {"ours [s]": ours, "loop, reckoned [s]": theirs}
    claims = [
        Claim("loop over channels and positions over ours", theirs / ours, nan, nan, "", 1, BAR, "higher", about),
        Claim("check: layers with the same scores", equal / max(compared, 1), nan, nan, "", compared, 1.0, "higher"),
    ]
    write_results("betarank_speed", arguments, (SEED,), claims)


def look(layers: dict[str, nn.Conv2d], objective: nn.Module, batches: list[Any], most: int) -> dict[str, Seen]:
    """Return what every layer took in and made at some positions, over all images."""
    rng = np.random.default_rng(SEED)
    parts: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in layers}
    places: dict[str, NDArray[np.int64]] = {}
    positions: dict[str, int] = {}

    def hook(name: str) -> Any:
        def see(layer: nn.Conv2d, inputs: tuple[Tensor], output: Tensor) -> None:
            number = output.shape[2] * output.shape[3]
            if name not in places:
                positions[name] = number
                places[name] = np.arange(number) if number <= WHOLE else rng.integers(number, size=most)
            parts[name].append((_patches(layer, inputs[0], output, places[name]), output.flatten(2)[..., places[name]]))

        return see

    handles = [layer.register_forward_hook(hook(name)) for name, layer in layers.items()]
    with torch.no_grad():
        for batch in batches:
            objective(batch)
    for handle in handles:
        handle.remove()
    return {
        name: Seen(
            torch.cat([patch for patch, _ in own], dim=1).numpy(),
            torch.cat([made for _, made in own]).permute(2, 0, 1).contiguous().numpy(),
            positions[name],
        )
        for name, own in parts.items()
    }


def _patches(layer: nn.Conv2d, given: Tensor, made: Tensor, places: NDArray[np.int64]) -> Tensor:
    """Return what a layer looks at from some positions `(P, N, C_in, k, k)`."""
    pad, (high, wide), (step, _) = layer.padding, layer.kernel_size, layer.stride
    assert not isinstance(pad, str)
    around = F.pad(given, [pad[1], pad[1], pad[0], pad[0]])
    corners = [(int(place) // made.shape[3] * step, int(place) % made.shape[3] * step) for place in places]
    return torch.stack([around[:, :, y : y + high, x : x + wide] for y, x in corners])


def looped(weight: NDArray[np.float32], seen: Seen, channels: Any) -> NDArray[np.float64]:
    """Return the scores of some channels by the released loop, its axes set right."""
    made = []
    for channel in channels:
        total = np.zeros(weight.shape[1:])
        for patch, output in zip(seen.patches, seen.outputs, strict=True):
            of_output = np.std(output[:, channel])
            of_input = np.std(patch, axis=0)
            total += np.abs(weight[channel]) * np.where(of_input > SAME, of_output / np.maximum(of_input, SAME), 0)
        made.append(total.mean() / len(seen.outputs))
    return np.array(made)


if __name__ == "__main__":
    main()
