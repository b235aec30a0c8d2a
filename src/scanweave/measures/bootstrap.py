"""Intervals from resampling patients: all rows of a patient move together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from warnings import catch_warnings, simplefilter

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.stats import norm
from scipy.stats import t as student

from scanweave.errors import ScanweaveError
from scanweave.measures.input_checks import checked_fraction, checked_names, checked_numbers

FloatArray = NDArray[np.float64]
Statistic = Callable[[FloatArray], Any]


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval.

    Attributes:
        value: The estimate.
        low: Lower end; NaN if one patient alone leaves it unknown.
        high: Upper end, likewise.
        n: Number of patients behind it.
    """

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if np.isnan(self.low):
            return f"{self.value:.3g} (n = {self.n}: no interval)"
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}] (n = {self.n})"


def bootstrap(
    values: ArrayLike,
    patients: Sequence[Hashable],
    statistic: Statistic = np.mean,
    *,
    seed: int,
    repeats: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Estimate `statistic(values)` and its interval over patients.

    Percentile bootstrap of whole patients (Davison & Hinkley 1997, §3.8), its ends moved outwards for few patients
    as in Hesterberg, Am. Stat. 69(4), 2015, §5.3: the plain percentile interval is too short by √((n−1)/n) and by
    the normal in place of Student's t.

    Args:
        values: One figure a row, `(rows,)`. NaN means that the row has none: it is left out and not counted.
        patients: The patient of each row.
        statistic: From the values of a resample to a number.
        seed: Seed of the resampling.
        repeats: Number of resamples.
        confidence: Coverage that is asked for, between 0 and 1.

    Returns:
        The estimate; with one patient its ends are NaN.

    Raises:
        ScanweaveError: No value is left, lengths differ, a row has no patient, or an option that cannot be.
    """
    rows = checked_numbers("values", values)
    present = ~np.isnan(rows)
    groups, rows = _groups(present, patients), rows[present]
    if statistic is np.mean:
        draws = _mean_draws(groups, rows, repeats, seed)
    else:
        draws = np.array([statistic(rows[drawn]) for drawn in _row_draws(groups, repeats, seed)], dtype=np.float64)
    return interval(float(statistic(rows)), draws, len(groups), confidence)


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    patients: Sequence[Hashable],
    statistic: Statistic = np.mean,
    *,
    seed: int,
    repeats: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Estimate `statistic(first) − statistic(second)`, both taken on the same resamples of patients.

    Rows are pairs: the same study and target measured twice. A row where either is NaN is left out. See `bootstrap`.
    """
    first, second = checked_numbers("first", first), checked_numbers("second", second)
    if first.shape != second.shape:
        raise ScanweaveError("values", f"{first.shape} against {second.shape} rows", "Give pairs in the same order")
    if statistic is np.mean:
        return bootstrap(first - second, patients, seed=seed, repeats=repeats, confidence=confidence)
    pairs = np.stack([first, second], axis=1)
    present = np.asarray(~np.isnan(pairs).any(axis=1))
    groups, pairs = _groups(present, patients), pairs[present]

    def difference(rows: FloatArray) -> float:
        return float(statistic(rows[:, 0]) - statistic(rows[:, 1]))

    draws = np.array([difference(pairs[drawn]) for drawn in _row_draws(groups, repeats, seed)])
    return interval(difference(pairs), draws, len(groups), confidence)


def bootstrap_means(
    values: ArrayLike, patients: Sequence[Hashable], *, seed: int, repeats: int = 2000, confidence: float = 0.95
) -> list[Interval]:
    """Estimate the mean of every column of `values (rows, K)`, all on the same resamples. See `bootstrap`.

    Raises:
        ScanweaveError: A value is NaN, or as `bootstrap`.
    """
    rows = checked_numbers("values", values)
    if np.isnan(rows).any():
        raise ScanweaveError("values", "it holds NaN", "Leave those rows out of every column")
    groups = _groups(np.ones(len(rows), dtype=bool), patients)
    draws = _mean_draws(groups, rows, repeats, seed)
    columns = zip(rows.mean(axis=0).tolist(), draws, strict=True)
    return [interval(value, column, len(groups), confidence) for value, column in columns]


def bootstrap_ratio(
    parts: ArrayLike,
    wholes: ArrayLike,
    patients: Sequence[Hashable],
    *,
    seed: int,
    repeats: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Estimate `Σ parts / Σ wholes`, such as found lesions over all lesions, and its interval over patients.

    Patients whose wholes add up to 0 say nothing of a share: they are left out, and not counted. See `bootstrap`.

    Args:
        parts: `(rows,)`.
        wholes: `(rows,)`, none below 0.
        patients: The patient of each row.
        seed: Seed of the resampling.
        repeats: Number of resamples.
        confidence: Coverage that is asked for, between 0 and 1.

    Raises:
        ScanweaveError: The wholes are all 0, one is below 0, a figure is NaN, lengths differ, or as `bootstrap`.
    """
    columns = np.stack([checked_numbers("parts", parts), checked_numbers("wholes", wholes)], axis=-1)
    if np.isnan(columns).any() or (columns[:, 1] < 0).any():
        raise ScanweaveError("wholes", "one is NaN or below 0", "Give counts")
    groups = _groups(np.ones(len(columns), dtype=bool), patients)
    sums = np.array([columns[rows].sum(axis=0) for rows in groups])
    sums = sums[sums[:, 1] > 0]
    if not len(sums):
        raise ScanweaveError("wholes", "all are 0", "Give at least one row of which there can be a share")
    drawn = patient_counts(len(sums), repeats, seed) @ sums
    total = sums.sum(axis=0)
    return interval(float(total[0] / total[1]), drawn[:, 0] / drawn[:, 1], len(sums), confidence)


def bootstrap_measure(
    measure: Callable[..., float],
    columns: Sequence[ArrayLike],
    patients: Sequence[Hashable],
    *,
    strata: Sequence[Hashable] | None = None,
    method: Literal["bca", "percentile"] = "bca",
    seed: int,
    repeats: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Estimate a measure of several columns, such as `f1(classes, predicted)`, and its interval over patients.

    Whole patients are drawn. `bca` corrects for bias and for an error that grows or shrinks with the truth (Efron
    1987; Davison & Hinkley 1997, eq. 5.21), the latter from leaving out one patient at a time. Both methods move
    their ends outwards for few patients, as `bootstrap` does.

    Args:
        measure: From the columns, cut to a resample, to a number; also `lambda y, a, b: f1(y, a) - f1(y, b)`.
        columns: Arrays with one entry a row, `(rows, …)`.
        patients: The patient of each row.
        strata: Of each row, such as its class: patients are drawn within them, so that no resample lacks one. A
            patient belongs to one stratum.
        method: `bca` or `percentile`.
        seed: Seed of the resampling.
        repeats: Number of resamples.
        confidence: Coverage that is asked for, between 0 and 1.

    Returns:
        The estimate. Its ends are NaN if a stratum has one patient, a resample is NaN, or `bca` finds no spread or has
        two patients.

    Raises:
        ScanweaveError: Lengths differ, a row without patient or stratum, a patient of two strata, a resample without a
            class, or an option that cannot be.
    """
    if method not in ("bca", "percentile"):
        raise ScanweaveError("method", f"{method} is unknown", "Choose bca or percentile")
    checked_fraction("confidence", confidence)
    _check_repeats(repeats)
    arrays = _checked_columns(columns, len(patients))
    groups = _groups(np.ones(len(patients), dtype=bool), patients)
    value = float(measure(*arrays))
    parts = _strata(groups, strata)
    if min(map(len, parts)) < 2:
        return Interval(value, float("nan"), float("nan"), len(groups))
    with catch_warnings(), np.errstate(invalid="ignore"):
        simplefilter("ignore", stats.DegenerateDataWarning)
        ends = stats.bootstrap(
            parts,
            _of_patients(measure, arrays, groups),
            vectorized=False,
            method=method,
            n_resamples=repeats,
            batch=100,
            confidence_level=1 - 2 * _tail(len(groups), confidence),
            rng=np.random.default_rng([seed, len(groups)]),
        ).confidence_interval
    return Interval(value, float(ends.low), float(ends.high), len(groups))


def patient_counts(patients: int, repeats: int, seed: int) -> NDArray[np.int64]:
    """Draw how often each patient occurs in each resample: `(repeats, patients)`, rows adding up to `patients`.

    With these counts as weights, a statistic made of sums is a matrix product over all resamples at once.
    """
    _check_repeats(repeats)
    return np.random.default_rng([seed, patients]).multinomial(patients, np.full(patients, 1 / patients), size=repeats)


def interval(value: float, draws: FloatArray, n: int, confidence: float = 0.95) -> Interval:
    """Make the `Interval` of an estimate from its resampled values `(repeats,)` over `n` patients."""
    checked_fraction("confidence", confidence)
    if n < 2:
        return Interval(value, float("nan"), float("nan"), n)
    tail = _tail(n, confidence)
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(value, float(low), float(high), n)


def _tail(n: int, confidence: float) -> float:
    """Return the share of resamples beyond either end, for `n` patients (Hesterberg 2015, §5.3)."""
    return float(norm.cdf(-np.sqrt(n / (n - 1)) * student.ppf((1 + confidence) / 2, n - 1)))


def _checked_columns(columns: Sequence[ArrayLike], rows: int) -> list[NDArray[Any]]:
    arrays = [np.asarray(column) for column in columns]
    if any(len(array) != rows for array in arrays):
        lengths = ", ".join(str(len(array)) for array in arrays)
        raise ScanweaveError("columns", f"{lengths} rows for {rows} patients", "Give one entry a row in each")
    return arrays


def _of_patients(
    measure: Callable[..., float], arrays: list[NDArray[Any]], groups: list[NDArray[np.int64]]
) -> Callable[..., float]:
    """Return the measure as a function of the numbers of the patients that were drawn, an array a stratum."""
    rows_of = _drawer(groups)

    def measured(*drawn: NDArray[np.int64]) -> float:
        rows = rows_of(np.bincount(np.concatenate(drawn), minlength=len(groups)))
        try:
            return float(measure(*(array[rows] for array in arrays)))
        except ScanweaveError as error:
            reason = f"a resample cannot be measured: {error.where}: {error.reason}"
            raise ScanweaveError("strata", reason, "Draw within classes: give the class of every row") from error

    return measured


def _strata(groups: list[NDArray[np.int64]], strata: Sequence[Hashable] | None) -> list[NDArray[np.int64]]:
    """Return the numbers of the patients of each stratum."""
    if strata is None:
        return [np.arange(len(groups))]
    numbers = checked_names("strata", strata, sum(map(len, groups)))
    if any(np.ptp(numbers[rows]) for rows in groups):
        raise ScanweaveError("strata", "a patient belongs to several", "Give a patient's rows one, such as the worst")
    return _places(numbers[[rows[0] for rows in groups]])


def _groups(present: NDArray[np.bool_], patients: Sequence[Hashable]) -> list[NDArray[np.int64]]:
    """Return the places of each patient's rows among the rows that are present."""
    if present.shape != (len(patients),):
        raise ScanweaveError("patients", f"{len(patients)} for rows {present.shape}", "Name the patient of every row")
    kept = [patient for patient, there in zip(patients, present, strict=True) if there]
    if not kept:
        raise ScanweaveError("values", "there is none", "Give at least one row with a value")
    return _places(checked_names("patients", kept, len(kept)))


def _places(numbers: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return where each of the numbers 0, 1, … stands."""
    return np.split(np.argsort(numbers, kind="stable"), np.cumsum(np.bincount(numbers))[:-1])


def _check_repeats(repeats: int) -> None:
    if repeats < 2:
        raise ScanweaveError("repeats", f"{repeats}", "Give at least 2; 2000 are common")


def _mean_draws(groups: list[NDArray[np.int64]], values: FloatArray, repeats: int, seed: int) -> FloatArray:
    """Return the resampled means `(repeats,)` of values `(rows,)`, or `(K, repeats)` of columns `(rows, K)`."""
    counts = patient_counts(len(groups), repeats, seed)
    sums = np.array([values[rows].sum(axis=0) for rows in groups])
    sizes = np.array([len(rows) for rows in groups])
    means: FloatArray = (counts @ sums).T / (counts @ sizes)
    return means


def _row_draws(groups: list[NDArray[np.int64]], repeats: int, seed: int) -> Iterator[NDArray[np.int64]]:
    drawn = _drawer(groups)
    return (drawn(counts) for counts in patient_counts(len(groups), repeats, seed))


def _drawer(groups: list[NDArray[np.int64]]) -> Callable[[NDArray[np.int64]], NDArray[np.int64]]:
    """Return a function from how often each patient is drawn to the rows."""
    sizes, rows = np.array([len(rows) for rows in groups]), np.concatenate(groups)
    return lambda counts: np.repeat(rows, np.repeat(counts, sizes))
