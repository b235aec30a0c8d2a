"""Channels out of a network, with all that depends on them (torch-pruning: Fang et al., DepGraph, CVPR 2023)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.framework.pruning.rankings import LAYERS, NORMS, Scores, made_channels

Inputs = tuple[Tensor, ...]
WholePass = Callable[[nn.Module, Inputs], Any]
_NORMED = (*NORMS, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d, nn.GroupNorm)
_SEARCHED = 11
"""Halvings of the share of channels by which the work that is left is found."""
_FAULTS = (AssertionError, AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)
"""Ends of torch-pruning on a network that it cannot follow."""


class Pruned(NamedTuple):
    """Hold what was taken out of a network.

    Attributes:
        network: What is left.
        share: Of the channels of each group that was taken out, by the search.
        before: Multiply-adds and additions of one sample before, and
        after: what is left of them.
        kept: Of each layer, channels before and after.
        removed: Of each layer, the channels that were taken out, as they were numbered.
    """

    network: nn.Module
    share: float
    before: int
    after: int
    kept: dict[str, tuple[int, int]]
    removed: dict[str, list[int]]


def count_flops(network: nn.Module, inputs: Inputs) -> int:
    """Return the floating-point operations of a network on its inputs, by torch's own counter."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(*inputs)
    return int(counter.get_total_flops())


def prune_to(
    network: nn.Module,
    inputs: Inputs,
    scores: Scores,
    flops: float,
    fixed: Sequence[str],
    whole_pass: WholePass,
    where: str,
) -> Pruned:
    """Return a network without its lowest channels, with at most a share of the work left.

    Of every group of layers that must agree the same share of channels goes, the largest at which the work is at or
    below what is asked: the nearest that whole channels reach.

    Args:
        network: Stays as it is.
        inputs: Of one sample.
        scores: Of the channels of layers.
        flops: Share of the work that may be left.
        fixed: Submodules whose outputs stay, such as the last layer.
        whole_pass: Runs every layer of the network on the inputs.
        where: The run, in errors.

    Raises:
        ScanweaveError: The network cannot be followed, or so little cannot be reached.
    """
    before = count_flops(network, inputs)
    low, high, best = 0.0, 1.0, None
    for _ in range(_SEARCHED):
        share = (low + high) / 2
        made = _without(network, inputs, scores, share, fixed, whole_pass, where)
        left = count_flops(made[0], inputs)
        if left <= flops * before:
            high, best = share, (made, left)
        else:
            low = share
    if best is None:
        least = count_flops(_without(network, inputs, scores, 1.0, fixed, whole_pass, where)[0], inputs) / before
        reason = f"{flops:g} of the work cannot be reached: with a channel in every layer {least:.3f} is left"
        raise ScanweaveError("flops", reason, "Give more")
    (smaller, removed), after = best
    layers = {name: made_channels(module) for name, module in network.named_modules() if isinstance(module, LAYERS)}
    left_of = {name: made_channels(module) for name, module in smaller.named_modules() if isinstance(module, LAYERS)}
    kept = {name: (count, left_of[name]) for name, count in layers.items()}
    return Pruned(smaller, high, before, after, kept, removed)


def _without(
    network: nn.Module,
    inputs: Inputs,
    scores: Scores,
    share: float,
    fixed: Sequence[str],
    whole_pass: WholePass,
    where: str,
) -> tuple[nn.Module, dict[str, list[int]]]:
    """Return a copy without a share of the channels of each group, and which those are."""
    pruning = require("torch_pruning", "deploy")
    made = copy.deepcopy(network)
    names = {module: name for name, module in made.named_modules()}
    ranked = GroupScores(names, scores)
    removed = _Removed(names)
    try:
        pruner = pruning.pruner.BasePruner(
            made,
            inputs,
            importance=ranked,
            pruning_ratio=share,
            pruning_ratio_dict=_each_keeps_one(made, share),
            ignored_layers=[made.get_submodule(name) for name in fixed],
            root_module_types=[*LAYERS],
            forward_fn=whole_pass,
            in_channel_groups={},  # its defaults are shared between all pruners of a process
            out_channel_groups={},
            num_heads={},
        )
        ranked.makes = pruner.DG.is_out_channel_pruning_fn
        for group in pruner.step(interactive=True):
            removed.note(group, ranked.makes)
            group.prune()
        with torch.no_grad():
            whole_pass(made, inputs)
    except _FAULTS as error:
        words = " ".join(str(error).split())[:120] or type(error).__name__
        reason = f"torch-pruning cannot follow its network ({words})"
        raise ScanweaveError(where, reason, "See docs/systems/betarank.md for what can be pruned") from error
    return made, removed.channels


def _each_keeps_one(network: nn.Module, share: float) -> dict[nn.Module, float]:
    """Return the share of each layer that goes, so that it keeps a channel of each of its groups.

    torch-pruning leaves a layer whole where all of its channels would go: then less work asked would leave more.
    """
    layers = [module for module in network.modules() if isinstance(module, LAYERS)]
    kept = {layer: getattr(layer, "groups", 1) for layer in layers}
    for layer in layers:
        if kept[layer] == made_channels(layer):  # depthwise: it follows the layer before it
            kept[layer] = 1
    return {layer: min(share, 1 - kept[layer] / made_channels(layer) - 1e-6) for layer in layers}


class _Removed:
    """Note which channels go, by the numbers that they had at first.

    Args:
        names: Of the modules of the network.
    """

    def __init__(self, names: Mapping[nn.Module, str]) -> None:
        self.names = names
        self.channels: dict[str, list[int]] = {}
        self._left: dict[str, list[int]] = {}

    def note(self, group: Any, makes: Callable[[Any], bool]) -> None:
        """Note a group that is about to go; each group counts channels as the ones before have left them."""
        for dep, channels in group:
            layer = dep.target.module
            if not isinstance(layer, (*LAYERS, *_NORMED)) or layer not in self.names or not makes(dep.handler):
                continue
            name, gone = self.names[layer], {int(one) for one in channels}
            left = self._left.setdefault(name, list(range(_width(layer))))
            self.channels.setdefault(name, []).extend(left[one] for one in sorted(gone))
            self._left[name] = [one for place, one in enumerate(left) if place not in gone]


def _width(layer: nn.Module) -> int:
    if isinstance(layer, LAYERS):
        return made_channels(layer)
    return int(getattr(layer, "num_channels", None) or layer.num_features)  # type: ignore[arg-type]


class GroupScores:
    """Say how much each channel of a group matters: the mean of its layers' scores, each brought to [0, 1].

    Args:
        names: Of the modules of a network.
        scores: Of the channels of layers, by name.

    Attributes:
        makes: Tells whether a step of a group is about the channels that a layer makes.
    """

    def __init__(self, names: Mapping[nn.Module, str], scores: Scores) -> None:
        self.names, self.scores = names, scores
        self.makes: Callable[[Any], bool] = lambda handler: True

    def __call__(self, group: Any, **_: Any) -> Tensor | None:
        """Return a score of each channel of the group's first layer; None: nothing says, so it stays."""
        count = len(group[0].idxs)
        total, seen = torch.zeros(count), 0
        for item in group:
            layer, handler = item.dep.target.module, item.dep.handler
            own = self.scores.get(self.names.get(layer, ""))
            if own is None or not self.makes(handler):
                continue
            places = torch.as_tensor(item.root_idxs if item.root_idxs is not None else range(count))
            values = own.detach().cpu().float()
            low, high = values.min(), values.max()
            values = (values - low) / (high - low).clamp_min(1e-12)
            total = total.scatter_add(0, places, values[torch.as_tensor(item.idxs)])
            seen += 1
        return total / seen if seen else None


def masked(network: nn.Module, removed: Mapping[str, Sequence[int]]) -> nn.Module:
    """Return a copy of a network whose removed channels are there, and are 0.

    Its outputs are those of the pruned twin: what a channel of zeros adds further on is nothing.

    Args:
        network: As it was before.
        removed: Channels of each layer, as they were numbered.
    """
    made = copy.deepcopy(network)
    modules = dict(made.named_modules())
    with torch.no_grad():
        for name, channels in removed.items():
            layer, places = modules[name], torch.tensor(sorted(set(channels)))
            weight: Any = getattr(layer, "weight", None)
            if weight is not None:
                _zero_outputs(layer, weight, places)
            bias: Any = getattr(layer, "bias", None)
            if bias is not None:
                bias[places] = 0
    return made


def _zero_outputs(layer: nn.Module, weight: Tensor, places: Tensor) -> None:
    if isinstance(layer, nn.ConvTranspose2d | nn.ConvTranspose3d):
        if layer.groups != 1:
            raise ScanweaveError(type(layer).__name__, "in groups cannot be masked", "Prune another network")
        weight[:, places] = 0
    else:
        weight[places] = 0


def largest_difference(one: Any, other: Any) -> float:
    """Return the largest difference of two outputs, against the largest value of the first."""
    pairs = list(zip(_tensors(one), _tensors(other), strict=True))
    scale = max(float(a.abs().max()) for a, _ in pairs)
    return max(float((a - b).abs().max()) for a, b in pairs) / max(scale, 1e-12)


def _tensors(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    parts = output.values() if isinstance(output, Mapping) else output
    return [tensor for part in parts for tensor in _tensors(part)]
