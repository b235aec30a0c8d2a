"""Claim: Detect's preset `chexdet` is faster and smaller than torchvision's Faster R-CNN of ResNet-50 with a pyramid.

    python benchmarks/chexdet_speed.py --tier proof --json benchmarks/results/chexdet_speed.json

One grey film of 512 × 512, two classes, random weights, float32, two threads; both see it as it is, theirs three times
in place of colours and without resizing. A training step is losses, gradients and an update by AdamW, one film with
eight boxes; both draw 256 of their proposals for the head. Inference keeps 300 proposals and tells at most 100 boxes,
whatever their score. Both take turns, each turn in a process of its own: one pass that warms up, then those that are
timed, of which the median counts. Memory is the peak of that process less what it held before the network was made,
with all libraries loaded; the whole is printed beside it. Intervals are the range over turns.

Bars, written before any run: at most 0.7 times the time in inference, 0.9 in training, 0.7 times the memory, in both.
The width of our pyramid and head is that of the preset, 64; theirs is 256. Multiply-adds and parameters are printed:
most of the difference lies in them. So is the same at 256 channels, to show what the width gives.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from common import Claim, benchmark_arguments, in_child, peak_memory, write_results
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.detection import fasterrcnn_resnet50_fpn

from scanweave.systems.detect.config import CHEXDET, NetworkSettings
from scanweave.systems.detect.make_network import make_network
from scanweave.systems.detect.planning import DetectPlan
from scanweave.systems.detect.targets import FilmTargets

SEED, THREADS, CLASSES, BOXES = 0, 2, 2, 8
OURS, WIDE, THEIRS = "chexdet", "chexdet, 256 channels", "Faster R-CNN"
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"size": 128, "repeats": 1, "turns": 1},
    "proof": {"size": 512, "repeats": 5, "turns": 3},
    "study": {"size": 512, "repeats": 15, "turns": 7},
}
SAMPLED, KEPT, TOLD, TRAINING_PROPOSALS = 256, 300, 100, 1000
TIME = {"inference": 0.7, "training step": 0.9}
MEMORY = 0.7
RATE = 1e-4


class Turn(NamedTuple):
    """Findings of a process of its own.

    Attributes:
        seconds: Median of what is timed.
        megabytes: Peak memory [MiB] less what was held before the network was made.
        whole: Peak memory [MiB], libraries and all.
        operations: Multiply-adds of one pass forward.
        parameters: Of the network.
    """

    seconds: float
    megabytes: float
    whole: float
    operations: float
    parameters: int


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    found: dict[tuple[str, str], list[Turn]] = {}
    for _ in range(tier["turns"]):
        for task in TIME:
            for whose in (OURS, THEIRS, WIDE):
                found.setdefault((whose, task), []).append(in_child(one_turn, whose, task, tier))
    for (whose, task), turns in found.items():
        one = turns[0]
        held = f"{_median(turns, 'megabytes'):.0f} MiB of {_median(turns, 'whole'):.0f}"
        print(
            f"{whose}, {task}: {_median(turns, 'seconds'):.3f} s, {held}, "
            f"{one.parameters / 1e6:.1f} million parameters, {one.operations / 1e9:.1f} billion multiply-adds forward",
            flush=True,
        )
    write_results("chexdet_speed", arguments, (SEED,), list(claims(found)))


def claims(found: dict[tuple[str, str], list[Turn]]) -> Sequence[Claim]:
    """Return time and memory as shares of theirs, of the preset with bars and of the wide one without."""
    made = []
    for task, bar in TIME.items():
        theirs = found[THEIRS, task]
        for whose in (OURS, WIDE):
            turns = found[whose, task]
            own = bar if whose == OURS else None
            seconds = {"ours [s]": _median(turns, "seconds"), "theirs [s]": _median(theirs, "seconds")}
            made.append(share(f"{whose}, {task}: time over Faster R-CNN's", turns, theirs, "seconds", own, seconds))
            held = {"ours [MiB]": _median(turns, "megabytes"), "theirs [MiB]": _median(theirs, "megabytes")}
            own = MEMORY if whose == OURS else None
            made.append(share(f"{whose}, {task}: peak memory over theirs", turns, theirs, "megabytes", own, held))
    operations = found[OURS, "inference"][0].operations / found[THEIRS, "inference"][0].operations
    made.append(Claim("multiply-adds of inference over theirs", operations, np.nan, np.nan, "", 1, None, "lower"))
    return made


def share(
    name: str, ours: Sequence[Turn], theirs: Sequence[Turn], field: str, bar: float | None, control: dict[str, float]
) -> Claim:
    """Return the median of ours over that of theirs, with the range over turns."""
    ratios = [getattr(a, field) / getattr(b, field) for a, b in zip(ours, theirs, strict=True)]
    value = _median(ours, field) / _median(theirs, field)
    return Claim(name, value, min(ratios), max(ratios), "", len(ratios), bar, "lower", control)


def _median(turns: Sequence[Turn], field: str) -> float:
    return float(np.median([getattr(turn, field) for turn in turns]))


def one_turn(whose: str, task: str, tier: dict[str, Any]) -> Turn:
    """Time one network at one task."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(SEED)
    size, libraries = tier["size"], peak_memory()
    network, infer, step = (theirs if whose == THEIRS else ours)(whose, size)
    network.train(task != "inference")
    work = infer if task == "inference" else step
    network.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        infer()
    network.train(task != "inference")
    seconds = []
    for _ in range(1 + tier["repeats"]):
        before = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - before)
    operations, parameters = counter.get_total_flops() / 2, sum(one.numel() for one in network.parameters())
    whole = peak_memory()
    return Turn(float(np.median(seconds[1:])), whole - libraries, whole, operations, parameters)


Work = Callable[[], Any]


def film(size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return a film `(1, 1, H, W)`, boxes `(N, 4)` and their classes `(N,)`."""
    draw = torch.Generator().manual_seed(SEED)
    start = torch.rand(BOXES, 2, generator=draw) * size * 0.6
    extent = (0.1 + 0.3 * torch.rand(BOXES, 2, generator=draw)) * size
    boxes = torch.cat([start, start + extent], dim=1)
    return torch.rand(1, 1, size, size, generator=draw), boxes, torch.arange(BOXES) % CLASSES


def ours(whose: str, size: int) -> tuple[nn.Module, Work, Work]:
    """Return our network, one film through it, and one training step."""
    settings: NetworkSettings = CHEXDET.network.model_copy(
        update={"sampled": SAMPLED, "proposals": KEPT, "training_proposals": TRAINING_PROPOSALS, "least_score": 0.0}
        | ({"pyramid_width": 256, "head_width": 256} if whose == WIDE else {})
    )
    names = tuple("ab"[:CLASSES])
    plan = DetectPlan(
        kind="findings", labels=names, outputs=names, uncertain="ignore", shares=(0.5,) * CLASSES, reasons=(),
        scan="film", channels=1, size=(size, size), anchor_scale=8.0, anchor_ratios=(0.5, 1.0, 2.0), most_targets=BOXES,
    )  # fmt: skip
    network: Any = make_network(plan, settings)
    image, boxes, classes = film(size)
    known = torch.ones(CLASSES, dtype=torch.bool)
    target = FilmTargets(boxes, classes, torch.zeros(0, 4), known, known.float(), known)

    def infer() -> None:
        with torch.inference_mode():
            network(image)

    return network, infer, stepping(network, lambda: sum(network.losses(image, [target]).values()))


def theirs(whose: str, size: int) -> tuple[nn.Module, Work, Work]:
    """Return torchvision's network, one film through it, and one training step."""
    network = fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=1 + CLASSES, min_size=size, max_size=size,
        rpn_post_nms_top_n_train=TRAINING_PROPOSALS, rpn_post_nms_top_n_test=KEPT, rpn_pre_nms_top_n_test=KEPT,
        rpn_pre_nms_top_n_train=TRAINING_PROPOSALS, box_batch_size_per_image=SAMPLED, box_score_thresh=0.0,
        box_detections_per_img=TOLD,
    )  # fmt: skip
    image, boxes, classes = film(size)
    pictures = [image[0].expand(3, -1, -1)]
    target = [{"boxes": boxes, "labels": classes + 1}]

    def infer() -> None:
        with torch.inference_mode():
            network(pictures)

    return network, infer, stepping(network, lambda: sum(network(pictures, target).values()))


def stepping(network: nn.Module, loss: Callable[[], Any]) -> Work:
    """Return a training step by AdamW."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()

    return step


if __name__ == "__main__":
    main()
