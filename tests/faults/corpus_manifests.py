"""Malformed cohorts: descriptions, manifests, splits, verdicts, dataset.json, tables, folders."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from fault import Fault, affine, texture

from scanweave.errors import ScanweaveError
from scanweave.studies.checks.cohort_check import verdicts
from scanweave.studies.cohort import Cohort
from scanweave.studies.layouts import import_cohort, parse_rename

ROWS = [{"study": f"s{i}", "patient": f"p{i}", "scan:t1": "t1.nii.gz", "scan:t2": None} for i in range(6)]
HOSTILE = ("../../etc", "/etc/passwd", "", ".", "..", "a/b", "a\\b", "nul\0", "x" * 200, "-rf", "a b", "é\u202e", "\n")


def cohort(folder: Path, rows: list[dict[str, Any]] | None = None) -> None:
    """A valid cohort of six studies with one small image."""
    nib.save(nib.Nifti1Image(texture(), affine()), folder / "t1.nii.gz")
    pq.write_table(pa.Table.from_pylist(ROWS if rows is None else rows), folder / "manifest.parquet")
    (folder / "cohort.json").write_text(json.dumps({"format": 1, "name": "c", "root": "."}))


def use(folder: Path) -> str:
    """Open the cohort, split it, open its studies and check them."""
    opened = Cohort.open(folder)
    splits = opened.splits()
    if splits is not None:
        for fold in range(min(splits.folds, 3)):
            opened.part("test", fold)
    for study in opened:
        assert study.scans
    found = verdicts(opened)
    return {"ok": "ok"}.get(found[0].status, "repair")


def take_in(folder: Path) -> str:
    """Import what lies in `src`; nothing may be left behind if that fails."""
    source = next((p for p in (folder / "src.csv", folder / "src.tsv") if p.exists()), folder / "src")
    try:
        import_cohort(source, folder / "out")
    except ScanweaveError:
        assert not (folder / "out" / "cohort.json").exists()
        raise
    return "ok"


def file(folder: Path, name: str, content: str | bytes, base: Callable[[Path], None] = cohort) -> None:
    """A valid cohort in which one file holds something else."""
    base(folder)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def table(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """A valid cohort whose manifest was changed."""
    cohort(folder)
    pq.write_table(pa.Table.from_pandas(change(pd.DataFrame(ROWS))), folder / "manifest.parquet")


def two_columns(folder: Path) -> None:
    """A manifest with one column name twice."""
    cohort(folder)
    names = pa.array(["a"])
    pq.write_table(
        pa.Table.from_arrays([names, names, names], ["study", "study", "patient"]), folder / "manifest.parquet"
    )


def cut(folder: Path, share: float) -> None:
    """A truncated manifest."""
    cohort(folder)
    path = folder / "manifest.parquet"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def flipped(folder: Path, share: float) -> None:
    """A manifest with damaged bytes."""
    cohort(folder)
    path = folder / "manifest.parquet"
    data = bytearray(path.read_bytes())
    at = int(len(data) * share)
    data[at : at + 8] = bytes(b ^ 0xFF for b in data[at : at + 8])
    path.write_bytes(bytes(data))


def dataset(folder: Path, about: object, files: tuple[str, ...] = ("imagesTr/a_0000.nii.gz",)) -> None:
    """A dataset with a `dataset.json`."""
    for name in files:
        path = folder / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (folder / "src").mkdir(exist_ok=True)
    text = about if isinstance(about, str) else json.dumps(about)
    (folder / "src" / "dataset.json").write_text(text)


def tree(folder: Path, *files: str) -> None:
    """Empty files in `src`."""
    (folder / "src").mkdir()
    for name in files:
        path = folder / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def rename(_: Path, text: str) -> str:
    """Read a `--rename`."""
    from scanweave.studies.layouts.names import Names

    Names(parse_rename(text))
    return "ok"


def faults() -> Iterator[Fault]:
    """All malformed cohorts."""
    yield from _descriptions()
    yield from _manifests()
    yield from _splits()
    yield from _sources()


def _descriptions() -> Iterator[Fault]:
    texts = {
        "empty": "",
        "not JSON": "{",
        "list": "[]",
        "number": "1",
        "no format": '{"root": "."}',
        "NaN": "NaN",
        "format 2": '{"format": 2, "root": "."}',
        "root a number": '{"format": 1, "root": 5}',
        "root absent": '{"format": 1}',
        "nested": "[" * 100_000,
        "cut": '{"format": 1, "root": "',
        "BOM": "\ufeff{}",
        "root nowhere": '{"format": 1, "root": "/nowhere"}',
    }
    for name, text in texts.items():
        yield Fault("cohort.json", name, partial(file, name="cohort.json", content=text), use)
    yield Fault("cohort.json", "not UTF-8", partial(file, name="cohort.json", content=b"\xff\xfe\0"), use)
    for name, content in {"empty": b"", "JSON": b"{}", "no footer": b"PAR1" + bytes(99)}.items():
        yield Fault("check.parquet", name, partial(file, name="check.parquet", content=content), use)
    yield Fault("check.parquet", "another table", _another_table, use)


def _another_table(folder: Path) -> None:
    cohort(folder)
    shutil.copy(folder / "manifest.parquet", folder / "check.parquet")


def _manifests() -> Iterator[Fault]:
    for step in range(8):
        yield Fault("manifest truncated", f"{12.5 * step} %", partial(cut, share=step / 8), use)
    for share in (0.0, 0.55, 0.7, 0.85, 0.995):
        yield Fault("manifest damaged", f"at {share}", partial(flipped, share=share), use)
    yield Fault("manifest damaged", "CSV", partial(file, name="manifest.parquet", content="study,patient\na,b\n"), use)
    changes: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
        "no study": lambda f: f.drop(columns="study"),
        "no patient": lambda f: f.drop(columns="patient"),
        "study a number": lambda f: f.assign(study=range(6)),
        "study null": lambda f: f.assign(study=None),
        "study twice": lambda f: f.assign(study="same"),
        "scan a number": lambda f: f.assign(**{"scan:t1": 5}),
        "scan a list": lambda f: f.assign(**{"scan:t1": [["a"]] * 6}),
        "scan binary": lambda f: f.assign(**{"scan:t1": [b"a"] * 6}),
        "scan nowhere": lambda f: f.assign(**{"scan:t1": "absent.nii.gz"}),
        "scan a folder": lambda f: f.assign(**{"scan:t1": "."}),
        "scan with NUL": lambda f: f.assign(**{"scan:t1": "a\0.nii.gz"}),
        "scan a text": lambda f: f.assign(**{"scan:t1": "cohort.json"}),
        "scan a channel too far": lambda f: f.assign(**{"scan:t1": "t1.nii.gz#3"}),
        "scan name hostile": lambda f: f.rename(columns={"scan:t1": "scan:../x"}),
        "report nowhere": lambda f: f.assign(report="absent.txt"),
        "report not UTF-8": lambda f: f.assign(report="t1.nii.gz"),
        "boxes not JSON": lambda f: f.assign(boxes="t1.nii.gz"),
        "boxes not boxes": lambda f: f.assign(boxes="cohort.json"),
    }
    for name, change in changes.items():
        yield Fault("manifest columns", name, partial(table, change=change), use)
    for text in HOSTILE:
        rows = [{**ROWS[0], "study": text}]
        yield Fault("hostile id", repr(text), partial(cohort, rows=rows), use)
    yield Fault("manifest columns", "one name twice", two_columns, use)
    yield Fault("manifest absent", "absent", lambda folder: (folder / "cohort.json").write_text("{}") and None, use)
    yield Fault("no cohort", "empty folder", lambda folder: None, use)


def _splits() -> Iterator[Fault]:
    good = {"folds": 3, "validation": True, "seed": 0, "assignment": {f"p{i}": i % 3 for i in range(6)}}
    changes: dict[str, object] = {
        "no folds": {k: v for k, v in good.items() if k != "folds"},
        "no assignment": {k: v for k, v in good.items() if k != "assignment"},
        "list": [],
        "text": "splits",
        "folds text": good | {"folds": "three"},
        "folds 0": good | {"folds": 0},
        "folds -1": good | {"folds": -1},
        "folds 1": good | {"folds": 1},
        "folds infinite": good | {"folds": float("inf")},
        "folds broken": good | {"folds": 2.5},
        "folds far above the patients": good | {"folds": 10**9},
        "seed NaN": good | {"seed": float("nan")},
        "assignment list": good | {"assignment": [1, 2]},
        "assignment of text": good | {"assignment": {"p0": "first"}},
        "folds true": good | {"folds": True},
        "assignment outside": good | {"assignment": {"p0": 3}},
        "assignment empty": good | {"assignment": {}},
        "assignment of others": good | {"assignment": {"q0": 0, "q1": 1, "q2": 2}},
        "validation text": good | {"validation": "no"},
    }
    for name, value in changes.items():
        yield Fault("splits.json", name, partial(file, name="splits.json", content=json.dumps(value)), use)
    for name, text in {"empty": "", "cut": '{"folds": 3', "nested": '{"a":' * 50_000}.items():
        yield Fault("splits.json", name, partial(file, name="splits.json", content=text), use)


def _sources() -> Iterator[Fault]:
    one = {"channel_names": {"0": "T1"}}
    abouts: dict[str, object] = {
        "not JSON": "{",
        "list": [],
        "no channels": {},
        "channels a list": {"channel_names": ["T1"]},
        "channel a number": {"channel_names": {"0": 1}},
        "channel key": {"channel_names": {"T1": "0"}},
        "two alike": {"channel_names": {"0": "T1", "1": "t1w"}},
        "unnamed": {"channel_names": {"0": "///"}},
    }
    for name, about in abouts.items():
        yield Fault("dataset.json", name, partial(dataset, about=about), take_in)
    lists: dict[str, object] = {
        "training a text": "a.nii.gz",
        "entry a number": [1],
        "no image": [{"label": "x.nii.gz"}],
        "image out": [{"image": "../../x.nii.gz"}],
        "image absolute": [{"image": "/x.nii.gz"}],
        "image with NUL": [{"image": "a\0.nii.gz"}],
        "all absent": [{"image": "imagesTr/b.nii.gz"}],
        "empty": [],
    }
    for name, entries in lists.items():
        about = {"modality": {"0": "T1"}, "training": entries}
        yield Fault("Decathlon lists", name, partial(dataset, about=about, files=("imagesTr/a.nii.gz",)), take_in)
    clash = partial(dataset, about=one, files=("imagesTr/a_0000.nii.gz", "imagesTr/a_0000.nrrd"))
    yield Fault("two files, one name", "nnU-Net", clash, take_in)
    trees = {
        "two files, one name": ("p/t1.nii.gz", "p/t1w.nii.gz"),
        "no known name": ("p/scout.nii.gz",),
        "no image": ("a.txt",),
        "ambiguous layout": ("p/t1.nii.gz", "q_t1.nii.gz"),
        "only label maps": ("p/seg.nii.gz",),
        "BIDS one image twice": ("sub-1/anat/sub-1_T1w.nii.gz", "sub-1/anat/sub-1_T1w.nii"),
    }
    for name, files in trees.items():
        yield Fault("folder", name, partial(_tree, files=files), take_in)
    alike = ("a b/t1.nii.gz", "a-b/t1.nii.gz", "ä/t1.nii.gz", "ö/t1.nii.gz")
    yield Fault("folder", "subjects with unsafe names", partial(_tree, files=alike), take_in, "ok")
    yield Fault("folder", "absent", lambda folder: None, take_in)
    tables = {
        "empty": "",
        "header only": "study,t1\n",
        "no study": "x,t1\n1,a.nii.gz\n",
        "absent file": "study,t1\na,b.nii.gz\n",
        "twice": "study,age\na,1\na,2\n",
        "too many cells": "study,t1\na,b,c,d\n",
        "column twice": "study,x,x\na,1,2\n",
        "hostile": "study,t1\na,../../../../etc/passwd.nii.gz\n",
        "cells with NUL": "study,t1\na,b\0.nii.gz\n",
    }
    for name, text in tables.items():
        yield Fault("table", name, partial(_table, content=text), take_in)
    yield Fault("table", "not UTF-8", partial(_table, content=b"study,t1\n\xff,\xff.nii.gz\n"), take_in)
    yield Fault("table", "no image, so a clinical one", partial(_table, content="study,age\na,1\n"), take_in, "ok")
    yield Fault("table", "zero bytes", partial(_table, content="study,age\na,\0\n"), take_in)
    for text in ("fla", "=t1", "fla=", "fla=../x", "fla=a b", "fla=label:x"):
        yield Fault("--rename", text, lambda folder: None, partial(rename, text=text))


def _tree(folder: Path, files: tuple[str, ...]) -> None:
    tree(folder, *files)


def _table(folder: Path, content: str | bytes) -> None:
    (folder / "src.csv").write_bytes(content.encode() if isinstance(content, str) else content)
