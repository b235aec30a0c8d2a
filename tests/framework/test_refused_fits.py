"""A fit that is refused says why, and leaves no run folder behind that was not there."""

from pathlib import Path

import pytest

from scanweave.engine.settings import Settings
from scanweave.errors import ScanweaveError
from scanweave.framework.cohort_fit import start_fit
from scanweave.studies.cohort import Cohort


def test_a_fold_that_no_splits_make_is_refused(tmp_path: Path) -> None:
    """The source says who tests, once; a number would choose nothing."""
    rows = [{"study": f"s{i}", "patient": f"p{i}", "split": "test" if i else "train", "label:x": i} for i in range(3)]
    cohort = Cohort.create(tmp_path / "c", rows, root=".", name="c", source="x", layout="records")
    with pytest.raises(ScanweaveError, match="fold: there is no fold 2: the source divides the cohort, and once only"):
        start_fit(tmp_path / "run", "any", Settings(), cohort, [], fold=2, say=print)
    assert not (tmp_path / "run").exists()
    start_fit(tmp_path / "run", "any", Settings(), cohort, [], fold=0, say=print).close()
