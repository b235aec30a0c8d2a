"""Boxes of a run measured, kept, compared with those of another run, and shown."""

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

import scanweave as sw
from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.framework.localisation.compared import compare_localisation, other_detections
from scanweave.framework.localisation.detections import FILE, load_detections
from scanweave.framework.localisation.evaluation import ALL, BEST_MARK, film_of, measure_localisation
from scanweave.framework.localisation.page import localisation_section
from scanweave.framework.trial import Trial
from scanweave.measures.froc import mark_lesions
from scanweave.measures.jafroc import figure_of_merit
from scanweave.report.saving import read_summary
from scanweave.studies.boxes import Boxes

CLASSES = ("nodule", "mass")
SIZE = (30, 20)
QUICK = {"seed": 0, "repeats": 100}


def boxes(*rows, scores=None, label="nodule"):
    corners = np.array(rows, dtype=float).reshape(len(rows), 2, 2)
    return Boxes(corners, (label,) * len(rows), scores=None if scores is None else np.array(scores, float), size=SIZE)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Twelve films of six patients; every second one has a nodule."""
    folder, rows = tmp_path_factory.mktemp("films"), []
    for number in range(12):
        path = folder / f"s{number:02d}.nii.gz"
        image = np.random.default_rng(number).normal(100, 5, (*SIZE, 1)).astype(np.float32)
        nib.save(nib.Nifti1Image(image, np.eye(4)), path)
        rows.append({"study": f"s{number:02d}", "patient": f"p{number // 2}", "scan:film": path.name})
    return sw.Cohort.create(folder, rows, root=".", name="films", source="test", layout="test")


TRUTHS = [boxes((2, 2, 10, 10)) if number % 2 else boxes() for number in range(12)]


def good(number):
    """Marks of a detector that sees nodules, and something on normal films, less surely."""
    if number % 2:
        return boxes((2, 2, 10, 9), (20, 10, 28, 18), scores=[0.6 + number / 40, 0.2])
    return boxes((15, 5, 20, 10), scores=[0.1 + number / 40])


def poor(number):
    """Marks beside the nodules, and a mark of a class that nobody asks for."""
    found = boxes((18, 2, 26, 10), (2, 2, 10, 9), scores=[0.9, 0.1])
    return Boxes(found.corners, ("nodule", "nodule" if number == 1 else "other"), scores=found.scores, size=SIZE)


def trial_of(folder, films, lines):
    run = Run.start(folder, "test", {})
    run.finish()
    run.close()
    about = {"cohort": films.digest, "name": "films", "left_out": {}, "part": "all", "fold": 0, "seen": 0}
    return Trial(run, "evaluation", folder / "evaluation", films, about, say=lines.append)


def measured(folder, films, marks, lines, truths=TRUTHS):
    trial = trial_of(folder, films, lines)
    patients = [f"p{number // 2}" for number in range(12)]
    found = [marks(number) for number in range(12)]
    rows = measure_localisation(trial, films.studies, patients, truths, found, CLASSES, scans=("film",), **QUICK)
    trial.conclude(pd.DataFrame(rows))
    return trial, {(row["outcome"], row["measure"]): row for row in rows}


@pytest.fixture(scope="module")
def runs(films, tmp_path_factory):
    folder, lines = tmp_path_factory.mktemp("runs"), []
    return [measured(folder / marks.__name__, films, marks, lines) for marks in (good, poor)], lines


def test_figures_are_those_of_the_measures(runs):
    [(trial, rows), (_, others)], lines = runs
    marks = mark_lesions(TRUTHS, [good(number) for number in range(12)], "nodule")
    assert rows["nodule", "JAFROC"]["value"] == figure_of_merit(marks) == 1
    assert rows["nodule", "AP50"]["value"] == pytest.approx(1)
    assert rows[ALL, "AP50"]["value"] == pytest.approx(1)  # nobody has a mass
    assert rows["nodule", BEST_MARK]["value"] == 1
    assert rows["nodule", BEST_MARK]["control"] == 0  # (15, 10) lies in no nodule
    assert others["nodule", BEST_MARK]["value"] == 0
    assert others["nodule", "JAFROC"]["value"] == 0  # on normal films 0.9, on nodules 0.1 or nothing
    assert rows["nodule", "JAFROC"]["patients"] == 6
    assert rows["nodule", "JAFROC"]["studies"] == 12
    assert {outcome for outcome, _ in rows} == {"nodule", ALL}
    assert {path.name for path in trial.folder.glob("*.csv")} >= {"detection.csv", "froc.csv", "jafroc.csv"}
    assert any(line.startswith("nodule (6 patients): ") and "JAFROC 1.000" in line for line in lines)
    assert len([line for line in lines if line.startswith("nodule")]) == 2  # one of each run


def test_detections_come_back_as_they_were(runs):
    [(trial, _), _], _ = runs
    made = load_detections(trial.folder)
    assert made.classes == CLASSES
    assert made.patients[:3] == ["p0", "p0", "p1"]
    assert made.truths[1].corners.tolist() == TRUTHS[1].corners.tolist()
    assert made.found[1].scores.tolist() == good(1).scores.tolist()
    assert len(made.truths[0]) == 0
    assert made.truths[0].size == SIZE
    assert set(made.of(["s03"]).found[0].labels) == {"nodule"}
    assert len(made.pictures) == 4
    assert all((trial.folder / name).stat().st_size > 1000 for name in made.pictures)
    worst, best = next(iter(made.pictures)), list(made.pictures)[-1]
    assert worst == "boxes/s10.png"  # the highest false mark on a normal film
    assert "best" in made.pictures[best]
    assert load_detections(trial.folder / "none") is None


def test_section_of_the_page(runs):
    [(trial, _), _], _ = runs
    section = localisation_section(trial.folder, read_summary(trial.folder))
    kinds = [type(block).__name__ for block in section.blocks]
    assert kinds == ["Table", "Figure", "Figure", "Figure", "Figure", "Figure"]
    assert {row["measure"] for row in section.blocks[0].rows} >= {"AP30", "FROC score", "JAFROC-1"}
    assert localisation_section(trial.folder, {"about": {}, "rows": []}) is None


def test_two_runs_are_compared_on_the_same_films(runs):
    [(trial, _), (other, _)], lines = runs
    compare_localisation(trial, other.run.folder, **QUICK)
    [row] = pd.read_csv(trial.folder / "localisation_comparison.csv").to_dict("records")
    assert (row["class"], row["patients"], row["images"], row["lesions"]) == ("nodule", 6, 12, 6)
    assert row["JAFROC difference"] == pytest.approx(1)
    assert row["AP50 difference"] == pytest.approx(row["first AP50"] - row["second AP50"])
    assert row["AP50 p"] == pytest.approx(2 / 101)  # no resample lies on the other side
    assert row["AP50 p Holm"] == row["AP50 p"]  # of one class
    assert any(line.startswith("nodule: AP50 1.000, of poor ") for line in lines)
    kinds = [type(one).__name__ for one in localisation_section(trial.folder, read_summary(trial.folder)).blocks]
    assert kinds.count("Table") == 2


def test_what_cannot_be_compared_is_refused_in_one_line(runs, films, tmp_path):
    [(trial, _), (other, _)], _ = runs
    bare = trial_of(tmp_path / "bare", films, [])
    with pytest.raises(ScanweaveError, match="is not evaluated"):
        other_detections(trial, bare.run.folder)
    bare.conclude(pd.DataFrame([{"outcome": "x", "measure": "AUROC", "value": 1.0}]))
    with pytest.raises(ScanweaveError, match="was evaluated without boxes"):
        other_detections(trial, bare.run.folder)
    moved = [Boxes(one.corners + 1, one.labels, size=SIZE) for one in TRUTHS]
    apart, _ = measured(tmp_path / "moved", films, good, [], moved)
    with pytest.raises(ScanweaveError, match="measured against other boxes of s01"):
        compare_localisation(trial, apart.run.folder, **QUICK)
    content = json.loads((other.folder / FILE).read_text())
    for change in ({"studies": [{}]}, {"studies": content["studies"] * 2}, {"classes": None}):
        (apart.folder / FILE).write_text(json.dumps(content | change))
        with pytest.raises(ScanweaveError, match=FILE):
            load_detections(apart.folder)


def test_no_true_box_is_refused(films, tmp_path):
    with pytest.raises(ScanweaveError, match="no study has one of "):
        measured(tmp_path / "run", films, good, [], [boxes() for _ in range(12)])
    ignored = [Boxes(one.corners, one.labels, ignored=[True] * len(one), size=SIZE) for one in TRUTHS]
    with pytest.raises(ScanweaveError, match="no study has one of"):
        measured(tmp_path / "ignored", films, good, [], ignored)


def test_boxes_belong_to_one_film():
    films = {name: sw.Scan.of(np.zeros((*size, 1)), np.eye(4)) for name, size in (("a", (4, 5)), ("b", (6, 5)))}
    study = sw.Study("s", "p", films)
    assert film_of(study, Boxes(size=(6, 5))) is films["b"]
    for size in ((9, 9), None):
        with pytest.raises(ScanweaveError, match="of the size of its boxes"):
            film_of(study, Boxes(size=size))
    with pytest.raises(ScanweaveError, match="s: boxes in mm, not in pixels of a film"):
        film_of(study, Boxes(unit="mm"))
