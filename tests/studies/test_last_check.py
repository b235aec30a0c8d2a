"""A check of an unchanged cohort reads nothing; whatever changed since the last one is read, and said."""

import json
import os
import subprocess
import sys

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from scanweave.cli.main import main
from scanweave.studies.checks.last_check import FILE, last_check
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats import image_reader

UNREAD = "no image was read"


def image(path, seed):
    data = np.random.default_rng(seed).uniform(1, 9, (30, 30, 30)).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, np.diag([2.0, 2, 2, 1])), path)


@pytest.fixture
def cohort(tmp_path):
    for number in range(3):
        image(tmp_path / "c" / f"p{number}" / "t1.nii", number)
    rows = [{"study": f"s{n}", "patient": f"p{n}", "scan:t1": f"p{n}/t1.nii", "table:age": 40 + n} for n in range(3)]
    return Cohort.create(tmp_path / "c", rows, root=".", name="c", source="test", layout="table")


@pytest.fixture
def read(monkeypatch):
    """Names of the patients whose images were read."""
    found = []
    real = image_reader.read_scan
    monkeypatch.setattr(image_reader, "read_scan", lambda path: found.append(path.parent.name) or real(path))
    return found


def checked(cohort, capsys, *options):
    """Return what `cohort check` prints, and its exit status."""
    capsys.readouterr()
    status = main(["cohort", "check", str(cohort.folder), *options])
    return capsys.readouterr().out, status


def test_the_second_check_says_the_same_and_reads_nothing(cohort, read, capsys):
    first, second = checked(cohort, capsys), checked(cohort, capsys)
    assert sorted(read) == ["p0", "p1", "p2"]
    assert UNREAD not in first[0]
    assert UNREAD in second[0]
    assert [line for line in second[0].splitlines() if UNREAD not in line] == [
        line for line in first[0].splitlines() if not line.startswith("studies ")
    ]
    assert first[1] == second[1] == 0
    assert UNREAD not in checked(cohort, capsys, "--again")[0]
    assert sorted(read) == sorted(2 * ["p0", "p1", "p2"])


def test_verdicts_that_are_kept_are_told_as_such(cohort, capsys):
    checked(cohort, capsys)
    image(cohort.folder / "p1" / "t1.nii", 7)
    told, _ = checked(cohort, capsys)
    assert told.splitlines()[1] == "studies checked 3/3"
    assert told.endswith("unchanged since the last check, and so not read: 2 of 3 studies; read all by --again\n")
    assert "unchanged" not in checked(cohort, capsys, "--again")[0]


def test_json_is_the_same_and_nothing_but_json(cohort, capsys):
    first, second = (json.loads(checked(cohort, capsys, "--json")[0]) for _ in range(2))
    assert first == second
    assert [one["study"] for one in first if "study" in one] == ["s0", "s1", "s2"]


def test_only_what_changed_is_read(cohort, read, capsys):
    checked(cohort, capsys)
    read.clear()
    (cohort.folder / "p1" / "t1.nii").write_bytes(b"no image")
    told, status = checked(cohort, capsys)
    assert read == ["p1"]
    assert status == 1
    assert "1 refused" in told
    assert checked(cohort, capsys)[1] == 1  # a kept refusal is one
    assert read == ["p1"]
    (cohort.folder / "p2" / "t1.nii").unlink()
    assert "2 refused" in checked(cohort, capsys)[0]


def test_a_study_given_to_another_patient_is_judged_anew(cohort, capsys):
    (cohort.folder / "p1" / "t1.nii").write_bytes((cohort.folder / "p0" / "t1.nii").read_bytes())
    assert "one patient under two names" in checked(cohort, capsys)[0]
    frame = pd.read_parquet(cohort.folder / "manifest.parquet")
    frame.assign(patient="p0").to_parquet(cohort.folder / "manifest.parquet", index=False)
    told = checked(cohort, capsys)[0]
    assert "the same voxels as t1 of s0" in told
    assert "one patient under two names" not in told


@pytest.mark.parametrize("name", ["cohort.json", "manifest.parquet", "splits.json", "check.parquet"])
def test_what_a_verdict_depends_on_is_watched(cohort, capsys, name):
    assert main(["cohort", "split", str(cohort.folder), "--folds", "3"]) == 0
    checked(cohort, capsys)
    assert last_check(cohort.folder) is not None
    path = cohort.folder / name
    if name == "check.parquet":
        path.unlink()
    else:
        os.utime(path, ns=(1, 1))
    assert last_check(cohort.folder) is None
    assert UNREAD not in checked(cohort, capsys)[0]
    assert UNREAD in checked(cohort, capsys)[0]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 9}', "[" * 100_000, '{"format": 2, "made_of": 3}'])
def test_a_damaged_note_is_made_again(cohort, capsys, content):
    before = checked(cohort, capsys)
    (cohort.folder / FILE).write_text(content)
    assert last_check(cohort.folder) is None
    assert checked(cohort, capsys)[1] == before[1]
    assert last_check(cohort.folder) is not None


def test_a_note_that_lost_a_study_is_made_again(cohort, capsys):
    checked(cohort, capsys)
    note = cohort.folder / FILE
    note.write_text("".join(note.read_text().splitlines(keepends=True)[:-1]))
    assert last_check(cohort.folder) is None
    assert UNREAD not in checked(cohort, capsys)[0]
    assert [verdict.study for verdict in last_check(cohort.folder).studies] == ["s0", "s1", "s2"]


@pytest.mark.parametrize("spoil", [lambda p: p.write_bytes(b"{}"), lambda p: p.write_bytes(p.read_bytes()[:-9])])
def test_damaged_verdicts_are_said_and_made_again(cohort, capsys, spoil, read):
    checked(cohort, capsys)
    read.clear()
    spoil(cohort.folder / "check.parquet")
    assert main(["cohort", "check", str(cohort.folder)]) == 0
    assert "check.parquet" in capsys.readouterr().err
    assert sorted(read) == ["p0", "p1", "p2"]


def test_a_file_that_changed_while_it_was_checked_is_read_again(cohort, monkeypatch, capsys):
    """The kept state is that before an image was read, not what it has become meanwhile."""
    path, real = cohort.folder / "p1" / "t1.nii", image_reader.read_scan
    monkeypatch.setattr(image_reader, "read_scan", lambda one: (real(one), os.utime(path, ns=(1, 1)))[0])
    checked(cohort, capsys)
    assert last_check(cohort.folder) is None


def test_nothing_slow_is_loaded_for_it(cohort, capsys):
    checked(cohort, capsys)
    code = (
        "import sys; from scanweave.cli.main import main\n"
        f"assert main(['cohort', 'check', {str(cohort.folder)!r}]) == 0\n"
        "print('loaded', *({'numpy', 'pyarrow', 'pandas', 'scipy', 'nibabel', 'torch', 'skimage'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0].startswith("cohort check: cohort ")
    assert done.stdout.splitlines()[-1] == "loaded"
