"""Claim: at the published sizes MOME's network is faster than its released form and needs less memory.

    python benchmarks/mome_speed.py --tier proof --json benchmarks/results/mome_speed.json

One study of `dce` 384 × 256 × 128 × 6, `dwi` 256 × 128 × 32 and `t2` 384 × 256 × 48: 3072 + 256 + 1152 tokens and the
answer's, through stems and 12 layers of width 768 with a frozen backbone, and back to the gradient of all that is
trained; float32, two threads, a batch of one. The released form is `mome_released`: our account of it with the same
weights, copied. Both take turns, each turn in a process of its own with a peak of memory of its own: one pass that
counts multiply-adds, and one that is timed. Outputs and gradients are compared in the same run. Intervals are the range
over turns.

Bars, written before any run: 1.3 times as fast, half the memory, 24 GB. The bound is the released form's multiply-adds
over ours, of which those of the attention's second pass over the scores are ours alone: it is what fewer pairs of
tokens can give, the rest comes from scores that are not written out.

No process may hold more than is free when it begins, but for 1 GiB. Where that is too little for the released form, the
share of memory is of what was too little, an upper bound; and both are compared at the next smaller size, without bars.
"""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import psutil
import torch
from common import Claim, benchmark_arguments, in_child, peak_memory, write_results
from mome_released import ReleasedNetwork
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from scanweave.systems.mome.config import PAPER, InputSettings, NetworkSettings
from scanweave.systems.mome.inputs import StudyInput, batch_of
from scanweave.systems.mome.network import MomeNetwork
from scanweave.systems.mome.planning import ImagePlan, MomePlan

SEED = 0
THREADS = 2
Floats = NDArray[np.float32]
Sizes = tuple[tuple[int, int, int], ...]
"""Of each modality along Z, Y, X [voxels]."""
PUBLISHED: Sizes = ((128, 256, 384), (32, 128, 256), (48, 256, 384))
HALF: Sizes = ((64, 256, 384), (32, 128, 128), (24, 256, 384))
TINY_NETWORK = PAPER.network.model_copy(
    update={"width": 32, "heads": 4, "sparse_layers": 2, "soft_layers": 1, "experts": 4, "stem": (4, 8)}
)
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"network": TINY_NETWORK, "sizes": [((32, 48, 64), (16, 32, 32), (16, 48, 64))], "turns": 1},
    "proof": {"network": PAPER.network, "sizes": [PUBLISHED, HALF], "turns": 3},
    "study": {"network": PAPER.network, "sizes": [PUBLISHED, HALF], "turns": 11},
}
CHANNELS = {"dce": 6, "dwi": 1, "t2": 1}
OURS, RELEASED = "ours", "released"
FASTER, MEMORY_SHARE, MEMORY_GB = 1.3, 0.5, 24.0
EQUAL = 1e-4
"""Largest relative difference in float32."""
GATE = 0.5
"""Of all adapters, which begin at 0: so that each of them matters."""
SPARE = 2**30
"""Bytes of free memory that no process takes."""


class Turn(NamedTuple):
    """Findings of a process of its own.

    Attributes:
        seconds: Of one pass forward and back, the second that it makes.
        gigabytes: Peak memory, libraries and all.
        every: Multiply-adds of convolutions, matrix products and attention.
        layers: Those of them that are no convolution's.
        answer: What the head reads `(D,)`.
        gradients: Of all that is trained, one behind the other by name.
    """

    seconds: float
    gigabytes: float
    every: float
    layers: float
    answer: Floats
    gradients: Floats


def our_network(settings: NetworkSettings, sizes: Sizes) -> MomeNetwork:
    """Our network with random weights, the same ones in every process."""
    torch.manual_seed(SEED)
    images = tuple(
        ImagePlan(name=name, size=size, thin=None, frames=channels if channels > 1 else None, in_plane=False)
        for (name, channels), size in zip(CHANNELS.items(), sizes, strict=True)
    )
    plan = MomePlan(
        kind="classes",
        labels=("malignant",),
        outputs=("no", "yes"),
        uncertain="ignore",
        shares=(0.5, 0.5),
        images=images,
        variables=(),
        frames_as="channels",
        reasons=(),
    )
    network = MomeNetwork(plan, settings)
    with torch.no_grad():
        network.head.weight.normal_(std=settings.width**-0.5)
        for name, parameter in network.named_parameters():
            if name.endswith(".gate"):
                parameter.fill_(GATE)
    return network.eval()


class Side:
    """One of the two forms with its weights and its study.

    Args:
        whose: `ours` or `released`.
        settings: Sizes of the network.
        sizes: Of the images.
    """

    def __init__(self, whose: str, settings: NetworkSettings, sizes: Sizes) -> None:
        ours = our_network(settings, sizes)
        draw = torch.Generator().manual_seed(SEED)
        images = {
            name: torch.randn((channels, *size), generator=draw)
            for (name, channels), size in zip(CHANNELS.items(), sizes, strict=True)
        }
        self.network: MomeNetwork | ReleasedNetwork = ours if whose == OURS else ReleasedNetwork(ours)
        self.batch = batch_of([StudyInput(images, {}, torch.zeros(0))], ours.plan, InputSettings(fit="paste"))

    def answer(self) -> Tensor:
        """Return what the head reads `(1, D)`."""
        if isinstance(self.network, MomeNetwork):
            return self.network.embed(self.batch)
        return self.network.embed([self.batch[f"image/{name}"] for name in CHANNELS])

    def step(self) -> Tensor:
        """Go forward and back, and return what the head reads."""
        self.network.zero_grad(set_to_none=True)
        read = self.answer()
        F.cross_entropy(self.network.head(read), torch.tensor([1])).backward()
        return read.detach()


def free_memory() -> int:
    """Bytes that a process may take."""
    return int(psutil.virtual_memory().available) - SPARE


def turn(whose: str, settings: NetworkSettings, sizes: Sizes, limit: int) -> Turn | None:
    """Go forward and back twice, and time the second pass; None where so many bytes do not suffice."""
    torch.set_num_threads(THREADS)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    try:
        side = Side(whose, settings, sizes)
        with FlopCounterMode(display=False) as counter:
            side.step()
        started = time.perf_counter()
        answer = side.step()
        seconds = time.perf_counter() - started
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(word in str(error) for word in ("memory", "alloc")):
            raise
        return None
    flops = counter.get_flop_counts()["Global"]
    others = sum(number for operation, number in flops.items() if "convolution" not in str(operation))
    trained = sorted((name, one.grad) for name, one in side.network.named_parameters() if one.requires_grad)
    gradients = np.concatenate([grad.flatten().numpy() for _, grad in trained if grad is not None])
    peak = peak_memory() * 2**20 / 1e9
    return Turn(seconds, peak, counter.get_total_flops() / 2, others / 2, answer.numpy()[0], gradients)


def compare(settings: NetworkSettings, sizes: Sizes, turns: int) -> tuple[list[Claim], bool]:
    """Return the claims at one size, and whether the released form fits into memory."""
    judged, words = sizes == PUBLISHED, f"{token_count(settings, sizes)} tokens"
    found: dict[str, list[Turn]] = {OURS: [], RELEASED: []}
    for _ in range(turns):
        for whose, told in found.items():
            limit = free_memory()
            made = in_child(turn, whose, settings, sizes, limit)
            if made is not None:
                told.append(made)
            elif whose == OURS:
                raise MemoryError(f"{limit / 1e9:.1f} GB are free, which is too little for {words}")
            else:
                return [
                    too_little(words, found[OURS], limit / 1e9, judged),
                    *of_ours(words, found[OURS], judged),
                ], False
    return [*ratios(words, found[OURS], found[RELEASED], judged), *of_ours(words, found[OURS], judged)], True


def too_little(words: str, ours: Sequence[Turn], limit: float, judged: bool) -> Claim:
    """Claim a bound of the share of memory: of what was too little for the released form [GB]."""
    name = f"{words}: our share of what is too little memory for the released form"
    bar, peaks = MEMORY_SHARE if judged else None, [one.gigabytes for one in ours]
    shares = [peak / limit for peak in peaks]
    return claim(name, shares, "", bar, "lower", {"ours [GB]": float(np.median(peaks)), "too little [GB]": limit})


def ratios(words: str, ours: Sequence[Turn], theirs: Sequence[Turn], judged: bool) -> list[Claim]:
    """Compare both forms: seconds and peak memory of each round, outputs and gradients, multiply-adds."""
    sides = {OURS: ours, RELEASED: theirs}
    seconds = {f"{whose} [s]": float(np.median([one.seconds for one in told])) for whose, told in sides.items()}
    memory = {f"{whose} [GB]": float(np.median([one.gigabytes for one in told])) for whose, told in sides.items()}
    own, other = ours[0], theirs[0]
    bounds = {"bound": other.every / own.every, "bound without stems": other.layers / own.layers}
    pairs = list(zip(ours, theirs, strict=True))
    faster, share = [b.seconds / a.seconds for a, b in pairs], [a.gigabytes / b.gigabytes for a, b in pairs]
    bars = (FASTER, MEMORY_SHARE) if judged else (None, None)
    return [
        claim(f"{words}: released over our seconds", faster, "×", bars[0], "higher", seconds | bounds),
        claim(f"{words}: our share of its peak memory", share, "", bars[1], "lower", memory),
        difference(f"{words}, what the head reads", own.answer, other.answer),
        difference(f"{words}, gradients", own.gradients, other.gradients),
        multiply_adds(words, RELEASED, other),
    ]


def of_ours(words: str, ours: Sequence[Turn], judged: bool) -> list[Claim]:
    """Seconds, peak memory and multiply-adds of our form."""
    bar = MEMORY_GB if judged else None
    return [
        claim(f"{words}: seconds, {OURS}", [one.seconds for one in ours], "s", None, "lower"),
        claim(f"{words}: peak memory, {OURS}", [one.gigabytes for one in ours], "GB", bar, "lower"),
        multiply_adds(words, OURS, ours[0]),
    ]


def difference(words: str, made: Floats, expected: Floats) -> Claim:
    """Claim that two are equal but for rounding."""
    share = float(np.linalg.norm(made - expected) / np.linalg.norm(expected))
    return Claim(f"check: relative difference, {words}", share, math.nan, math.nan, "", 1, EQUAL, "lower")


def multiply_adds(words: str, whose: str, one: Turn) -> Claim:
    """Report the multiply-adds of one pass forward and back."""
    apart = {"without stems [G]": one.layers / 1e9}
    name = f"{words}: multiply-adds, {whose}"
    return Claim(name, one.every / 1e9, math.nan, math.nan, "G", 1, None, "lower", apart)


def claim(
    name: str,
    values: Sequence[float],
    unit: str,
    bar: float | None,
    better: Literal["higher", "lower"],
    control: Mapping[str, float] | None = None,
) -> Claim:
    """Claim the median of turns, with their range."""
    return Claim(
        name, float(np.median(values)), min(values), max(values), unit, len(values), bar, better, control or {}
    )


def token_count(settings: NetworkSettings, sizes: Sizes) -> str:
    """Tokens of each modality, and one for the answer."""
    return " + ".join(str(math.prod(-(-edge // settings.stride) for edge in size)) for size in sizes) + " + 1"


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier, claims = TIERS[arguments.tier], []
    for sizes in tier["sizes"]:
        told, fits = compare(tier["network"], sizes, tier["turns"])
        claims += told
        if fits:
            break
    write_results("mome_speed", arguments, [SEED], claims)


if __name__ == "__main__":
    main()
