"""Images, genes and assessments side by side: the commands of `docs/how-to/features.md`, run as they stand there."""

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from scanweave import api
from scanweave.cli.main import main
from scanweave.studies.cohort import Cohort
from scanweave.systems.adamedgraph import evaluation

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "features.md"
FAST = {
    "classify": "--network.encoder resnet10 --network.width 0.125 --training.steps 30 --training.batch_size 8 "
    "--training.validate_every 10 --training.warm_up 0 --training.workers 0",
    "adamedgraph": "--boosting.epochs 8 --boosting.hidden 4 --boosting.rounds 3 --boosting.finalists 4",
}
PATIENTS, NEW = 30, 3
LIKENESS = re.compile(r"classify_\d{3}")


def write_tables(folder):
    """A bright square shows who is ill; the gene tells of some, the score of some."""
    rng = np.random.default_rng(0)
    ill = np.arange(PATIENTS + NEW) % 2
    folder.joinpath("images").mkdir()
    films, clinic = [], []
    for number, sick in enumerate(ill):
        pixels = rng.normal(100, 8, (20, 20))
        pixels[3:9, 3:9] += 80 * sick
        name = f"images/film{number:02d}.png"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name)
        films.append({"scan:film": name, "patient": f"p{number:02d}", "ill": sick})
        gene = "e4" if rng.uniform() < (0.7 if sick else 0.3) else "e3"
        clinic.append({"patient": f"p{number:02d}", "apoe": gene, "mmse": 28 - 2 * sick + rng.integers(3), "ill": sick})
    for name, rows in (("films", films), ("clinic", clinic)):
        pd.DataFrame(rows[:PATIENTS]).to_csv(folder / f"{name}.csv", index=False)
        new = pd.DataFrame(rows[PATIENTS:]).drop(columns="ill")
        new.to_csv(folder / {"films": "new-films.csv", "clinic": "new.csv"}[name], index=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder in which all commands of the page were run."""
    made = tmp_path_factory.mktemp("features")
    write_tables(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        patch.setattr(evaluation, "REPEATS", 20)
        for command in re.findall(r"^\$ scanweave (.+)$", PAGE.read_text(), re.MULTILINE):
            words = shlex.split(command)
            fast = FAST[words[1]].split() if words[0] == "fit" else []
            assert main([*words, *fast]) == 0, command
    return made


def test_images_describe_everybody_on_axes_that_mean_the_same(folder):
    """Each fold's own network: yet one column tells the ill from the well over all patients."""
    frame = Cohort.open(folder / "clinic").frame
    columns = [name for name in frame if LIKENESS.fullmatch(name.removeprefix("table:"))]
    assert len(columns) == PATIENTS
    values = frame[columns].to_numpy(float)
    assert np.isfinite(values).all()
    assert np.diag(values) == pytest.approx(1)
    ill = frame["label:ill"].astype(str).isin(["1", "1.0"]).to_numpy()
    apart = [np.mean(v[ill][:, None] > v[~ill]) for v in values.T]
    assert np.median(np.maximum(apart, np.subtract(1, apart))) > 0.9


def test_graphs_are_made_of_images_genes_and_scores(folder):
    run = api.open_run(folder / "runs" / "clinic")
    names = run.plan.features
    assert {"apoe", "mmse"} < set(names)
    assert sum(bool(LIKENESS.fullmatch(name)) for name in names) == PATIENTS
    assert "classify_0" in (folder / "runs" / "clinic" / "report.html").read_text()


def test_new_patients_are_answered_from_their_films(folder):
    answers = pd.read_csv(folder / "answers" / "predictions.csv").set_index("patient")
    assert list(answers.index) == [f"p{number}" for number in range(PATIENTS, PATIENTS + NEW)]
    assert (answers["missing"] == 0).all()
    shares = answers[[name for name in answers if name.startswith("probability_")]]
    assert shares.sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-4)
    assert shares.nunique().min() > 1
