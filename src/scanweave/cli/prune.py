"""`scanweave prune`: a run with a smaller network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from scanweave.cli.parsing import CohortFolder, RunFolder


@dataclass
class Prune:
    """Take channels out of the network of a run and train what is left, on the run's own cohort.

    The result is a run like any other: predict, evaluate, report, prune again.
    """

    folder: Annotated[Positional[RunFolder], arg(name="run", metavar="RUN")]
    """Folder of the run."""
    out: Path
    """Folder of the new run."""
    flops: float = 0.5
    """Share of the multiply-adds that is left, at most."""
    ranking: Literal["beta", "beta-equation", "l1", "l2", "random", "hrank", "taylor", "bn"] = "beta"
    """Which channels matter. beta: weights times deviation of the output over that of the input (Beta-Rank, released);
    beta-equation: the reciprocal, as printed; l1, l2: weights; hrank: rank of maps; taylor: gradients; bn: scales."""
    images: int = 64
    """Training samples that rankings look at; of classes, as many of each."""
    rounds: int = 1
    """How often channels are taken out, with a training after each; 1: all at once."""
    steps: int | None = None
    """Steps of training afterwards; a quarter of those of the run when left out."""
    learning_rate: float | None = None
    """Highest rate of it; that of the run when left out."""
    seed: int = 0
    """Seed of samples, of the ranking random, and of the training."""
    cohort: CohortFolder | None = None
    """The run's own cohort, where it has moved."""
    workers: int = 1
    """Processes that prepare studies."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes the fastest that is there."""

    def run(self) -> int:
        """Prune, and say what comes next."""
        from scanweave.pruning import prune

        given = {name: value for name, value in vars(self).items() if name not in ("folder", "out")}
        made = prune(self.folder, self.out, **given)
        cohort = self.cohort or made.run.record.get("cohort", {}).get("path", "COHORT")
        evaluate = f"scanweave evaluate {{}} --cohort {cohort}"
        beside = " --against " + str(self.folder) if hasattr(made.chosen("evaluate", None), "against") else ""
        steps = f"{evaluate.format(self.folder)} · {evaluate.format(self.out)}{beside}"
        print(f"wrote {self.out} · next: {steps}")
        return 0


COMMAND = Prune
