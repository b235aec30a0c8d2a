"""Claim: with equal weights and results, the `paper` network trains and synthesises faster than the authors' code.

    python benchmarks/seq2seq_speed.py --reference PATH --tier proof --json benchmarks/results/seq2seq_speed.json

PATH is a checkout of github.com/fiy2W/mri_seq2seq; without it only our side is measured. Both compute in float32 on two
threads, one image of 3 × 192 × 192, in turns: a training step (their loop, without the perceptual term, whose weights
are not part of it; Adam) and all 16 pairs of four sequences (a call each, as in their prediction script). That losses,
gradients and outputs are equal is checked in the same run, in float32 and, where roundings add up over some hundred
layers, in float64; beside it how far the authors' own float32 lies from their float64. Intervals are the range over
repetitions.

Bars: a step 3 times as fast, all pairs 5 times; or 85 % of the bound where that is less. The bound is their
multiply-adds over ours: faster than that only by computing each of them faster. Peak memory of a process of its own at
most half of theirs in the lean setting (`network.recompute`), whose time is reported; before there was one, that bar
was held to the plain step (0.88). All pairs and all targets of a study of 4 × 155 × 240 × 240 by the preset `best`
within 60 s and 3 GB. What weights, gradients and Adam's moments alone take, with the imports, is reported beside the
memory: no setting of a network of this size comes below it. A table of its own, without a bar: both in bfloat16
(autocast), and how far outputs and loss of each then lie from its own float32.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from common import Claim, benchmark_arguments, in_child, peak_memory, write_results
from seq2seq_parity import generator, gradient_difference, our_batch, relative, their_loss, use_reference
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from scanweave.simulate.settings import MAIN
from scanweave.systems.seq2seq.config import PAPER, PRESETS, NetworkSettings
from scanweave.systems.seq2seq.fusion_network import FusionNetwork, make_network
from scanweave.systems.seq2seq.network import Seq2SeqNetwork
from scanweave.systems.seq2seq.objective import Seq2SeqObjective
from scanweave.systems.seq2seq.reference_weights import renamed
from scanweave.systems.seq2seq.regression import Moments
from scanweave.systems.seq2seq.synthesis import predictions, ready_synthesizer

SEED = 0
THREADS = 2
TINY = PAPER.network.model_copy(update={"channels": (8, 16, 32), "rank": 2})
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"network": TINY, "size": 32, "repeats": 1, "study": (24, 24, 4), "matrix": 256},
    "proof": {"network": PAPER.network, "size": 192, "repeats": 7, "study": (240, 240, 155), "matrix": 4096},
    "study": {"network": PAPER.network, "size": 192, "repeats": 25, "study": (240, 240, 155), "matrix": 4096},
}
STEP, PAIRS = "training step", "all 16 pairs"
LEAN = "lean, training step"
FASTER = {STEP: 3.0, PAIRS: 5.0}
BOUND_SHARE = 0.85
MEMORY_SHARE = 0.5
EQUAL = 1e-4
"""Largest relative difference in float32."""
STUDY_SECONDS, STUDY_GB = 60.0, 3.0
ADAM_NUMBERS, FLOAT_BYTES = 4, 4
"""Numbers that a training holds of each weight: itself, its gradient and two moments; and bytes of one."""
RATE = 2e-4


class Side(NamedTuple):
    """One of the two implementations, ready to run.

    Attributes:
        network: With its weights.
        loss: Of the batch, with its graph.
        pairs: All 16 outputs.
        optimizer: Of the training step.
    """

    network: torch.nn.Module
    loss: Callable[[], Tensor]
    pairs: Callable[[], list[Tensor]]
    optimizer: torch.optim.Optimizer

    def run(self, what: str) -> None:
        """Do a training step, or all pairs."""
        if what == PAIRS:
            self.pairs()
            return
        self.optimizer.zero_grad(set_to_none=True)
        self.loss().backward()
        self.optimizer.step()


def images(size: int, dtype: torch.dtype) -> list[Tensor]:
    """A stack of three slices of each of four sequences, the same ones in every process."""
    draw = torch.Generator().manual_seed(SEED)
    return [torch.randn((1, 1, 3, size, size), generator=draw).clamp(-1, 1).to(dtype) for _ in MAIN]


def their_side(settings: NetworkSettings, size: int, dtype: torch.dtype = torch.float32) -> Side:
    """The authors' network, its weights as they draw them."""
    torch.manual_seed(SEED)
    network, stacks = generator(settings).to(dtype), images(size, dtype)
    codes = torch.eye(settings.code_length, dtype=dtype)[: len(MAIN), None]

    @torch.no_grad()
    def pairs() -> list[Tensor]:
        return [network(stack, code, n_outseq=1) for stack in stacks for code in codes]

    return Side(network, lambda: their_loss(network, *stacks[:2], (0, 1)), pairs, adam(network))


def our_side(settings: NetworkSettings, size: int, theirs: Side | None, dtype: torch.dtype = torch.float32) -> Side:
    """Our network, with the weights of the authors' where it is there."""
    torch.manual_seed(SEED)
    network, stacks = Seq2SeqNetwork(settings).to(dtype), images(size, dtype)
    if theirs is not None:
        network.load_state_dict(renamed(theirs.network.state_dict(), settings))
    objective, batch = Seq2SeqObjective(network, PAPER.objective), our_batch(*stacks[:2], (0, 1))

    @torch.no_grad()
    def pairs() -> list[Tensor]:
        numbers = [torch.tensor([number]) for number in range(len(MAIN))]
        kernels = [network.target(number) for number in numbers]
        series = [network.unroll(network.encode(x, network.source(n))) for x, n in zip(stacks, numbers, strict=True)]
        return [network.decode_frames(one, own) for one in series for own in kernels]

    return Side(network, lambda: objective(batch)["loss"], pairs, adam(network))


def adam(network: torch.nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), lr=RATE)


def lean(settings: NetworkSettings) -> NetworkSettings:
    """Return the sizes with the setting that needs least memory."""
    return settings.model_copy(update={"recompute": True})


def in_bf16(side: Side) -> Side:
    """Return a side whose forward pass is computed in bfloat16 where torch does so."""

    def cast(work: Callable[[], Any]) -> Callable[[], Any]:
        def done() -> Any:
            with torch.autocast("cpu", torch.bfloat16):
                return work()

        return done

    return side._replace(loss=cast(side.loss), pairs=cast(side.pairs))


def bf16_table(ours: Side, theirs: Side | None, repeats: int) -> list[Claim]:
    """Times in bfloat16, and how far each side then lies from its own float32."""
    halves = in_bf16(ours), None if theirs is None else in_bf16(theirs)
    claims = []
    for whose, side, half in (("ours", ours, halves[0]), ("the authors'", theirs, halves[1])):
        if side is None or half is None:
            continue
        outputs = relative(torch.stack(half.pairs()).float(), torch.stack(side.pairs()))
        loss = relative(half.loss().detach().float(), side.loss().detach())
        claims += [figure(f"bf16, {whose}: relative difference of the outputs of all pairs", outputs, "")]
        claims += [figure(f"bf16, {whose}: relative difference of the loss", loss, "")]
    return [claim for what in FASTER for claim in speeds(what, *halves, repeats, "bf16, ", barred=False)] + claims


def differences(ours: Side, theirs: Side) -> dict[str, float]:
    """The relative differences of outputs, loss and gradients, before any step."""
    outputs = relative(torch.stack(ours.pairs()), torch.stack(theirs.pairs()))
    losses = []
    for side in (ours, theirs):
        side.optimizer.zero_grad(set_to_none=True)
        loss = side.loss()
        loss.backward()
        losses.append(loss.detach())
    gradients = gradient_difference(ours.network, theirs.network)
    return {"outputs of all pairs": outputs, "loss": relative(*losses), "gradients": gradients}


def double_differences(settings: NetworkSettings, size: int, reference: Path) -> tuple[dict[str, float], ...]:
    """The same in float64; and how far the authors' own float32 lies from their float64: outputs and gradients."""
    torch.set_num_threads(THREADS)
    use_reference(reference)
    theirs = their_side(settings, size, torch.float64)
    found = differences(our_side(settings, size, theirs, torch.float64), theirs)
    single = their_side(settings, size)
    single.loss().backward()
    rounded, exact = (
        torch.cat([own.grad.flatten().double() for own in side.network.parameters() if own.grad is not None])
        for side in (single, theirs)
    )
    outputs = relative(torch.stack(single.pairs()).double(), torch.stack(theirs.pairs()))
    return found, {"outputs of all pairs": outputs, "gradients": relative(rounded, exact)}


def equality(single: dict[str, float], double: dict[str, float], rounding: dict[str, float]) -> list[Claim]:
    """Check that outputs, loss and gradients are equal."""
    found = [
        Claim(f"check: relative difference of the {what}, {kind}", value, math.nan, math.nan, "", 1, EQUAL, "lower")
        for kind, own in (("float32", single), ("float64", double))
        for what, value in own.items()
    ]
    return found + [
        figure(f"the authors' float32 from their float64: relative difference of the {what}", value, "")
        for what, value in rounding.items()
    ]


def seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def multiply_adds(side: Side, what: str) -> float:
    """Multiply-adds of convolutions and matrix products, backward included."""
    with FlopCounterMode(display=False) as counter:
        side.run(what)
    return counter.get_total_flops() / 2


def speeds(
    what: str, ours: Side, theirs: Side | None, repeats: int, which: str = "", *, barred: bool = True
) -> list[Claim]:
    """Times in turns, after one turn that does not count; `which` setting is told before the name."""
    sides = [ours] if theirs is None else [ours, theirs]
    turns = [[seconds_of(lambda side=side: side.run(what)) for side in sides] for _ in range(repeats + 1)]
    times = np.array(turns[1:]).T
    median = np.median(times, axis=1)
    claims = []
    if theirs is not None:
        ratios, bound = times[1] / times[0], multiply_adds(theirs, what) / multiply_adds(ours, what)
        bar = min(FASTER[what], BOUND_SHARE * bound) if barred else None
        shown = {"ours [s]": float(median[0]), "theirs [s]": float(median[1]), "bound": bound}
        name, value = f"{which}{what}: times faster than the authors' code", float(median[1] / median[0])
        claims.append(Claim(name, value, ratios.min(), ratios.max(), "×", repeats, bar, "higher", shown))
    for whose, own in zip(("ours", "the authors'"), times, strict=False):
        name = f"{which}{what}, {whose}"
        claims.append(Claim(name, float(np.median(own)), own.min(), own.max(), "s", repeats, None, "lower"))
    return claims


def counts(ours: Side, theirs: Side | None) -> list[Claim]:
    """Parameters and multiply-adds of both."""
    found = []
    for whose, side in (("ours", ours), ("the authors'", theirs)):
        if side is not None:
            million = sum(parameter.numel() for parameter in side.network.parameters()) / 1e6
            found.append(figure(f"parameters, {whose}", million, "million"))
            found += [
                figure(f"multiply-adds of {what}, {whose}", multiply_adds(side, what) / 1e9, "G") for what in FASTER
            ]
    return found


def figure(name: str, value: float, unit: str) -> Claim:
    return Claim(name, value, math.nan, math.nan, unit, 1, None, "lower")


def peak_shares(ours: Side, matrix: int) -> list[Claim]:
    """Measure the share of the CPU's peak that our convolutions reach; the peak is that of a large matrix product."""
    a, b = torch.rand(matrix, matrix), torch.rand(matrix, matrix)
    peak = 2 * matrix**3 / min(seconds_of(lambda: a @ b) for _ in range(5))
    claims = [figure(f"peak of the CPU, product of two {matrix} × {matrix} matrices", peak / 1e9, "GFLOP/s")]
    for what in FASTER:
        with FlopCounterMode(display=False) as counter:
            ours.run(what)
        counted = counter.get_flop_counts()["Global"].items()
        flops = sum(number for operation, number in counted if "convolution" in str(operation))
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            ours.run(what)
        events = [event for event in profiler.key_averages() if "conv" in event.key.lower()]
        microseconds = sum(event.self_cpu_time_total for event in events)
        share = 100 * flops / (microseconds / 1e6) / peak
        claims.append(Claim(f"{what}: share of that peak", share, math.nan, math.nan, "%", 1, None, "higher"))
    return claims


def peak_of(whose: str, what: str, settings: NetworkSettings, size: int, reference: Path | None) -> float:
    """Most memory of this process [MiB] once one side has done its work twice; "nobody": imports alone."""
    torch.set_num_threads(THREADS)
    if reference is not None:
        use_reference(reference)
    if whose != "nobody":
        own = lean(settings) if what == LEAN else settings
        side = our_side(own, size, None) if whose == "ours" else their_side(settings, size)
        side.run(what)
        side.run(what)
    return peak_memory()


def memory(settings: NetworkSettings, size: int, reference: Path | None) -> list[Claim]:
    """Peak memory of both, each in a process of its own."""
    imports = in_child(peak_of, "nobody", "", settings, size, None)
    shown = {"imports alone [MiB]": imports}
    numbers = sum(own.numel() for own in Seq2SeqNetwork(settings).parameters())
    least = imports + ADAM_NUMBERS * FLOAT_BYTES * numbers / 2**20
    claims = [figure("training step: imports, weights, gradients and Adam's moments", least, "MiB")]
    for what in (STEP, LEAN, PAIRS):
        ours = in_child(peak_of, "ours", what, settings, size, None)
        if reference is None:
            claims.append(figure(f"{what}: peak memory, ours", ours, "MiB"))
            continue
        theirs = in_child(peak_of, "theirs", what, settings, size, reference)
        both = {"ours [MiB]": ours, "theirs [MiB]": theirs} | shown
        name = f"{what}: peak memory as a share of the authors'"
        bar = MEMORY_SHARE if what == LEAN else None
        claims.append(Claim(name, ours / theirs, math.nan, math.nan, "", 1, bar, "lower", both))
    return claims


def whole_study(shape: tuple[int, int, int]) -> tuple[float, float]:
    """Seconds, and peak memory [GB], of every target from each single other and from all, by the preset `best`."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(SEED)
    config, rng = PRESETS["best"], np.random.default_rng(SEED)
    network = make_network(config.network, len(MAIN))
    assert isinstance(network, FusionNetwork)
    moments, seen = Moments(len(MAIN)), {n: rng.uniform(-1, 1, 1000).astype(np.float32) for n in range(len(MAIN))}
    moments.add(seen, seen)
    network.regression.learn(moments)  # where its coefficients are 0 no product is computed
    synthesizer = ready_synthesizer(network, MAIN, config.synthesis, config.sampling, {})
    volumes = {name: rng.uniform(-1, 1, shape).astype(np.float32) for name in MAIN}
    started = time.perf_counter()
    made = sum(1 for _ in predictions(synthesizer, volumes, MAIN))
    seconds = time.perf_counter() - started
    assert made == len(MAIN) ** 2
    return seconds, peak_memory() * 2**20 / 1e9


def study_claims(shape: tuple[int, int, int]) -> list[Claim]:
    seconds, gigabytes = in_child(whole_study, shape)
    words = f"a study of 4 × {' × '.join(map(str, shape))}, 12 pairs and 4 targets from all, best"
    return [
        Claim(words, seconds, math.nan, math.nan, "s", 1, STUDY_SECONDS, "lower"),
        Claim(f"{words}: peak memory", gigabytes, math.nan, math.nan, "GB", 1, STUDY_GB, "lower"),
    ]


def measure(arguments: argparse.Namespace) -> list[Claim]:
    """All claims; processes of their own come first, while this one holds little."""
    tier, reference = TIERS[arguments.tier], arguments.reference
    sizes = (tier["network"], tier["size"])
    apart = memory(*sizes, reference) + study_claims(tier["study"])
    theirs = None if reference is None else their_side(*sizes)
    ours = our_side(*sizes, theirs)
    equal = []
    if theirs is not None and reference is not None:
        equal = equality(differences(ours, theirs), *in_child(double_differences, *sizes, reference))
    fast = [claim for what in FASTER for claim in speeds(what, ours, theirs, tier["repeats"])]
    half = bf16_table(ours, theirs, tier["repeats"])
    rest = [*counts(ours, theirs), *peak_shares(ours, tier["matrix"])]
    del ours
    small = our_side(lean(tier["network"]), tier["size"], theirs)
    slow = speeds(STEP, small, theirs, tier["repeats"], "lean, ", barred=False)
    return [*fast, *slow, *equal, *apart, *half, *rest]


def main() -> None:
    reference = {"type": Path, "default": None, "help": "checkout of fiy2W/mri_seq2seq; without it: our side alone"}
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS), reference=reference)
    torch.set_num_threads(THREADS)
    if arguments.reference is not None:
        use_reference(arguments.reference)
    extra = "" if arguments.reference is None else "--reference PATH"
    write_results("seq2seq_speed", arguments, [SEED], measure(arguments), extra)


if __name__ == "__main__":
    main()
