"""Claim: with the authors' weights our `paper` network gives their Generator's outputs and trains as it does.

    python benchmarks/seq2seq_parity.py --reference PATH --tier proof --json benchmarks/results/seq2seq_parity.json

PATH is a checkout of github.com/fiy2W/mri_seq2seq. Every parameter of their Generator, biases included, is drawn from
the seed, and copied by the mapping that `scanweave import-weights` uses. Both compute in float64, since in float32 the
difference depends on the processor and its algorithms of convolution. Outputs are compared in 2D and 3D, for T = 1 and
3 frames; loss and gradients of one training step for T = 1, without the perceptual term, whose weights are not part of
the code. Control: our network before the copy.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import torch
from common import Claim, benchmark_arguments, write_results
from torch import Tensor, nn

from scanweave.systems.seq2seq.config import PAPER, NetworkSettings
from scanweave.systems.seq2seq.network import Seq2SeqNetwork
from scanweave.systems.seq2seq.objective import Seq2SeqObjective
from scanweave.systems.seq2seq.reference_weights import reference_name, renamed

BAR = 1e-9
"""Largest difference of outputs in [-1, 1] in float64; its rounding is about 1e-12."""
STEP_BAR = 1e-9
"""Largest relative difference of the loss, and of the gradients, in float64."""
WEIGHT = 10.0
"""Of the terms of their loss: `lambda_rec` and `lambda_cyc` of the published configuration."""
CODES = (0, 1, 2, 3)
"""The four sequences of BraTS."""
SEEDS = {"smoke": (0,), "proof": (0, 1, 2), "study": tuple(range(10))}
FRAMES = (1, 3)
SIZES = {2: (48, 64), 3: (16, 16, 24)}
BIAS_SPREAD = 0.05


def generator(settings: NetworkSettings) -> Any:
    """The authors' Generator by their published configuration, at our number of axes and our sizes."""
    from src.seq2seq.models.seq2seq import Generator

    widths = list(settings.channels)

    published = {
        "ndims": settings.dimensions,
        "c_s": 64,
        "c_w": settings.rank,
        "c_in": settings.slices,
        "c_enc": widths,
        "k_enc": [7, 3, 3],
        "s_enc": [1, 2, 2],
        "nres_enc": 6,
        "norm": "InstanceNorm",
        "c_lstm": widths[-1],
        "c_dec": [*widths[-2::-1], settings.slices],
        "k_dec": [3, 3, 7],
        "s_dec": [1, 1, 1],
        "nres_dec": 6,
    }
    return Generator({"seq2seq": published}).eval()


def redraw(network: torch.nn.Module, draw: torch.Generator) -> None:
    """Draw every parameter anew, as widely as it was spread; those that were constant (biases) by `BIAS_SPREAD`."""
    for parameter in network.parameters():
        spread = float(parameter.detach().flatten()[:100_000].std())
        parameter.data.normal_(0, spread or BIAS_SPREAD, generator=draw)
        parameter.data = parameter.data.float().double()  # a file of weights holds float32


@torch.inference_mode()
def compare(
    theirs: Any, ours: Seq2SeqNetwork, frames: int, codes: tuple[int, ...], draw: torch.Generator
) -> tuple[float, float]:
    """Return the largest difference over codes and numbers of output frames, and the spread of the outputs."""
    settings = ours.settings
    shape = (1, frames, settings.slices, *SIZES[settings.dimensions])
    x = torch.randn(shape, generator=draw, dtype=torch.float64).clamp(-1, 1)
    any_source = torch.tensor([0])  # which one has no effect: the paper's encoder is not told
    worst, spread = 0.0, 0.0
    for code in codes:
        one_hot = torch.zeros(settings.code_length, dtype=torch.float64)
        one_hot[code] = 1
        for count in {1, frames} if code == codes[0] else {frames}:
            expected = theirs(x, one_hot, n_outseq=count)
            made = ours(x, any_source, torch.tensor([code]), count)
            assert made.shape == expected.shape == (1, count, *x.shape[2:])
            worst = max(worst, float((made - expected).abs().max()))
            spread = max(spread, float(expected.std()))
    return worst, spread


def their_loss(network: Any, source: Tensor, target: Tensor, numbers: tuple[int, int]) -> Tensor:
    """The loss as in the authors' train_brats_seq2seq_2d.py, calls and all, without the perceptual term.

    Args:
        network: Their Generator.
        source: `(1, T, C, [D,] H, W)`.
        target: Likewise.
        numbers: Of the sequences of both.
    """
    likeness = nn.SmoothL1Loss()
    from_code, to_code = torch.eye(PAPER.network.code_length, dtype=source.dtype)[list(numbers), None]
    made_source = network(source, from_code, n_outseq=source.shape[1])
    made_target = network(source, to_code, n_outseq=target.shape[1])
    cycled = network(made_target, from_code, n_outseq=source.shape[1])
    restored = likeness(made_target, target) + likeness(made_source, source)
    return WEIGHT * restored + WEIGHT * likeness(cycled, source)


def our_batch(source: Tensor, target: Tensor, numbers: tuple[int, int]) -> dict[str, Tensor]:
    """The same as our objective takes it."""
    covered = torch.ones_like(source, dtype=torch.bool)
    return {
        "source": source,
        "target": target,
        "source_covered": covered,
        "target_covered": covered,
        "from": torch.tensor(numbers[:1]),
        "to": torch.tensor(numbers[1:]),
        "number": torch.tensor([0]),
    }


def relative(made: Tensor, expected: Tensor) -> float:
    """The length of the difference as a share of that of the expected values."""
    return float((made - expected).norm() / expected.norm())


def gradient_difference(ours: nn.Module, theirs: nn.Module) -> float:
    """The relative difference of the gradients of all parameters together."""
    expected = dict(theirs.named_parameters())
    apart = whole = 0.0
    for name, own in ours.named_parameters():  # one by one: in three dimensions copies of all would not fit
        if own.grad is not None:
            wanted = expected[reference_name(name)].grad
            apart += float((own.grad - wanted).square().sum())
            whole += float(wanted.square().sum())
    return math.sqrt(apart / whole)


def step_difference(theirs: Any, ours: Seq2SeqNetwork, draw: torch.Generator) -> tuple[float, float]:
    """The relative differences of loss and gradients in one training step."""
    settings = ours.settings
    shape = (1, 1, settings.slices if settings.dimensions == 2 else 1, *SIZES[settings.dimensions])
    source, target = (torch.randn(shape, generator=draw, dtype=torch.float64).clamp(-1, 1) for _ in range(2))
    terms = Seq2SeqObjective(ours, PAPER.objective)(our_batch(source, target, (0, 1)))
    terms.pop("loss").backward()
    made = torch.stack(list(terms.values())).sum()  # the loss itself is of float32
    expected = their_loss(theirs, source, target, (0, 1))
    expected.backward()
    found = relative(made.detach(), expected.detach()), gradient_difference(ours, theirs)
    for network in (ours, theirs):
        network.zero_grad(set_to_none=True)
    return found


def step_claims(dimensions: int, found: list[tuple[float, float]], control: tuple[float, float]) -> list[Claim]:
    """Loss and gradients: the worst over the seeds."""
    return [
        Claim(
            f"relative difference of the {what} in one training step, {dimensions}D",
            max(each),
            math.nan,
            math.nan,
            "",
            len(each),
            STEP_BAR,
            "lower",
            {"weights not copied": before},
        )
        for what, each, before in zip(("loss", "gradients"), zip(*found, strict=True), control, strict=True)
    ]


def measure(dimensions: int, seeds: tuple[int, ...]) -> list[Claim]:
    """The claims for T = 1 and T = 3 at one number of axes."""
    settings = NetworkSettings(dimensions=dimensions, slices=3 if dimensions == 2 else 1)
    found: dict[int, list[tuple[float, float]]] = {frames: [] for frames in FRAMES}
    control = dict.fromkeys(FRAMES, math.inf)
    theirs, ours = generator(settings).double(), Seq2SeqNetwork(settings).double().eval()
    steps: list[tuple[float, float]] = []
    step_control = (math.inf, math.inf)
    for seed in seeds:
        draw = torch.Generator().manual_seed(seed)
        redraw(theirs, draw)
        if seed == seeds[0]:
            for frames in FRAMES:
                control[frames] = compare(theirs, ours, frames, CODES[:1], draw)[0]
            step_control = step_difference(theirs, ours, draw)
        ours.load_state_dict(renamed(theirs.state_dict(), settings))
        steps.append(step_difference(theirs, ours, draw))
        print(f"{dimensions}D step, seed {seed}: loss {steps[-1][0]:.2e}, gradients {steps[-1][1]:.2e}", flush=True)
        for frames in FRAMES:
            found[frames].append(compare(theirs, ours, frames, CODES if seed == seeds[0] else (CODES[seed % 4],), draw))
            print(f"{dimensions}D T={frames} seed {seed}: {found[frames][-1][0]:.2e}", flush=True)
    return [
        Claim(
            f"largest difference to the authors' network, {dimensions}D, T = {frames}",
            max(worst for worst, _ in pairs),
            math.nan,
            math.nan,
            "",
            len(seeds),
            BAR,
            "lower",
            {"weights not copied": control[frames], "spread of the outputs": max(spread for _, spread in pairs)},
        )
        for frames, pairs in found.items()
    ] + step_claims(dimensions, steps, step_control)


def use_reference(folder: Path) -> None:
    """Make the authors' code importable; end the program if it is not there."""
    publications = folder / "publications"
    if not (publications / "src" / "seq2seq").is_dir():
        sys.exit(f"{folder} is no checkout of fiy2W/mri_seq2seq: it has no publications/src/seq2seq")
    sys.path.insert(0, str(publications))


def main() -> None:
    reference = {"type": Path, "required": True, "help": "checkout of fiy2W/mri_seq2seq"}
    arguments = benchmark_arguments(__doc__ or "", tuple(SEEDS), reference=reference)
    use_reference(arguments.reference)
    seeds = SEEDS[arguments.tier]
    claims = [claim for dimensions in SIZES for claim in measure(dimensions, seeds)]
    write_results("seq2seq_parity", arguments, seeds, claims, "--reference PATH")


if __name__ == "__main__":
    main()
