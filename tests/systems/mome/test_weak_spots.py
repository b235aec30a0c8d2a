"""One class only, labels absent in part, presence that tells the label, cohorts from elsewhere: told, or one line."""

import numpy as np
import pytest
from mixed_cohort import TINY, make_cohort

import scanweave as sw
from scanweave.cli.main import main

SHORT = {"training.steps": 2, "training.validate_every": 2}
ARGUMENTS = ["--network.width", "16", "--network.heads", "2", "--training.steps", "2", "--training.workers", "0"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_cohort(tmp_path_factory.mktemp("base"))


def changed(base, folder, change):
    """The same cohort with other cells: `change` takes each row and its number, and returns it."""
    frame = base.frame.astype(object)
    rows = [change(row, n) for n, row in enumerate(frame.where(frame.notna(), None).to_dict("records"))]
    return sw.Cohort.create(folder, rows, root=base.root, name="changed", source="test", layout="test")


def elsewhere(base, folder, change=lambda row, n: row):
    """Other patients, but for the first, of no parts."""

    def strange(row, n):
        own = {name: cell for name, cell in row.items() if name != "split"}
        return change({**own, "patient": f"q{n:02d}" if n else row["patient"]}, n)

    return changed(base, folder, strange)


@pytest.mark.parametrize(
    ("change", "labels", "words"),
    [
        (
            lambda row, n: row | {"label:ill": 1 if n < 6 else n % 2},
            ["ill"],
            "ill: is the same in all training studies",
        ),
        (lambda row, n: row | {"label:ill": None if n < 6 else n % 2}, ["ill"], "ill: is known of no training study"),
        (lambda row, n: row | {"label:b": 0 if n < 6 else n % 2}, ["ill", "b"], "b: is the same in all training"),
        (lambda row, n: row | {"label:b": None if n < 6 else n % 2}, ["ill", "b"], "b: is known of no training study"),
        (
            lambda row, n: row | {"label:ill": 2 if n == 7 else n % 2},
            ["ill"],
            "has the class '2', which was not learnt",
        ),
        (lambda row, n: row | {"scan:t2": row["scan:t2"] if n > 5 and n < 18 else None}, ["ill"], "t2: in none of the"),
    ],
)
def test_what_the_training_part_cannot_teach_is_one_line(base, tmp_path, capsys, change, labels, words):
    cohort = changed(base, tmp_path / "c", lambda row, n: change(row | ({"split": "test"} if n > 17 else {}), n))
    fit = ["fit", "mome", "--cohort", str(cohort.folder), "--run", str(tmp_path / "run"), "--labels", *labels]
    assert main([*fit, *ARGUMENTS]) == 2
    [line] = [one for one in capsys.readouterr().err.splitlines() if "studies" not in one.split(" ")[0:1]][-1:]
    assert words in line
    assert not (tmp_path / "run" / "weights.safetensors").exists()


def test_a_validation_part_of_one_class_is_watched_by_log_loss(base, tmp_path):
    cohort = changed(base, tmp_path / "c", lambda r, n: r | {"label:ill": 1 if r["split"] == "validation" else n % 2})
    fitted = sw.fit("mome", cohort, tmp_path / "run", config=[TINY, SHORT], say=lambda line: None)
    assert fitted.run.record["weights"] == "best"
    assert "auroc" not in fitted.run.metrics()[-1]
    assert fitted.points["1"].threshold == 0.5


def test_presence_that_tells_the_label_is_told_by_fit_and_report(base, tmp_path, capsys):
    def leaky(row, n):
        kept = row["scan:dwi"] or row["scan:t2"]
        part = "train" if n < 18 else "test"
        return row | {"scan:dwi": kept if n % 2 else None, "split": part}

    cohort = changed(base, tmp_path / "c", leaky)
    run = tmp_path / "run"
    assert main(["fit", "mome", "--cohort", str(cohort.folder), "--run", str(run), *ARGUMENTS]) == 0
    words = "dwi: its presence alone tells ill 1 (AUROC 1.00, p"
    assert f"caution: {words}" in capsys.readouterr().out
    assert main(["report", str(run)]) == 0
    page = (run / "report.html").read_text()
    assert "Leak by absence: in the training studies, dwi: its presence alone" in page
    assert "there in 9 of 9 such studies and in 0 of 9 others" in page


def test_nothing_is_said_where_absence_is_by_chance(fitted):
    assert fitted.plan.cautions == ()


def test_a_cohort_from_elsewhere_is_tried_without_the_patients_of_the_fit(fitted, base, tmp_path):
    said = []
    texts = elsewhere(base, tmp_path / "texts", lambda row, n: row | {"label:ill": str(n % 2), "scan:t2": None})
    found = fitted.evaluate(texts, tmp_path / "e", say=said.append)
    assert "left out: 1 study of patients that the fit saw, by their names" in said
    assert set(found["patients"]) == {23}
    floats = elsewhere(base, tmp_path / "floats", lambda row, n: row | {"label:ill": float(n % 2), "scan:t2": None})
    again = fitted.evaluate(floats, tmp_path / "e2", say=said.append)
    np.testing.assert_array_equal(found["value"], again["value"])
    unknown = elsewhere(base, tmp_path / "unknown", lambda row, n: row | {"label:ill": 2 if n == 5 else n % 2})
    with pytest.raises(sw.ScanweaveError, match=r"'2', which was not learnt. Known are 0, 1; join classes, or leave"):
        fitted.evaluate(unknown, tmp_path / "e3", say=said.append)
    alone = elsewhere(base, tmp_path / "alone", lambda row, n: row | {"label:ill": 1})
    assert "AUROC" not in set(fitted.evaluate(alone, tmp_path / "e4", say=said.append)["measure"])
    assert said[-1] == "note: no AUROC, since all studies have the same ill"


def test_studies_of_one_patient_with_different_labels_count_as_one_patient(fitted, base, tmp_path):
    pairs = elsewhere(base, tmp_path / "pairs", lambda row, n: row | {"patient": f"q{n // 2}"})
    found = fitted.evaluate(pairs, tmp_path / "e", say=lambda line: None).set_index("measure")
    assert set(found["patients"]) == {12}
    assert set(found["studies"]) == {24}
