"""Claim: a training step of MiM's preset `paper` is faster than a plain loop over its views, or takes half the memory.

    python benchmarks/mim_speed.py --tier proof --json benchmarks/results/mim_speed.json

The plain loop sends one view after the other through the network, and computes every voxel of it: hidden blocks are 0
before each depthwise convolution, as published, and only the transformer leaves them out. Ours computes visible blocks
alone, the views of a level together (`fast`), or one at a time with its activations computed anew (`lean`:
`network.views_at_once 1`). Loss and gradients are the same, which is measured.

One crop in float32, random weights, two threads. A step is loss, gradients and an update by AdamW. The number of views
is below that of the preset (21) where the plain loop would not fit into 24 GB; it is printed. All take turns, each turn
in a process of its own: one step that warms up, then those that are timed, of which the median counts. Memory is the
peak of that process less what it held before the network was made. Intervals are the range over turns.

Bars, written before any run: fast at least 1.5 times as fast, with no more memory; lean at most half the memory, and
not slower. Multiply-adds of the encoder by stage are printed: visible blocks alone save little of the transformer, and
most of the convolutions.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from common import Claim, benchmark_arguments, in_child, peak_memory, write_results
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from scanweave.nets.hybrid_encoder import HybridEncoder, blocks_of, taken, whole_of
from scanweave.systems.mim.config import PAPER, MimConfig
from scanweave.systems.mim.levels import AXES, draw_masks, plan_levels, views_of
from scanweave.systems.mim.network import MimNetwork, block_of, visible_blocks
from scanweave.systems.mim.objective import MimObjective, Seen, masks_as_tensors

SEED, THREADS, RATE = 0, 2, 2e-4
FAST, LEAN, PLAIN = "fast", "lean", "plain loop"
_TINY = {"children": (1, 1), "view": 32, "extent": 64, "units": (1, 1, 1), "depths": (1, 1, 1, 1)}
_WHOLE = {"view": 96, "extent": 192, "units": (3, 1, 1), "depths": PAPER.network.depths}
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {**_TINY, "repeats": 1, "turns": 1},
    "proof": {**_WHOLE, "children": (3, 3), "repeats": 1, "turns": 3},
    "study": {**_WHOLE, "children": (4, 4), "repeats": 3, "turns": 5},
}
FASTER, NO_MORE, HALF, SAME = 1.5, 1.0, 0.5, 1e-4


class Turn(NamedTuple):
    """Findings of a process of its own: seconds of a step, and peak memory [MiB] beyond that of the libraries."""

    seconds: float
    megabytes: float


class PlainEncoder(HybridEncoder):
    """Compute all voxels of every stage of convolutions, hidden ones as 0, and take the visible blocks after it."""

    def visible_tokens(self, x: Tensor, visible: Tensor) -> Tensor:
        """Return the features of visible blocks, as `HybridEncoder.visible_tokens`."""
        grid = tuple(size // self.block for size in x.shape[2:])
        shown = torch.zeros(len(x), int(np.prod(grid))).scatter(1, visible, 1.0).view(len(x), -1, *[1] * (AXES + 1))

        def masked(values: Tensor, convolution: nn.Module) -> Tensor:
            edge = values.shape[1] // grid[0]
            mask = whole_of(shown.expand(-1, -1, *[edge] * AXES, 1), grid)
            made: Tensor = convolution((values * mask).movedim(-1, 1))
            return made.movedim(1, -1)

        whole = self._stages(x.movedim(1, -1), masked)
        tokens = taken(self.halvings[-1](whole[-1]).flatten(1, -2), visible)
        features = [taken(blocks_of(one, grid), visible) for one in whole]
        return self._fused(self._transformed(tokens, self._positions(grid, x)[visible]), features)


class Visible(nn.Module):
    """Call the encoder as a module, by whose name its parts are counted."""

    def __init__(self, encoder: HybridEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor, visible: Tensor) -> Tensor:
        """Return the features of visible blocks."""
        return self.encoder.visible_tokens(x, visible)


class PlainObjective(MimObjective):
    """Look at one view after the other."""

    def _seen(self, views: Tensor, hidden: Tensor, units: Tensor) -> Seen:
        each = [super(PlainObjective, self)._seen(v[None], h[None], units) for v, h in zip(views, hidden, strict=True)]
        return Seen(*(torch.cat(part) for part in zip(*each, strict=True)))


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    apart = in_child(largest_difference, tier)
    found: dict[str, list[Turn]] = {}
    for _ in range(tier["turns"]):
        for whose in (FAST, PLAIN, LEAN):
            found.setdefault(whose, []).append(in_child(one_turn, whose, tier))
            print(whose, found[whose][-1], flush=True)
    views = sum(views_of(plan_levels(config_of(FAST, tier).levels, 16)))
    print(f"{views} views of {tier['view']}³ a step")
    for name, (own, plain) in in_child(operations, tier).items():
        print(f"multiply-adds of {name}: {own / 1e9:.2f} billion a view, {plain / 1e9:.2f} by the plain loop")
    write_results("mim_speed", arguments, (SEED,), [*claims(found, views), *same(apart)])


def same(apart: dict[str, float]) -> Iterator[Claim]:
    """Yield how far loss and gradients are from those of the plain loop."""
    for name, value in apart.items():
        yield Claim(f"{name}: largest relative difference", value, np.nan, np.nan, "", 1, SAME, "lower")


def claims(found: dict[str, list[Turn]], views: int) -> Iterator[Claim]:
    """Yield speed and memory of both settings against the plain loop."""
    plain = found[PLAIN]
    bars = {FAST: (FASTER, NO_MORE), LEAN: (1.0, HALF)}
    for whose, (speed, memory) in bars.items():
        turns, words = found[whose], f"{whose}, {views} views"
        ratios = [b.seconds / a.seconds for a, b in zip(turns, plain, strict=True)]
        shown = {"ours [s]": _median(turns, 0), "plain [s]": _median(plain, 0)}
        value = _median(plain, 0) / _median(turns, 0)
        yield Claim(f"{words}: times as fast", value, min(ratios), max(ratios), "×", len(turns), speed, "higher", shown)
        ratios = [a.megabytes / b.megabytes for a, b in zip(turns, plain, strict=True)]
        shown = {"ours [MiB]": _median(turns, 1), "plain [MiB]": _median(plain, 1)}
        value = _median(turns, 1) / _median(plain, 1)
        yield Claim(f"{words}: peak memory", value, min(ratios), max(ratios), "×", len(turns), memory, "lower", shown)


def _median(turns: Sequence[Turn], field: int) -> float:
    return float(np.median([turn[field] for turn in turns]))


def config_of(whose: str, tier: dict[str, Any]) -> MimConfig:
    """Return the preset `paper` with the sizes of a tier."""
    sizes = {name: tier[name] for name in ("children", "view", "extent", "units")}
    levels = PAPER.levels.model_copy(update=sizes)
    own = {"views_at_once": 1 if whose == LEAN else None, "depths": tier["depths"]}
    return PAPER.model_copy(update={"levels": levels, "network": PAPER.network.model_copy(update=own)})


def made(whose: str, tier: dict[str, Any]) -> tuple[MimObjective, dict[str, Tensor]]:
    """Return the network with its objective, and a batch of one crop."""
    config = config_of(whose, tier)
    torch.manual_seed(SEED)
    network = MimNetwork(config)
    if whose == PLAIN:
        network.encoder.__class__ = PlainEncoder  # the same weights
    objective = (PlainObjective if whose == PLAIN else MimObjective)(network, config)
    levels = plan_levels(config.levels, block_of(config.network))
    masks = masks_as_tensors(draw_masks(levels, np.random.default_rng(SEED)))
    crop = torch.randn(1, 1, *[config.levels.extent] * AXES, generator=torch.Generator().manual_seed(SEED))
    return objective, {"crop": crop, **{name: one[None] for name, one in masks.items()}}


def one_turn(whose: str, tier: dict[str, Any]) -> Turn:
    """Time training steps of one kind."""
    torch.set_num_threads(THREADS)
    libraries = peak_memory()
    objective, batch = made(whose, tier)
    optimizer = torch.optim.AdamW(objective.parameters(), lr=RATE)
    seconds = []
    for _ in range(1 + tier["repeats"]):
        before = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        objective(batch)["loss"].backward()
        optimizer.step()
        seconds.append(time.perf_counter() - before)
    return Turn(float(np.median(seconds[1:])), peak_memory() - libraries)


def largest_difference(tier: dict[str, Any]) -> dict[str, float]:
    """Return how far the loss and gradients of one crop are from those of the plain loop, with one child a level."""
    torch.set_num_threads(THREADS)
    few, found = {**tier, "children": (1, 1)}, []
    for whose in (FAST, LEAN, PLAIN):
        objective, batch = made(whose, few)
        loss = objective(batch)["loss"]
        loss.backward()
        found.append((loss.item(), torch.cat([p.grad.flatten() for p in objective.parameters() if p.grad is not None])))
    *ours, (loss, gradient) = found
    return {
        "loss": max(abs(one / loss - 1) for one, _ in ours),
        "gradients": max(float((one - gradient).norm() / gradient.norm()) for _, one in ours),
    }


def operations(tier: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Return multiply-adds of the encoder for one view of the first level, ours and the plain loop's, by its part."""
    counts = []
    for whose in (FAST, PLAIN):
        objective, batch = made(whose, tier)
        encoder, levels = objective.network.encoder, objective.levels
        view = batch["crop"][..., : tier["view"], : tier["view"], : tier["view"]]
        hidden = batch["hidden0"][0].repeat_interleave(levels[0].unit ** AXES, dim=1)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            Visible(encoder)(view, visible_blocks(hidden))
        by_part: dict[str, float] = {}
        for module, kinds in counter.get_flop_counts().items():
            words = module.split(".")
            if len(words) == 4 and words[2] in ("stages", "halvings", "layers", "fusions"):
                name = f"stage {int(words[3]) + 1}" if words[2] == "stages" else words[2]
                by_part[name] = by_part.get(name, 0.0) + sum(kinds.values()) / 2
        counts.append(by_part)
    return {name: (counts[0][name], counts[1][name]) for name in counts[1]}


if __name__ == "__main__":
    main()
