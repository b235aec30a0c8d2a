"""MOME from a cohort to a report: volumes, a series, a film and a table, of which some are absent."""

import json

import numpy as np
import pandas as pd
import pytest
from mixed_cohort import TINY, make_cohort

import scanweave as sw
from scanweave import api
from scanweave.cli.main import main
from scanweave.studies.formats.image_reader import read_scan
from scanweave.systems.mome.subsets import prior_log_odds


def quiet(line):
    """Say nothing."""


def test_a_spot_and_a_marker_are_told_from_noise(fitted, mixed):
    summary = fitted.evaluate(mixed, part="all", say=quiet).set_index(["outcome", "measure"])
    assert summary.loc[("ill", "AUROC"), "value"] > 0.85
    table = pd.read_csv(fitted.run.folder / "evaluation" / "subsets.csv").set_index("modalities")
    assert len(table) == 2**5 - 1
    assert table.loc["t2", "AUROC"] > 0.9
    assert 0.2 < table.loc["dwi", "AUROC"] < 0.8
    assert table.loc["dwi+dce+t2+film+table", "studies"] < table.loc["t2", "studies"]


def test_answers_come_from_any_subset_and_from_none_but_its_own(fitted, mixed):
    study = mixed["s05"]
    whole = fitted.probabilities(study)
    assert whole.sum() == pytest.approx(1)
    alone = fitted.probabilities(sw.Study("x", "x", table={"marker": 1.0, "sex": "male"}))
    assert alone.shape == whole.shape
    assert not np.array_equal(alone, whole)
    strange = fitted.probabilities(sw.Study("x", "x", table={"marker": 1.0, "sex": "other"}))  # counts as absent
    np.testing.assert_array_equal(strange, fitted.probabilities(sw.Study("x", "x", table={"marker": 1.0})))
    with pytest.raises(sw.ScanweaveError, match=r"holds no modality of this run. Give at least one of"):
        fitted.predict(sw.Study("x", "x", table={"height": 3}))


def test_contributions_add_up_and_maps_lie_on_native_grids(fitted, mixed, tmp_path):
    rows = fitted.explain(mixed, tmp_path, part="all", options={"maps": 1}, say=quiet)
    record = json.loads((tmp_path / "explanation.json").read_text())
    assert record["about"]["missed"] <= 1e-5
    for name, mine in rows.groupby("study"):
        given = fitted.input(mixed[name]).there
        assert set(mine["modality"]) == set(given)
        assert mine["share"].sum() == pytest.approx(1)
    means = rows.groupby("modality")["size"].mean()
    assert means["t2"] > means["dwi"]
    [one] = record["maps"]
    assert one["error"] < 0.2
    for image in one["images"]:
        stem = image["picture"].removesuffix(".png")
        found = read_scan(tmp_path / f"{stem}.nii.gz")
        assert found.geometry.shape == mixed[one["study"]][image["modality"]].geometry.shape


def test_the_whole_way_by_the_command_line(mixed, tmp_path, capsys):
    run, folder = str(tmp_path / "run"), str(mixed.folder)
    small = ["--network.width", "16", "--network.heads", "2", "--training.steps", "2", "--training.workers", "0"]
    assert main(["fit", "mome", "--cohort", folder, "--run", run, *small]) == 0
    told = capsys.readouterr().out
    assert "modality: dce, volume of 8×10×10, a series of usually 3 frames" in told
    assert "modality: table, 1 variable of numbers and 1 of categories" in told
    predicted = ["--out", str(tmp_path / "p"), "--targets", "ill", "embedding"]
    assert main(["predict", run, "--cohort", folder, *predicted]) == 0
    made = sw.Cohort.open(tmp_path / "p")
    assert len(made) == len(mixed)
    assert made["s00"].embeddings["mome"].shape == (16,)
    readers = tmp_path / "readers.csv"
    names = mixed.studies
    pd.DataFrame({"study": names, "junior": [n % 2 for n in range(len(names))]}).to_csv(readers, index=False)
    asked = ["--sparing", "1", "--by", "sex", "--readers", str(readers)]
    assert main(["evaluate", run, "--cohort", folder, *asked]) == 0
    assert "junior: sensitivity 1.00, specificity 1.00" in capsys.readouterr().out
    assert main(["evaluate", run, "--cohort", folder, "--sparing", "1", "--part", "all"]) == 2
    assert "6 patients of those tried chose the thresholds in validation" in capsys.readouterr().err
    assert main(["evaluate", run, "--cohort", folder, *asked]) == 0
    assert main(["evaluate", run, "--cohort", folder, *asked, "--against", run]) == 0
    assert "ill" not in capsys.readouterr().err
    assert main(["explain", run, "--cohort", folder, "--maps", "1", "--part", "all"]) == 0
    assert main(["report", run]) == 0
    page = (tmp_path / "run" / "report.html").read_text()
    for words in ("From which modalities", "What each modality gives", "The run beside another one"):
        assert words in page
    assert "Not made yet" not in page


def test_a_fit_for_malignancy_says_which_biopsies_would_be_spared(mixed, tmp_path):
    lines = []
    run = sw.fit("mome", mixed, tmp_path / "run", preset="malignancy", config=[TINY, {"training.steps": 2}], say=quiet)
    run.evaluate(mixed, say=lines.append)
    assert any("kept 99% of them on validation" in line for line in lines)
    run.evaluate(mixed, tmp_path / "all", part="all", say=lines.append)  # judged by those who chose the threshold: not
    assert any(line.startswith("spared biopsies are not judged: ") for line in lines)
    assert (tmp_path / "run" / "evaluation" / "sparing.csv").is_file()
    page = run.report().read_text()
    assert "Decision curve" in page
    assert "is spared" in page


@pytest.mark.parametrize(
    "settings",
    [
        {"input.series": "time"},
        {"input.fit": "paste"},
        {"network.absent": "mean"},
        {"network.absent": "learned", "network.experts": 0},
        {"network.stem_norm": "instance", "network.stride": 16},
    ],
)
def test_every_form_is_fitted_kept_and_opened_again(mixed, tmp_path, settings):
    config = [TINY, {"training.steps": 2, "training.validate_every": 2}, settings]
    made = sw.fit("mome", mixed, tmp_path / "run", config=config, say=quiet)
    again = api.open_run(tmp_path / "run", "cpu")
    for name in ("s00", "s03", "s09"):
        np.testing.assert_array_equal(made.probabilities(mixed[name]), again.probabilities(mixed[name]))


def test_one_modality_alone_is_fitted(mixed, tmp_path):
    config = [TINY, {"training.steps": 2, "scans": ["t2"], "variables": "none"}]
    run = sw.fit("mome", mixed, tmp_path / "run", config=config, say=quiet)
    assert run.plan.modalities == ("t2",)


def test_classes_that_weighed_the_same_begin_from_even_odds(mixed, tmp_path):
    few = mixed.select([name for n, name in enumerate(mixed.studies) if n % 2 == 0 or n % 4 == 1])
    config = [TINY, {"training.steps": 2}]
    run = sw.fit("mome", few, tmp_path / "run", preset="response", config=config, say=quiet)
    assert run.plan.balanced
    assert run.plan.shares[1] < 0.45
    np.testing.assert_allclose(prior_log_odds(run.plan), 0, atol=1e-12)  # not the prevalence: a sham would get it all
    assert prior_log_odds(run.plan.model_copy(update={"balanced": False}))[1] < -0.2
    run.evaluate(mixed, say=quiet)
    assert "Decision curve" not in run.report().read_text()


def test_runs_are_compared_on_the_same_question_and_studies_alone(fitted, mixed, tmp_path):
    frame = mixed.frame.assign(**{"label:other": [n // 2 % 2 for n in range(len(mixed))]})
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    two = sw.Cohort.create(tmp_path / "two", rows, root=mixed.root, name="two", source="test", layout="test")
    config = [TINY, {"training.steps": 2, "labels": "other"}]
    other = sw.fit("mome", two, tmp_path / "other", config=config, say=quiet)
    for against, words in ((other, "answers another question"), (fitted, "was evaluated on studies that its fit saw")):
        against.evaluate(two if against is other else mixed, part="all", options={"subsets": False}, say=quiet)
        with pytest.raises(sw.ScanweaveError, match=words):
            fitted.evaluate(mixed, tmp_path / "e", part="all", options={"against": against.run.folder}, say=quiet)


def test_thresholds_of_some_are_chosen_on_some_of_validation(fitted, mixed, tmp_path):
    options = {"sparing": "1", "among": "sex=female", "subsets": False}
    fitted.evaluate(mixed, tmp_path, options=options, say=quiet)
    table = pd.read_csv(tmp_path / "sparing.csv")
    validation = pd.read_csv(fitted.run.folder / "validation.csv")
    sexes = mixed.frame.set_index("study")["table:sex"]
    ill = validation[(validation["truth"] == 1) & (sexes[validation["study"]].to_numpy() == "female")]
    assert set(table["on validation of"]) == {len(ill)}


def test_a_call_with_other_options_begins_anew_where_one_was_stopped(fitted, mixed, tmp_path):
    pd.DataFrame({"study": ["x"], "a": [1]}).to_csv(tmp_path / "r.csv", index=False)
    options = {"readers": tmp_path / "r.csv", "subsets": False}
    with pytest.raises(sw.ScanweaveError, match="names no study of this evaluation"):
        fitted.evaluate(mixed, tmp_path / "e", options=options, say=quiet)
    assert not (tmp_path / "e").exists()  # refused before the first study is tried
    fitted.evaluate(mixed, tmp_path / "e", options={"subsets": False}, say=quiet)
    fitted.evaluate(mixed, tmp_path / "e", say=quiet)
    assert (tmp_path / "e" / "subsets.csv").is_file()


def test_several_findings_and_no_table(tmp_path):
    cohort = make_cohort(tmp_path / "c")
    frame = cohort.frame.assign(**{"label:other": [None if n % 3 == 0 else n % 2 for n in range(len(cohort))]})
    both = sw.Cohort.create(
        tmp_path / "two", frame.astype(object).where(frame.notna(), None).to_dict("records"), root=cohort.root,
        name="two", source="test", layout="test",
    )  # fmt: skip
    config = [TINY, {"training.steps": 2, "variables": "none", "labels": ["ill", "other"]}]
    run = sw.fit("mome", both, tmp_path / "run", config=config, say=quiet)
    assert run.plan.kind == "findings"
    assert "table" not in run.plan.modalities
    table = run.evaluate(both, part="all", say=quiet)
    assert {"ill", "other"} <= set(table["outcome"])
    assert set(run.predict(both["s01"], ["other"]).labels) == {"other"}


def test_what_cannot_be_asked_is_refused_in_one_line(mixed, fitted, tmp_path):
    for settings, words in (
        ({"scans": ["t9"]}, "scans: 't9' is not in the cohort"),
        ({"variables": ["age"]}, "variables: 'age' is not in the cohort"),
        ({"input.size": [8, 8]}, "input.size: has 2 axes for scans of 3"),
        ({"scans": ["t2"], "variables": "none", "sampling.drop": 0.3}, "sampling.drop: has no effect: t2 is the only"),
        ({"network.backbone": "frozen"}, "network.backbone frozen: would keep attention and feed-forward layers"),
        ({"network.absent": "mean", "input.fit": "paste"}, "network.absent mean needs input.fit resize"),
        ({"preparation.headroom": 2}, "preparation.headroom: has no effect"),
    ):
        with pytest.raises(sw.ScanweaveError, match=words):
            sw.fit("mome", mixed, tmp_path / "no", config=[TINY, settings], say=quiet)
    for options, words in (
        ({"sparing": "2"}, "sparing: the run does not tell '2'"),
        ({"among": "sex=male"}, "among: has no effect without sparing"),
        ({"sparing": "1", "among": "sex=cat"}, "among: no study has sex cat"),
        ({"by": ["age"]}, "by: 'age' is no variable of the cohort"),
        ({"against": str(tmp_path)}, "is not a run folder"),
    ):
        with pytest.raises(sw.ScanweaveError, match=words):
            fitted.evaluate(mixed, tmp_path / "e", part="all", options={"subsets": False, **options}, say=quiet)
    with pytest.raises(sw.ScanweaveError, match="of: the run does not tell '2'"):
        fitted.explain(mixed, tmp_path / "x", options={"of": "2"}, say=quiet)
