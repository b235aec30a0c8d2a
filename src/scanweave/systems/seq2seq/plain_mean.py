"""The network beside the plain mean of the other sequences, study by study and target by target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from scanweave.systems.seq2seq.synthesis import ALL, MEAN

LEARNT = ("psnr", "ssim")
"""A network has learnt if it beats the mean of the others in both: a blur already beats it in PSNR."""
BELOW = "below"
"""Name in `summary.json`."""


class Below(NamedTuple):
    """In how many studies a target made by the network is below the plain mean of the others."""

    studies: int
    of: int

    @property
    def words(self) -> str:
        """A sentence without a capital or a stop."""
        return (
            f"in {self.studies} of {self.of} evaluated studies it was less like the real scan than the plain mean of "
            "the other sequences"
        )


def count_below(pairs: pd.DataFrame) -> dict[str, Below]:
    """Return for each target in how many studies the network, from all others, is below their mean in PSNR or SSIM.

    Args:
        pairs: One row a study, source, target and region, as `evaluation.evaluate` returns it; the brain counts.
    """
    brain = pairs[pairs["region"] == "brain"].set_index(["target", "study"])
    made, control = (brain.loc[brain["kind"] == kind, list(LEARNT)] for kind in (ALL, MEAN))
    both = made.index.intersection(control.index, sort=False)
    below = (made.loc[both] < control.loc[both]).any(axis=1)
    return {
        str(target): Below(int(found.sum()), len(found)) for target, found in below.groupby(level="target", sort=False)
    }


def below_in_words(found: Mapping[str, Below]) -> str:
    """Say in how many predictions the network is below that mean, by target."""
    total = Below(sum(one.studies for one in found.values()), sum(one.of for one in found.values()))
    each = ", ".join(f"{name} {one.studies} of {one.of}" for name, one in found.items() if one.studies)
    return f"below that mean in {total.studies} of {total.of} predictions{': ' if each else ''}{each}"


def known_below(about: Any) -> dict[str, Below]:
    """Return what an evaluation noted, of the targets that are below in some study; nothing where it noted nothing."""
    noted = about.get(BELOW) if isinstance(about, dict) else None
    if not isinstance(noted, dict):
        return {}
    pairs = {name: pair for name, pair in noted.items() if isinstance(pair, list) and len(pair) == 2}
    counts = {name: pair for name, pair in pairs.items() if all(isinstance(one, int) for one in pair)}
    return {name: Below(*pair) for name, pair in counts.items() if pair[0] > 0}
