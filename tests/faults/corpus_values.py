"""Values that chance changed in files that are sound in form: JSON, Parquet, CSV, workbooks, HDF5.

All are made at run time from seeds, through the libraries that write such files, so that nothing but values is odd.
`SCANWEAVE_FAULTS=20` makes twenty times as many.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import corpus_manifests as manifests
import corpus_runs as runs
import corpus_sinograms as sinograms
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from changed_json import VALUES, changed
from fault import Fault

from scanweave.errors import ScanweaveError
from scanweave.studies.checks.cohort_check import check_all
from scanweave.studies.layouts import import_cohort

TIMES = int(os.environ.get("SCANWEAVE_FAULTS", "1"))
SPLITS = {"folds": 3, "validation": True, "seed": 0, "assignment": {f"p{i}": i % 3 for i in range(6)}}
ABOUT = {"format": 1, "name": "c", "source": "s", "layout": "folders", "root": "."}
CELLS = (
    *(value for value in VALUES if isinstance(value, str) and value != "\ud800"),  # no table holds half a character
    None,
    "007",
    "١٢",
    "1e400",
    "0x1F",
    "01.02.2024",
)
ODD_ARRAYS: dict[str, Any] = {
    "text": pa.array(["a"] * 6),
    "lists": pa.array([[1, 2]] * 6),
    "structs": pa.array([{"a": 1}] * 6),
    "nulls": pa.nulls(6),
    "bytes": pa.array([b"\xff\0"] * 6),
    "dates": pa.array([datetime.date(9999, 12, 31)] * 6),
    "days of year 15000": pa.array([4_760_000] * 6, pa.int32()).cast(pa.date32()),
    "days before year 1": pa.array([-720_000] * 6, pa.int32()).cast(pa.date32()),
    "seconds of year 40000": pa.array([1_200_000_000_000] * 6, pa.timestamp("s")),
    "milliseconds of year 300000": pa.array([2**63 - 1] * 6, pa.int64()).cast(pa.timestamp("ms", "UTC")),
    "days in milliseconds": pa.array([2**62] * 6, pa.int64()).cast(pa.date64()),
    "decimals": pa.array([1] * 6, pa.decimal128(38, 0)),
    "categories": pa.array(["p0", "p1"] * 3).dictionary_encode(),
    "numbers": pa.array([float("nan"), 1e308, -0.0, 2.0**70, 1.0, 0.0]),
    "truths": pa.array([True, None] * 3),
    "durations": pa.array([1] * 6, pa.duration("ns")),
}
"""Columns of every type that Parquet knows."""


def cohort_json(folder: Path, name: str, good: Any, seed: int) -> None:
    """A sound cohort with one description changed."""
    manifests.file(folder, name, json.dumps(changed(good, np.random.default_rng([15, seed]))))


def run_json(folder: Path, name: str, seed: int) -> None:
    """A sound run with one of its files changed."""
    path = runs.run_folder(folder) / name
    path.write_text(json.dumps(changed(json.loads(path.read_text()), np.random.default_rng([16, seed]))))


def manifest(folder: Path, seed: int) -> None:
    """A sound cohort in whose manifest one or two columns are of another type, or there are more of them."""
    manifests.cohort(folder)
    chance, table = np.random.default_rng([17, seed]), pa.Table.from_pylist(manifests.ROWS)
    names = [*table.column_names, "label:x", "mask:m", "boxes", "report", "text:impression", "sinogram:ct", "split"]
    for _ in range(chance.integers(1, 3)):
        name, kind = names[chance.integers(len(names))], list(ODD_ARRAYS)[chance.integers(len(ODD_ARRAYS))]
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, ODD_ARRAYS[kind])
        else:
            table = table.append_column(name, ODD_ARRAYS[kind])
    pq.write_table(table, folder / "manifest.parquet")


def clinical(folder: Path, suffix: str, seed: int) -> None:
    """A clinical table of twelve rows with one to eight odd cells, or odd headings."""
    chance = np.random.default_rng([18, seed])
    rows = {
        "id": [f"P{n:02}" for n in range(12)],
        "age": [str(40 + n) for n in range(12)],
        "sex": ["f", "m"] * 6,
        "visit": [f"2024-01-{n + 1:02}" for n in range(12)],
        "died": [str(n % 2) for n in range(12)],
    }
    names = list(rows)
    for _ in range(chance.integers(1, 9)):
        rows[names[chance.integers(5)]][chance.integers(12)] = CELLS[chance.integers(len(CELLS))]
    if chance.random() < 0.3:
        names[chance.integers(5)] = str(CELLS[chance.integers(len(CELLS))])
    frame = pd.DataFrame(dict(zip(range(5), rows.values(), strict=True)))
    frame.columns = pd.Index(names)
    _save(frame, folder / f"table{suffix}")


def _save(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as such files can hold it: without zero bytes, Parquet without two columns of one name."""
    frame = frame.map(lambda cell: cell.replace("\0", "") if isinstance(cell, str) else cell)
    frame.columns = pd.Index([name.replace("\0", "") for name in frame.columns])
    if path.suffix == ".xlsx":
        frame.to_excel(path, index=False)
    elif path.suffix == ".parquet":
        frame.loc[:, ~frame.columns.duplicated()].to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False)


def take_in(folder: Path) -> str:
    """Import the table and check what came of it."""
    try:
        cohort = import_cohort(next(folder.glob("table.*")), folder / "out", say=lambda line: None)
    except ScanweaveError:
        assert not (folder / "out" / "cohort.json").exists()
        raise
    found = check_all(cohort, say=lambda line: None)
    return "ok" if all(verdict.status == "ok" for verdict in (*found.studies, *found.columns)) else "repair"


def measured(folder: Path, seed: int) -> None:
    """A measurement of CT with one to three of its entries changed in value, shape or type."""
    chance, good = np.random.default_rng([19, seed]), sinograms.parts()
    names = list(good)
    for _ in range(chance.integers(1, 4)):
        name = names[chance.integers(len(names))]
        good[name] = _odd(good[name], chance)
    attributes = {"kind": ("counts", "lines", "", 5, "x" * 300)[chance.integers(5)]} if chance.random() < 0.2 else None
    sinograms.write(folder, good, attributes=attributes)


def _odd(value: Any, chance: np.random.Generator) -> Any:
    numbers = value is not None and not isinstance(value, str)
    array = np.atleast_1d(np.asarray(value, dtype=np.float64)).copy() if numbers else np.zeros(3)
    array.flat[chance.integers(array.size)] = (np.nan, np.inf, -1.0, 0.0, 1e308, 1e-308, 7.5)[chance.integers(7)]
    others: tuple[Any, ...] = (array[:0], None, "text", 0.0)
    made = (array, array[:-1], np.stack([array, array]), array.astype(np.int8, casting="unsafe"), *others)
    return made[chance.integers(len(made))]


def judged(folder: Path) -> str:
    """Check the measurement; a refusal in a verdict is told as well."""
    status = sinograms.check(folder)
    return "repair" if status == "refused" else status


def faults() -> Iterator[Fault]:
    """All of them, each by its seed."""
    for seed in range(20 * TIMES):
        for name, good in (("splits.json", SPLITS), ("cohort.json", ABOUT)):
            make = partial(cohort_json, name=name, good=good, seed=seed)
            yield Fault(f"changed {name}", f"seed {seed}", make, manifests.use, "any")
        yield Fault("changed manifest", f"seed {seed}", partial(manifest, seed=seed), manifests.use, "any")
        for name in ("run.json", "plan.json", "config.json"):
            yield Fault(f"changed {name}", f"seed {seed}", partial(run_json, name=name, seed=seed), runs.use, "any")
        for suffix in (".csv", ".xlsx", ".parquet"):
            make = partial(clinical, suffix=suffix, seed=seed)
            yield Fault(f"changed {suffix}", f"seed {seed}", make, take_in, "any")
        if sinograms.THERE:
            yield Fault("changed HDF5", f"seed {seed}", partial(measured, seed=seed), judged, "any")
