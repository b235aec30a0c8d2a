"""Readers who tell made from real: how well, how sure, and whether that is chance (visual Turing test).

Positive is "synthetic": sensitivity is the share of made items that were called so. Answers of several readers to the
same items are not independent. Pooled figures are means over readers of jackknife pseudo-values of each item, with the
variance of readers and items both random (Dorfman, Berbaum and Metz, Invest Radiol 27, 1992) and Hillis' degrees of
freedom (Stat Med 26, 2007). A two-way bootstrap of readers and items, which is often used, counts the
variance of single answers several times (Owen, Annals of Applied Statistics 2007).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import fleiss_kappa

from scanweave.errors import ScanweaveError
from scanweave.measures.bootstrap import Interval
from scanweave.measures.proportions import proportion

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
CONFIDENCE = 0.95
MARGIN = 0.10
"""Distance from 0.5 within which accuracy counts as that of chance (two one-sided tests at 5 %)."""


@dataclass(frozen=True, eq=False)
class Readings:
    """Hold the answers of readers to the same items.

    Attributes:
        synthetic: Whether each item is made `(C,)`.
        called: Whether each reader called it so `(R, C)`.
        ratings: How sure `(R, C)`: higher is surer that it is made.
        readers: Their names.
    """

    synthetic: BoolArray
    called: BoolArray
    ratings: FloatArray
    readers: tuple[str, ...]

    @classmethod
    def of(
        cls, synthetic: ArrayLike, called: ArrayLike, confidence: ArrayLike, readers: Sequence[str] | None = None
    ) -> Readings:
        """Build from answers; confidence is a positive number, such as 1 to 5.

        Raises:
            ScanweaveError: The shapes differ, or items are of one kind alone.
        """
        truth, answers = np.asarray(synthetic, dtype=bool), np.atleast_2d(np.asarray(called, dtype=bool))
        sure = np.atleast_2d(np.asarray(confidence, dtype=np.float64))
        if answers.shape != sure.shape or answers.shape[1] != len(truth):
            shapes = f"{answers.shape} answers, {sure.shape} confidences, {truth.shape} items"
            raise ScanweaveError("readings", shapes, "Give one of each for every reader and item")
        if not 1 < int(truth.sum()) < len(truth) - 1:
            raise ScanweaveError("readings", "items are of one kind alone", "Give two made and two real ones at least")
        names = tuple(readers) if readers is not None else tuple(f"reader {n + 1}" for n in range(len(answers)))
        return cls(truth, answers, np.where(answers, sure, -sure), names)


def d_prime(made_called: float, made: int, real_called: float, real: int) -> tuple[float, float]:
    """Return d′ and the criterion c of signal detection, with the log-linear correction (Hautus 1995).

    Args:
        made_called: Made items that were called so.
        made: Made items.
        real_called: Real items that were called made.
        real: Real items.
    """
    hit, alarm = (special.ndtri((k + 0.5) / (n + 1)) for k, n in ((made_called, made), (real_called, real)))
    return float(hit - alarm), float(-(hit + alarm) / 2)


def auroc(synthetic: BoolArray, ratings: FloatArray) -> float:
    """Return the chance that a made item is rated above a real one; ties count half."""
    ranks = stats.rankdata(ratings)
    made = int(synthetic.sum())
    return float((ranks[synthetic].sum() - made * (made + 1) / 2) / (made * (len(synthetic) - made)))


def summarise_readings(readings: Readings, *, margin: float = MARGIN) -> pd.DataFrame:
    """Return what each reader and all of them together tell.

    Args:
        readings: The answers.
        margin: Of the test of equivalence.

    Returns:
        Rows `reader, measure, value, low, high, n`: `sensitivity`, `specificity`, `accuracy`, `balanced accuracy`,
        `d′`, `criterion`, `AUC`, and `p of chance within ±0.1` (the larger of two one-sided tests of accuracy
        against 0.5 ± margin: below 0.05 says that it is chance as near as that). `all` pools the readers.
    """
    rows: list[dict[str, object]] = []
    for number, name in enumerate(readings.readers):
        rows += _of_one(readings, number, name, margin)
    if len(readings.readers) > 1:
        rows += _pooled(readings, margin)
    return pd.DataFrame(rows)


def agreement(readings: Readings) -> float:
    """Return Fleiss' kappa between readers; NaN of one reader."""
    if len(readings.readers) < 2:
        return float("nan")
    called = readings.called.sum(axis=0)
    table = np.stack([called, len(readings.readers) - called], axis=1)
    return float("nan") if table.min(axis=0).max() == len(readings.readers) else float(fleiss_kappa(table))


def repeated(first: ArrayLike, second: ArrayLike) -> float:
    """Return Cohen's kappa of a reader's answers to items that came twice; NaN where they never vary."""
    one, two = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if not len(one) or len({*one, *two}) < 2:
        return float("nan")
    return float(cohen_kappa_score(one, two))


def _of_one(readings: Readings, number: int, name: str, margin: float) -> list[dict[str, object]]:
    truth, called = readings.synthetic, readings.called[number]
    made, real = int(truth.sum()), int((~truth).sum())
    hits, alarms = int(called[truth].sum()), int(called[~truth].sum())
    right = int((called == truth).sum())
    found = {
        "sensitivity": proportion(hits, made),
        "specificity": proportion(real - alarms, real),
        "accuracy": proportion(right, made + real),
        "balanced accuracy": _estimated(readings, [number], _balanced),
        "d′": _d_prime_interval(hits, made, alarms, real),
        "criterion": Interval(d_prime(hits, made, alarms, real)[1], np.nan, np.nan, made + real),
        "AUC": _estimated(readings, [number], _auc),
    }
    spread = np.sqrt(right * (made + real - right) / (made + real) ** 3)
    p = _equivalent(right / (made + real), float(spread), np.inf, margin)
    return [*(_row(name, key, one) for key, one in found.items()), _p_row(name, p, made + real, margin)]


def _pooled(readings: Readings, margin: float) -> list[dict[str, object]]:
    every = list(range(len(readings.readers)))
    statistics = {
        "sensitivity": _sensitivity,
        "specificity": _specificity,
        "accuracy": _accuracy,
        "balanced accuracy": _balanced,
        "d′": _d_prime,
        "criterion": _criterion,
        "AUC": _auc,
    }
    rows = [_row("all", name, _estimated(readings, every, one)) for name, one in statistics.items()]
    values = _pseudo_values(readings, every, _accuracy)
    p = _equivalent(float(values.mean()), *_spread(values), margin)
    return [*rows, _p_row("all", p, len(readings.synthetic), margin)]


Statistic = Callable[[BoolArray, BoolArray, FloatArray], float]


def _sensitivity(truth: BoolArray, called: BoolArray, ratings: FloatArray) -> float:
    return float(called[truth].mean())


def _specificity(truth: BoolArray, called: BoolArray, ratings: FloatArray) -> float:
    return float(1 - called[~truth].mean())


def _accuracy(truth: BoolArray, called: BoolArray, ratings: FloatArray) -> float:
    return float((called == truth).mean())


def _balanced(truth: BoolArray, called: BoolArray, ratings: FloatArray) -> float:
    return (_sensitivity(truth, called, ratings) + _specificity(truth, called, ratings)) / 2


def _d_prime(truth: BoolArray, called: BoolArray, ratings: FloatArray) -> float:
    counts = int(called[truth].sum()), int(truth.sum()), int(called[~truth].sum()), int((~truth).sum())
    return d_prime(*counts)[0]


def _criterion(truth: BoolArray, called: BoolArray, ratings: FloatArray) -> float:
    counts = int(called[truth].sum()), int(truth.sum()), int(called[~truth].sum()), int((~truth).sum())
    return d_prime(*counts)[1]


def _auc(truth: BoolArray, called: BoolArray, ratings: FloatArray) -> float:
    return auroc(truth, ratings)


def _pseudo_values(readings: Readings, readers: Sequence[int], statistic: Statistic) -> FloatArray:
    """Return jackknife pseudo-values of each reader and item `(R, C)`; items are taken away one by one."""
    truth, count = readings.synthetic, len(readings.synthetic)
    made = np.empty((len(readers), count))
    for row, reader in enumerate(readers):
        called, ratings = readings.called[reader], readings.ratings[reader]
        whole = statistic(truth, called, ratings)
        kinds: dict[tuple[bool, bool, float], float] = {}
        for item in range(count):  # items of one kind and answer are alike
            kind = bool(truth[item]), bool(called[item]), float(ratings[item])
            if kind not in kinds:
                kept = np.arange(count) != item
                kinds[kind] = statistic(truth[kept], called[kept], ratings[kept])
            made[row, item] = count * whole - (count - 1) * kinds[kind]
    return made


def _spread(values: FloatArray) -> tuple[float, float]:
    """Return the standard error of the mean of pseudo-values `(R, C)`, and its degrees of freedom."""
    readers, items = values.shape
    if readers == 1:
        return float(values.std(ddof=1) / np.sqrt(items)), items - 1.0
    mean, by_reader, by_item = values.mean(), values.mean(axis=1), values.mean(axis=0)
    of_readers = items * float(((by_reader - mean) ** 2).sum()) / (readers - 1)
    of_items = readers * float(((by_item - mean) ** 2).sum()) / (items - 1)
    rest = values - by_reader[:, None] - by_item[None] + mean
    of_rest = float((rest**2).sum()) / ((readers - 1) * (items - 1))
    total = of_readers + max(of_items - of_rest, 0.0)
    if total <= 0:
        return 0.0, float(items - 1)
    freedom = total**2 / (of_readers**2 / (readers - 1)) if of_readers > 0 else float(items - 1)
    return float(np.sqrt(total / (readers * items))), float(min(freedom, 1e6))


def _estimated(readings: Readings, readers: Sequence[int], statistic: Statistic) -> Interval:
    values = _pseudo_values(readings, readers, statistic)
    whole = [statistic(readings.synthetic, readings.called[one], readings.ratings[one]) for one in readers]
    error, freedom = _spread(values)
    half = float(special.stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error
    middle = float(np.mean(whole))
    return Interval(middle, middle - half, middle + half, len(readings.synthetic))


def _d_prime_interval(hits: int, made: int, alarms: int, real: int) -> Interval:
    """Return d′ of one reader with its delta-method interval (Gourevitch and Galanter, Psychometrika 1967)."""
    value, _ = d_prime(hits, made, alarms, real)
    parts = [((k + 0.5) / (n + 1), n) for k, n in ((hits, made), (alarms, real))]
    error = np.sqrt(sum(p * (1 - p) / (n * stats.norm.pdf(special.ndtri(p)) ** 2) for p, n in parts))
    half = float(special.ndtri((1 + CONFIDENCE) / 2) * error)
    return Interval(value, value - half, value + half, made + real)


def _equivalent(value: float, error: float, freedom: float, margin: float) -> float:
    """Return the larger p of two one-sided tests that a value lies within a margin of 0.5."""
    if error <= 0:
        return 0.0 if abs(value - 0.5) < margin else 1.0
    below, above = (value - (0.5 - margin)) / error, ((0.5 + margin) - value) / error
    return float(max(stats.t.sf(below, freedom), stats.t.sf(above, freedom)))


def _row(reader: str, measure: str, found: Interval) -> dict[str, object]:
    interval = {"value": found.value, "low": found.low, "high": found.high, "n": found.n}
    return {"reader": reader, "measure": measure, **interval}


def _p_row(reader: str, p: float, items: int, margin: float) -> dict[str, object]:
    name = f"p of chance within ±{margin:g}"
    return {"reader": reader, "measure": name, "value": p, "low": np.nan, "high": np.nan, "n": items}
