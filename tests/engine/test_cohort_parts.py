"""A run knows the splits of its cohort by who is in which fold."""

import hashlib
from pathlib import Path

from scanweave.engine.cohort_parts import splits_digest
from scanweave.studies.cohort import Cohort
from scanweave.studies.splits import Splits, write_splits


def test_runs_of_0_1_0_know_their_splits_again(tmp_path: Path) -> None:
    rows = [{"study": name, "patient": name, "scan:t1": "t1.nii.gz"} for name in ("a", "b")]
    cohort = Cohort.create(tmp_path, rows, root=".", name="c", source="test", layout="table")
    write_splits(tmp_path, Splits(2, False, 3, {"a": 0, "b": 1}))
    words = "Splits(folds=2, validation=False, seed=3, assignment={'a': 0, 'b': 1})"
    assert splits_digest(cohort) == hashlib.sha256(words.encode()).hexdigest()[:16]
    before = splits_digest(cohort)
    (tmp_path / "splits.json").unlink()
    write_splits(tmp_path, Splits(2, False, 3, {"a": 0, "b": 1}, stratify=("label:x",)))
    assert splits_digest(cohort) == before
