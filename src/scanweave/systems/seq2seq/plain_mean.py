"""The network beside the plain mean of the other sequences, study by study and target by target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from scanweave.systems.seq2seq.synthesis import ALL, MEAN

LEARNT = ("psnr", "ssim")
"""A network has learnt if it beats the mean of the others in both: a blur already beats it in PSNR."""
BELOW = "below"
"""Name in `summary.json`."""


SHOWN = {"psnr": ("PSNR", "{:.1f} dB"), "ssim": ("SSIM", "{:.2f}")}


class Measured(NamedTuple):
    """One measure of a target: in how many studies it is below the plain mean, and the means over all of them."""

    studies: int
    made: float
    control: float


class Below(NamedTuple):
    """In how many studies a target made by the network is below the plain mean of the others, in PSNR or SSIM.

    What an earlier version noted has no figures by measure.
    """

    studies: int
    of: int
    measures: Mapping[str, Measured] = {}

    @property
    def words(self) -> str:
        """A sentence without a capital or a stop."""
        told = [
            f"{SHOWN[name][0]} in {one.studies}, on average {', that mean '.join(map(SHOWN[name][1].format, one[1:]))}"
            for name, one in self.measures.items()
        ]
        return (
            f"in {self.studies} of {self.of} evaluated studies it was less like the real scan than the plain mean of "
            f"the other sequences, in {' or '.join(SHOWN[name][0] for name in LEARNT)}"
            f"{' (' if told else ''}{'; '.join(told)}{')' if told else ''}"
        )


def count_below(pairs: pd.DataFrame) -> dict[str, Below]:
    """Return for each target in how many studies the network, from all others, is below their mean in PSNR or SSIM.

    Args:
        pairs: One row a study, source, target and region, as `evaluation.evaluate` returns it; the brain counts.
    """
    brain = pairs[pairs["region"] == "brain"].set_index(["target", "study"])
    made, control = (brain.loc[brain["kind"] == kind, list(LEARNT)] for kind in (ALL, MEAN))
    both = made.index.intersection(control.index, sort=False)
    made, control = made.loc[both], control.loc[both]
    below, found = made < control, dict[str, Below]()
    for target, rows in below.groupby(level="target", sort=False):
        means = (made.loc[rows.index].mean(), control.loc[rows.index].mean())
        measures = {name: Measured(int(rows[name].sum()), *(float(mean[name]) for mean in means)) for name in LEARNT}
        found[str(target)] = Below(int(rows.any(axis=1).sum()), len(rows), measures)
    return found


def below_in_words(found: Mapping[str, Below]) -> str:
    """Say in how many predictions the network is below that mean, by target."""
    total = Below(sum(one.studies for one in found.values()), sum(one.of for one in found.values()))
    each = ", ".join(f"{name} {one.studies} of {one.of}" for name, one in found.items() if one.studies)
    return f"below that mean, in PSNR or SSIM, in {total.studies} of {total.of} predictions{': ' if each else ''}{each}"


def noted_below(found: Mapping[str, Below]) -> dict[str, Any]:
    """Return what an evaluation notes of the targets, as JSON has it: a target's two counts, then its measures."""
    return {
        name: [one.studies, one.of, {measure: [*figures] for measure, figures in one.measures.items()}]
        for name, one in found.items()
    }


def known_below(about: Any) -> dict[str, Below]:
    """Return what an evaluation noted, of the targets that are below in some study; nothing where it noted nothing."""
    noted = about.get(BELOW) if isinstance(about, dict) else None
    if not isinstance(noted, dict):
        return {}
    found = {name: _below(one) for name, one in noted.items() if isinstance(one, list)}
    return {name: one for name, one in found.items() if one is not None and one.studies > 0}


def _below(noted: list[Any]) -> Below | None:
    """Return what was noted of one target, None where it is of another shape."""
    try:
        known = TypeAdapter(tuple[int, int] | tuple[int, int, dict[Literal["psnr", "ssim"], Measured]])
        return Below(*known.validate_python(noted, strict=False))
    except ValidationError:
        return None
