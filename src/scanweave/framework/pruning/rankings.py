"""Scores of the channels that a layer makes, by its weights or by what goes through it.

Beta-Rank (see `docs/systems/betarank.md`) multiplies each weight by a ratio of two standard deviations over images, at
every position p of the output: of the output there, and of the input that the weight meets there. With v an input and k
a place of the kernel:

    beta(f)          = mean over p of  sd_out(f, p) · mean over v, k of |W(f, v, k)| / sd_in(v, p + k)
    beta-equation(f) = mean over p of  mean over v, k of |W(f, v, k)| · sd_in(v, p + k) / sd_out(f, p)

The inner sums are one convolution with |W|: no loop over positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.framework.pruning.settings import Ranking

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
SAME = 1e-6
"""Deviation up to which an input or output is the same for all images: there is nothing to divide by."""
Scores = dict[str, Tensor]
"""Score of each channel that a layer makes `(C,)`, by the layer's name."""
Batches = Sequence[dict[str, Any]]
_CONVOLVE: dict[type, Callable[..., Tensor]] = {
    nn.Conv1d: F.conv1d,
    nn.Conv2d: F.conv2d,
    nn.Conv3d: F.conv3d,
    nn.ConvTranspose2d: F.conv_transpose2d,
    nn.ConvTranspose3d: F.conv_transpose3d,
}


def channel_scores(network: nn.Module, objective: nn.Module, batches: Batches, ranking: Ranking, seed: int) -> Scores:
    """Return the scores of all layers; higher matters more.

    Args:
        network: Whose layers are meant, in evaluation mode.
        objective: Around the network, `forward(batch)` with its "loss".
        batches: Samples that go through it.
        ranking: Which scores.
        seed: Of the ranking random.
    """
    layers = {name: module for name, module in network.named_modules() if isinstance(module, LAYERS)}
    if ranking == "random":
        rng = torch.Generator().manual_seed(seed)
        return {name: torch.rand(made_channels(module), generator=rng) for name, module in layers.items()}
    if ranking == "bn":
        norms = {name: module for name, module in network.named_modules() if isinstance(module, NORMS)}
        scales = {name: module.weight for name, module in norms.items() if module.weight is not None}
        return {name: scale.detach().abs() for name, scale in scales.items()}
    if ranking in ("l1", "l2"):
        return {name: _norm(module, 1 if ranking == "l1" else 2) for name, module in layers.items()}
    if ranking == "taylor":
        return _taylor(layers, objective, batches)
    if ranking == "hrank":
        return _ranks(layers, objective, batches)
    inverse = ranking == "beta-equation"
    found = _deviations(layers, objective, batches)
    return {name: beta_scores(layers[name], *pair, inverse=inverse) for name, pair in found.items()}


def made_channels(layer: nn.Module) -> int:
    """Return how many channels a layer makes."""
    return int(layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)  # type: ignore[arg-type]


def by_output(weight: Tensor, layer: nn.Module) -> Tensor:
    """Return a weight with the channels that are made along its first axis `(C, …)`."""
    if not isinstance(layer, nn.ConvTranspose2d | nn.ConvTranspose3d):
        return weight
    ins, per_group = weight.shape[:2]
    parts = weight.view(layer.groups, ins // layer.groups, per_group, *weight.shape[2:])
    return parts.transpose(1, 2).reshape(layer.groups * per_group, ins // layer.groups, *weight.shape[2:])


def beta_scores(layer: Any, of_input: Tensor, of_output: Tensor, *, inverse: bool = False) -> Tensor:
    """Return Beta-Rank's score of each channel that a layer makes `(C,)`.

    Args:
        layer: Convolution or linear layer.
        of_input: Deviation over images of each number of its input, `(C_in, …)`.
        of_output: The same of its output, `(C, …)`.
        inverse: Whether the published equation is meant, in place of the released code.
    """
    weight = layer.weight.detach().abs()
    seen = of_input if inverse else torch.where(of_input > SAME, 1 / of_input.clamp_min(SAME), torch.zeros(()))
    scale = torch.where(of_output > SAME, 1 / of_output.clamp_min(SAME), torch.zeros(())) if inverse else of_output
    if isinstance(layer, nn.Linear):
        met = F.linear(seen, weight) / weight.shape[1]
        return (met * scale).reshape(-1, weight.shape[0]).mean(dim=0)
    options: dict[str, Any] = {
        name: getattr(layer, name) for name in ("stride", "padding", "dilation", "groups", "output_padding")
    }
    if not isinstance(layer, nn.ConvTranspose2d | nn.ConvTranspose3d):
        del options["output_padding"]
    met = _CONVOLVE[type(layer)](seen[None], weight, **options)[0] / by_output(weight, layer)[0].numel()
    return (met * scale).flatten(1).mean(dim=1)


def _norm(layer: Any, power: int) -> Tensor:
    weight = by_output(layer.weight.detach(), layer)
    return weight.flatten(1).norm(p=power, dim=1)


@contextmanager
def _watched(layers: Mapping[str, nn.Module], see: Callable[[str, Tensor, Tensor], None]) -> Iterator[None]:
    """Call `see(name, input, output)` whenever a layer computes."""

    def hook(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda module, inputs, output: see(name, inputs[0].detach(), output.detach())

    handles = [module.register_forward_hook(hook(name)) for name, module in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _deviations(
    layers: Mapping[str, nn.Module], objective: nn.Module, batches: Batches
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the deviation over images of each number that goes into and comes out of a layer."""
    sums: dict[str, list[Tensor]] = {}
    counts: dict[str, int] = {}

    def see(name: str, given: Tensor, made: Tensor) -> None:
        parts = [one.double() for one in (given, made)]
        new = [total for one in parts for total in (one.sum(dim=0), (one**2).sum(dim=0))]
        sums[name] = [a + b for a, b in zip(sums[name], new, strict=True)] if name in sums else new
        counts[name] = counts.get(name, 0) + len(given)

    with _watched(layers, see), torch.no_grad():
        for batch in batches:
            objective(batch)

    def deviation(total: Tensor, squares: Tensor, count: int) -> Tensor:
        return (squares / count - (total / count) ** 2).clamp_min(0).sqrt().float()

    return {
        name: (deviation(s[0], s[1], counts[name]), deviation(s[2], s[3], counts[name])) for name, s in sums.items()
    }


def _ranks(layers: Mapping[str, nn.Module], objective: nn.Module, batches: Batches) -> Scores:
    """Return the mean rank of the maps of each channel (HRank: Lin et al., CVPR 2020); of vectors their mean size."""
    sums: Scores = {}
    counts: dict[str, int] = {}

    def see(name: str, given: Tensor, made: Tensor) -> None:
        if made.ndim > 3:
            value = torch.linalg.matrix_rank(made.flatten(2, -2).float()).float().sum(dim=0)
        else:
            value = made.flatten(0, -2).abs().sum(dim=0)
        sums[name] = sums[name] + value if name in sums else value
        counts[name] = counts.get(name, 0) + len(made)

    with _watched(layers, see), torch.no_grad():
        for batch in batches:
            objective(batch)
    return {name: value / counts[name] for name, value in sums.items()}


def _taylor(layers: Mapping[str, nn.Module], objective: nn.Module, batches: Batches) -> Scores:
    """Return |Σ w ∂L/∂w| of each channel, its mean over batches (Molchanov et al., CVPR 2019)."""
    sums: Scores = {}
    for batch in batches:
        objective.zero_grad()
        objective(batch)["loss"].backward()
        for name, module in layers.items():
            weight: Any = module.weight
            if weight.grad is not None:
                value = by_output((weight.detach() * weight.grad), module).flatten(1).sum(dim=1).abs()
                sums[name] = sums[name] + value if name in sums else value
    objective.zero_grad()
    return {name: value / len(batches) for name, value in sums.items()}
