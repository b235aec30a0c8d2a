"""Settings of pruning a run. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from scanweave.engine.settings import Settings

Ranking = Literal["beta", "beta-equation", "l1", "l2", "random", "hrank", "taylor", "bn"]
RANKINGS: tuple[Ranking, ...] = ("beta", "beta-equation", "l1", "l2", "random", "hrank", "taylor", "bn")


WITHOUT_SAMPLES = ("l1", "l2", "random", "bn")
"""Rankings that look at no samples."""


class PruneSettings(Settings):
    """Settings of pruning, and of the training afterwards."""

    flops: float = Field(0.5, gt=0, lt=1, description="Share of the multiply-adds that is left, at most.")
    ranking: Ranking = Field(
        "beta",
        description="What says which channels matter. beta: weights times the deviation of the output over that of "
        "the input, as in the released code; beta-equation: the reciprocal, as printed; l1, l2: weights; hrank: rank "
        "of the output maps; taylor: weights times gradients; bn: scale of the batch norm; random.",
    )
    images: PositiveInt = Field(
        64, le=4096, description="Training samples that rankings look at; of classes, as many of each."
    )
    steps: int | None = Field(
        None, ge=1, description="Steps of training afterwards; None: a quarter of those of the run."
    )
    learning_rate: float | None = Field(None, gt=0, description="Highest rate then; None: that of the run.")
    seed: int = Field(0, ge=0, description="Seed of samples, of the ranking random, and of the training afterwards.")
