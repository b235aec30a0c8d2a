"""Ranking of sequences: which make the others best, which the others cannot make (spec b); C_t, C_d and doubt."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from scanweave.errors import ScanweaveError
from scanweave.files import write_json
from scanweave.framework.trial import Trial
from scanweave.measures.bootstrap import Interval, interval, patient_counts
from scanweave.measures.ranks import Ranks, rank_intervals
from scanweave.measures.summary import LEAST_PATIENTS_FOR_INTERVAL, estimate
from scanweave.report.ranking import RankedMeasure, ranking_plot
from scanweave.report.saving import save_figure, save_table
from scanweave.systems.seq2seq.config import RankOptions
from scanweave.systems.seq2seq.evaluation import evaluated
from scanweave.systems.seq2seq.fitted import FittedSeq2Seq
from scanweave.systems.seq2seq.pair_weights import pair_sums, pair_weights

FloatArray = NDArray[np.float64]
TITLES = {"C_t": "Generates the others (C_t)", "C_d": "Hard to generate (C_d)"}
HIGHER = {"C_d": "harder to make", "C_t": "better at making others"}
TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Centrality:
    """One way to rank N sequences: score with interval, place, and what resampling says of the place."""

    scores: tuple[Interval, ...]
    places: tuple[int, ...]
    ranks: Ranks


@dataclass(frozen=True, eq=False)
class Ranking:
    """C_t and C_d of N sequences.

    Attributes:
        sequences: Their names.
        generates: C_t, how well each makes the others.
        differs: C_d, how hard each is to make from the others.
        weights: A_ij, source i → target j, `(N, N)`; 0 where the pair was not seen.
        pair_patients: Number of patients behind each, `(N, N)`.
        third: The perceptual index that was used, "lpips" or "gmsd".
        patients: Number of patients.
        options: The conventions.
    """

    sequences: tuple[str, ...]
    generates: Centrality
    differs: Centrality
    weights: FloatArray
    pair_patients: NDArray[np.int64]
    third: str
    patients: int
    options: RankOptions

    @property
    def unseen(self) -> list[tuple[str, str]]:
        """Pairs that no study showed; they count 0."""
        return [
            (self.sequences[i], self.sequences[j])
            for i, j in np.argwhere(self.pair_patients == 0)
            if i != j or self.options.diagonal == "include"
        ]

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a sequence, the highest C_d first."""
        columns: dict[str, Any] = {"sequence": self.sequences}
        for name, of in (("C_t", self.generates), ("C_d", self.differs)):
            columns[name] = [score.value for score in of.scores]
            columns[f"{name}_low"] = [score.low for score in of.scores]
            columns[f"{name}_high"] = [score.high for score in of.scores]
            columns[f"{name}_rank"] = of.places
            columns[f"{name}_rank_low"], columns[f"{name}_rank_high"] = of.ranks.low, of.ranks.high
        return pd.DataFrame(columns).sort_values("C_d", ascending=False, ignore_index=True)

    @property
    def lines(self) -> list[str]:
        """Both orders in words, with 95 % intervals of the ranks."""
        return [f"{TITLES[name]}: {_words(self.sequences, of, self.patients)}" for name, of in self._both]

    def save(self, out: str | Path, about: dict[str, Any] | None = None) -> Path:
        """Write `ranking.csv`, `ranking.json` and `ranking.png` into a folder; `about` says which studies."""
        folder = Path(out)
        save_table(self.table, folder / "ranking.csv")
        record = self.to_json()
        save_figure(ranking_plot(ranked_measures(record)), folder / "ranking.png")
        write_json(folder / "ranking.json", {**record, "about": about or {}})
        return folder

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values; what is unknown is null."""
        return {
            "format": 1,
            "options": self.options.model_dump(),
            "third": self.third,
            "patients": self.patients,
            "sequences": list(self.sequences),
            **{name: _plain(of) for name, of in self._both},
            "weights": self.weights.tolist(),
            "pair_patients": self.pair_patients.tolist(),
            "unseen": [list(pair) for pair in self.unseen],
        }

    @property
    def _both(self) -> list[tuple[str, Centrality]]:
        return [("C_t", self.generates), ("C_d", self.differs)]


def rank_pairs(pairs: pd.DataFrame, options: RankOptions | None = None) -> Ranking:
    """Rank sequences by a table of pairs (spec b).

    A_ij = z(PSNR) + z(SSIM) − z(LPIPS, or GMSD where there is none), each the mean of the pair;
    C_t(i) = Σ_j A_ij / N, C_d(i) = −Σ_j A_ji / N.

    Args:
        pairs: Rows as `evaluation.evaluate` gives them.
        options: The conventions.

    Raises:
        ScanweaveError: No row fits the options, or ΣC_t = −ΣC_d is violated.
    """
    options = options or RankOptions()
    rows = _fitting(pairs, options)
    third = "lpips" if "lpips" in rows and rows["lpips"].notna().any() else "gmsd"
    names = tuple(dict.fromkeys([*rows["source"], *rows["target"]]))
    sums = pair_sums(rows, names, ["psnr", "ssim", third])
    size = len(names) - (options.divide_by == "N-1")
    conventions = {"diagonal": options.diagonal, "normalise_by": options.normalise_by}
    people = len(sums.rows)
    resamples = patient_counts(people, options.repeats, options.seed)
    point, draws = (pair_weights(sums, counts, **conventions) for counts in (np.ones((1, people)), resamples))
    both = []
    for axis, sign in ((2, 1.0), (1, -1.0)):
        value, drawn = (sign * weights.sum(axis=axis) / size for weights in (point, draws))
        both.append((value, drawn))
    for out_degree, in_degree in zip(*both, strict=True):
        _check_identity(out_degree, in_degree)
    generates, differs = (_centrality(value[0], drawn, people) for value, drawn in both)
    patients = (sums.rows[..., 0] > 0).sum(axis=0).reshape(len(names), len(names))
    return Ranking(names, generates, differs, point[0], patients, third, people, options)


def rank(fitted: FittedSeq2Seq, trial: Trial, options: RankOptions) -> Ranking:
    """Rank the sequences of a cohort, from the run's evaluation if it is of the same studies, else from a new one.

    Args:
        fitted: The fitted run.
        trial: The studies, and where the results go.
        options: The conventions.
    """
    home = trial.folder if trial.folder != trial.run.folder / "ranking" else trial.run.folder
    with_self = options.diagonal != "exclude"
    pairs, about = evaluated(fitted, trial, include_self=with_self, fresh=home / "evaluation")
    ranking = rank_pairs(pairs, options)
    for source, target in ranking.unseen:
        trial.say(f"note: no study shows {source} → {target}, which counts 0")
    for line in ranking.lines:
        trial.say(line)
    ranking.save(trial.folder, about)
    trial.note()
    return ranking


def ranked_measures(record: Mapping[str, Any]) -> list[RankedMeasure]:
    """Return both measures of `ranking.json` to draw; of few patients without the doubt, which is not told by them."""
    names, patients = record["sequences"], record["patients"]
    measures = []
    for name, higher in HIGHER.items():
        scores = {n: estimate(row, patients, "value") for n, row in zip(names, record[name], strict=True)}
        probability = np.array([row["probability"] for row in record[name]], dtype=float)
        known = probability if patients >= LEAST_PATIENTS_FOR_INTERVAL else np.full_like(probability, np.nan)
        measures.append(RankedMeasure(TITLES[name], scores, known, higher))
    return measures


def _fitting(pairs: pd.DataFrame, options: RankOptions) -> pd.DataFrame:
    kinds = ["pair"] if options.diagonal == "exclude" else ["pair", "self"]
    rows = pairs[pairs["kind"].isin(kinds) & (pairs["region"] == options.region)]
    if not (rows["kind"] == "pair").any():
        there = ", ".join(sorted(set(pairs["region"]))) or "none"
        raise ScanweaveError("pairs", f"no pair in region '{options.region}'", f"Choose one that is there: {there}")
    if "self" in kinds and not (rows["kind"] == "self").any():
        raise ScanweaveError("pairs", "hold no reconstruction of a sequence from itself", "Evaluate with include_self")
    return rows


def _centrality(value: FloatArray, draws: FloatArray, patients: int) -> Centrality:
    scores = tuple(interval(float(v), draws[:, i], patients) for i, v in enumerate(value))
    places = tuple(int(place) for place in rankdata(-value, method="min"))
    return Centrality(scores, places, rank_intervals(draws, patients))


def _check_identity(generates: FloatArray, differs: FloatArray) -> None:
    """Check that ΣC_t = −ΣC_d, since both add up the same weights."""
    rest = np.abs(generates.sum(axis=-1) + differs.sum(axis=-1)).max()
    if not rest <= TOLERANCE:
        raise ScanweaveError("ranking", f"ΣC_t + ΣC_d is {rest:.3g}, not 0", "Please report this as a fault")


def _words(names: tuple[str, ...], of: Centrality, patients: int) -> str:
    parts = []
    for i in sorted(range(len(names)), key=lambda i: (of.places[i], names[i])):
        low, high = of.ranks.low[i], of.ranks.high[i]
        doubt = f" [{low:.0f}–{high:.0f}]" if patients >= LEAST_PATIENTS_FOR_INTERVAL else ""
        parts.append(f"{names[i]} {_ordinal(of.places[i])}{doubt}")
    few = (
        f" ({patients} patient{'s' * (patients != 1)}: too few for intervals)"
        if patients < LEAST_PATIENTS_FOR_INTERVAL
        else ""
    )
    return ", ".join(parts) + few


def _ordinal(number: int) -> str:
    teens = 10 <= number % 100 <= 20
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _plain(of: Centrality) -> list[dict[str, Any]]:
    rows = []
    for i, (score, place) in enumerate(zip(of.scores, of.places, strict=True)):
        row = {
            "value": score.value,
            "low": score.low,
            "high": score.high,
            "rank": place,
            "rank_low": of.ranks.low[i],
            "rank_high": of.ranks.high[i],
        }
        known = {name: None if math.isnan(value) else float(value) for name, value in row.items()}
        shares = [None if math.isnan(p) else float(p) for p in of.ranks.probability[i]]
        rows.append({**known, "rank": place, "probability": shares})
    return rows
