"""Checks for what spoils a study in its table: columns that give the outcome away or say nothing, poor folds, twins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from scanweave.studies.checks.presence_check import presence_leaks
from scanweave.studies.cohort import Cohort
from scanweave.studies.columns import columns_of
from scanweave.studies.findings import Finding, Verdict
from scanweave.studies.label_values import certain
from scanweave.studies.splits import Part
from scanweave.studies.tables.column_kinds import DOUBT, MOSTLY
from scanweave.studies.tables.schema import read_schema
from scanweave.wording import studies

GIVES_AWAY_AUROC = 0.98
"""Separation of two classes (AUROC) by one column from which the column is suspected to hold the outcome."""
SAME_COLUMN_CORRELATION = 0.9999
"""Rank correlation from which two columns count as one."""
LATER_VISIT_FRACTION = 0.02
"""Share of visits before a date from which the date is suspected to be known later only."""
LEAST_PATIENTS_FOR_FIGURES = 20
"""Patients below which figures of a column say nothing."""
LEAST_STUDIES_OF_CLASS, MOST_CLASSES_FOR_FIGURES = 5, 20
"""Studies of a class below which nothing is said to tell it; classes above which a label is no label of classes."""
NAME_LIKE_PATIENTS = 50
"""Patients from which whole numbers that never repeat may be names."""
ENDINGS = frozenset(
    {
        "status",
        "vital_status",
        "event",
        "death",
        "dead",
        "died",
        "deceased",
        "death_event",
        "survival",
        "survival_time",
        "time_to_event",
        "time_to_death",
        "days_to_death",
        "futime",
        "follow_up",
        "followup",
        "fu_time",
        "os_time",
        "pfs",
    }
)
"""Names of columns that tell how a study ended; a number may follow."""
END = "by its name, known only at the end of a study"
LEAST_TWIN_VALUES = 5
"""Values that two patients must share, all of them, to be suspected to be one."""
Found = Iterator[tuple[str, Finding]]
"""A column and what was found about it."""
_LATER = "Leave it out of the fit if it is known only after the outcome: --leave-out NAME"

PRESENCE_STEP = "Fit without it, or on studies that all have it, unless patients to come have it by the same rule"
"""What to do about a column whose presence alone tells the label."""


def check_table(cohort: Cohort) -> list[Verdict]:
    """Check the columns of a cohort; the verdicts name columns, or folds, in place of studies.

    Raises:
        ScanweaveError: The schema or the splits are damaged.
    """
    frame = cohort.frame
    features = [column for column in frame if str(column).startswith("table:")]
    labels = [column for column in frame if str(column).startswith("label:")]
    if not (features or labels):
        return []
    plain = pd.DataFrame({c: frame[c].astype(object).where(frame[c].notna(), None) for c in features})
    for label in labels:
        plain[label] = certain(frame[label])
    plain = plain.apply(_typed)
    plain[["study", "patient"]] = frame[["study", "patient"]].astype(str)
    checks: list[Callable[[Cohort, pd.DataFrame, list[str], list[str]], Found]] = [
        _noted,
        _empty,
        _identifiers,
        _copies,
        _leaks,
        _presence,
        _later,
        _twins,
        _folds,
    ]
    found: dict[str, list[Finding]] = defaultdict(list)
    for check in checks:
        for where, finding in check(cohort, plain, features, labels):
            if finding.kind != "presence" or all(one.kind != "leak" for one in found[where]):
                found[where].append(finding)
    return [Verdict(where, tuple(findings)) for where, findings in found.items()]


def _typed(column: pd.Series) -> pd.Series:
    """Return numbers as floats, everything else as it is."""
    there = column.dropna()
    if len(there) and there.map(lambda value: isinstance(value, int | float | np.number)).all():
        return column.astype(float)
    return pd.to_datetime(column) if len(there) and there.map(lambda v: isinstance(v, pd.Timestamp)).all() else column


def _shown(value: object) -> str:
    """Return a value as people write it: numbers are floats here, whole or not."""
    return f"'{value}'" if not isinstance(value, float) else str(int(value) if value.is_integer() else value)


def _is_number(column: pd.Series) -> bool:
    return bool(pd.api.types.is_float_dtype(column.dtype))


def _empty(cohort: Cohort, plain: pd.DataFrame, features: list[str], labels: list[str]) -> Found:
    for column in features:
        distinct = plain[column].nunique()
        if distinct == 0:
            yield column, Finding("empty", "suspect", "holds no value", "it is not learnt from")
        elif distinct == 1:
            yield column, Finding("constant", "suspect", "holds one value only", "it is not learnt from")
    for column in labels:
        counts = plain[column].value_counts()
        if len(counts) < 2:
            yield column, Finding("one class", "refused", "holds fewer than two classes", "Name another label")
        elif len(counts) > max(20, len(plain) // 5):
            yield (
                column,
                Finding("identifier", "refused", f"holds {len(counts)} values", "Name a label with few classes"),
            )
        elif counts.min() < 5:
            yield (
                column,
                Finding(
                    "rare",
                    "suspect",
                    f"the value {_shown(counts.idxmin())} is in {studies(counts.min())} only",
                    "Join classes, or expect wide intervals",
                ),
            )


def _noted(cohort: Cohort, plain: pd.DataFrame, features: list[str], labels: list[str]) -> Found:
    """List what the import told and only the user can settle."""
    schema = read_schema(cohort.folder)
    for column in schema.columns if schema else ():
        for note in column.notes:
            if note.endswith(MOSTLY) or DOUBT in note:
                yield column.field or column.source, Finding("import", "suspect", note, "Import again with --columns")


def _identifiers(cohort: Cohort, plain: pd.DataFrame, features: list[str], labels: list[str]) -> Found:
    for column in features:
        values = plain[column].dropna()
        whole = _is_number(values) and (values % 1 == 0).all()
        if not whole or len(values) < LEAST_PATIENTS_FOR_FIGURES or values.nunique() < len(values):
            continue
        if np.ptp(values) < 2 * len(values):
            yield column, Finding("identifier", "suspect", "numbers the rows", "Leave it out: --leave-out NAME")
        elif len(values) >= NAME_LIKE_PATIENTS:
            words = "holds another whole number in each row"
            yield column, Finding("identifier", "suspect", words, "If it is a name, leave it out: --leave-out NAME")


def _copies(cohort: Cohort, plain: pd.DataFrame, features: list[str], labels: list[str]) -> Found:
    codes = pd.DataFrame(
        {
            c: plain[c].rank()
            if _is_number(plain[c])
            else plain[c].astype("category").cat.codes.where(plain[c].notna())
            for c in features
        }
    )
    codes = codes.loc[:, codes.nunique() > 1]
    if len(codes) < LEAST_PATIENTS_FOR_FIGURES or codes.shape[1] < 2:
        return
    likeness = codes.corr().abs().to_numpy()
    gaps = plain[codes.columns].isna().to_numpy()
    for second in range(codes.shape[1]):
        for first in range(second):
            if likeness[first, second] >= SAME_COLUMN_CORRELATION and (gaps[:, first] == gaps[:, second]).mean() > 0.95:
                twin = codes.columns[first].partition(":")[2]
                yield codes.columns[second], Finding("copy", "suspect", f"tells the same as {twin}", "Keep one of them")
                break


def _leaks(cohort: Cohort, plain: pd.DataFrame, features: list[str], labels: list[str]) -> Found:
    for label in labels:
        known = plain[plain[label].notna()]
        classes = known[label].value_counts()
        usual = [one for one, number in classes.items() if number >= LEAST_STUDIES_OF_CLASS]
        if len(known) < LEAST_PATIENTS_FOR_FIGURES or not 2 <= len(classes) <= MOST_CLASSES_FOR_FIGURES:
            continue
        for column in features:
            area = max((_separation(known[column], known[label] == one) for one in usual), default=0.5)
            if area >= GIVES_AWAY_AUROC:
                words = f"alone tells {label.partition(':')[2]} (AUROC {area:.3f})"
                yield column, Finding("leak", "suspect", words, _LATER)


def _presence(cohort: Cohort, plain: pd.DataFrame, features: list[str], labels: list[str]) -> Found:
    """Tell scans, masks, variables and other columns whose presence alone tells a label; see `presence_leaks`."""
    columns = [column for column in columns_of(cohort.frame.columns) if column.kind.name != "label"]
    there = pd.DataFrame({column.heading: cohort.frame[column.heading].notna() for column in columns})
    for label in labels:
        name, classes = label.partition(":")[2], plain[label].value_counts()
        usual = [one for one, number in classes.items() if number >= LEAST_STUDIES_OF_CLASS]
        if not 2 <= len(classes) <= MOST_CLASSES_FOR_FIGURES:
            continue
        known = plain[label].notna()
        shown = [max(usual, key=str)] if len(classes) == len(usual) == 2 else usual
        truths = {f"{name} {_shown(one)}": (plain[label] == one).where(known).to_numpy(dtype=float) for one in shown}
        for leak in presence_leaks(there, truths, list(plain["patient"])):
            yield leak.columns[0], Finding("presence", "suspect", leak.words(), PRESENCE_STEP)


def _separation(column: pd.Series, positive: pd.Series) -> float:
    """Return the AUROC of a column alone, either way; categories count by share of positives, gaps by being there."""
    gaps = _area(column.isna().to_numpy(dtype=float), positive.to_numpy())
    there = column.notna()
    values, truth = column[there], positive[there].to_numpy()
    if len(values) < LEAST_PATIENTS_FOR_FIGURES or truth.all() or not truth.any():
        return gaps
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        values = values.astype("int64").astype(float)
    found = [gaps, _area(values.to_numpy(), truth)] if _is_number(values) else [gaps]
    if values.nunique() <= min(20, len(values) // 5):  # codes are categories too
        found.append(_area(positive[there].groupby(values).transform("mean").to_numpy(dtype=float), truth))
    return max(found)


def _area(score: np.ndarray, truth: np.ndarray) -> float:
    from scipy.stats import rankdata

    positives = int(truth.sum())
    negatives = len(truth) - positives
    area = (rankdata(score)[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    return float(max(area, 1 - area))


def _tells_the_end(name: str, single: bool) -> bool:
    """Tell whether a column is named as the end of a study is; a time is where patients have a `single` visit."""
    return name.rstrip("0123456789") in ENDINGS or (single and name == "time")


def giving_away(cohort: Cohort, features: Sequence[str], label: str) -> dict[str, str]:
    """Return the variables that may give a label away, with the reason for each.

    Args:
        cohort: Those who are learnt from.
        features: Names of the variables.
        label: Name of the label.
    """
    single = not cohort.frame["patient"].duplicated().any()
    found = {name: f"is, {END}" for name in features if _tells_the_end(name, single)}
    field = f"label:{label}"
    if field in cohort.frame:
        columns = [f"table:{name}" for name in features]
        plain = pd.DataFrame(
            {c: cohort.frame[c].astype(object).where(cohort.frame[c].notna(), None) for c in (*columns, field)}
        ).apply(_typed)
        found |= {column.partition(":")[2]: one.words for column, one in _leaks(cohort, plain, columns, [field])}
    return found


def _later(cohort: Cohort, plain: pd.DataFrame, features: list[str], labels: list[str]) -> Found:
    schema = read_schema(cohort.folder)
    time = schema.time if schema else None
    single = not plain["patient"].duplicated().any()
    for column in features:
        if _tells_the_end(column.partition(":")[2], single):
            yield column, Finding("later", "suspect", END, _LATER)
    if time is None or time.field not in plain or not pd.api.types.is_datetime64_any_dtype(plain[time.field].dtype):
        return
    for column in features:
        if column != time.field and pd.api.types.is_datetime64_any_dtype(plain[column].dtype):
            after = (plain[column] > plain[time.field]).sum()
            if after > LATER_VISIT_FRACTION * plain[column].notna().sum():
                yield column, Finding("later", "suspect", f"lies after the visit in {after} studies", _LATER)


def _twins(cohort: Cohort, plain: pd.DataFrame, features: list[str], labels: list[str]) -> Found:
    if len(features) < LEAST_TWIN_VALUES:
        return
    rich = plain[plain[features].notna().sum(axis=1) >= LEAST_TWIN_VALUES]
    varied = [column for column in features if rich[column].nunique() > 1]
    same = rich[rich.duplicated(varied, keep=False)] if len(varied) >= LEAST_TWIN_VALUES else rich[:0]
    splits = cohort.splits()
    for _, group in same.groupby(varied, dropna=False):
        owners = sorted(set(group["patient"]))
        if len(owners) > 1:
            told = cohort.frame.set_index("patient")["split"].astype(str).to_dict() if "split" in cohort.frame else {}
            folds = {(splits.assignment if splits else told).get(owner) for owner in owners}
            parted = ", and splits part them" if len(folds) > 1 else ""
            words = f"the same values as {', '.join(owners[1:3])}{parted}"
            yield owners[0], Finding("twin", "suspect", words, "Name one patient by one name, or leave one out")


def _folds(cohort: Cohort, plain: pd.DataFrame, features: list[str], labels: list[str]) -> Found:
    splits = cohort.splits()
    if splits is None and "split" not in cohort.frame:
        return
    parts: tuple[Part, ...] = ("train", "test") if splits and not splits.validation else ("train", "validation", "test")
    for fold in range(splits.folds if splits else 1):
        rows = {part: plain["study"].isin(cohort.part(part, fold).studies).to_numpy() for part in parts}
        for label in labels:
            for part, mask in rows.items():
                if plain.loc[mask, label].nunique() == 1:
                    words = f"its {part} part holds one class of {label.partition(':')[2]} only"
                    yield f"fold {fold}", Finding("one class", "suspect", words, "Split anew with fewer folds")
            taught = set(plain.loc[rows["train"], label].dropna())
            absent = sorted(map(_shown, set(plain[label].dropna()) - taught))
            if absent and len(taught) > 1:
                words = f"no training patient has {label.partition(':')[2]} {absent[0]}"
                yield (
                    f"fold {fold}",
                    Finding("unseen", "suspect", words, "Split anew with fewer folds, or join classes"),
                )
        for column in (c for c in features if not _is_number(plain[c]) and plain[c].nunique() <= 20):
            unseen = set(plain.loc[~rows["train"], column].dropna()) - set(plain.loc[rows["train"], column].dropna())
            if unseen:
                words = f"{column.partition(':')[2]} is {sorted(map(str, unseen))[0]!r} in no training patient"
                yield f"fold {fold}", Finding("unseen", "ok", words, "such a value counts as missing")
