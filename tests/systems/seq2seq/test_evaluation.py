from __future__ import annotations

import json
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from scanweave.errors import ScanweaveError
from scanweave.framework.trial import Trial
from scanweave.measures.image import image_quality
from scanweave.measures.regions import named_regions
from scanweave.studies.geometry import orient
from scanweave.studies.scan import Scan
from scanweave.systems.seq2seq.evaluation import evaluated, notes, read_pairs, summarise
from scanweave.systems.seq2seq.native_grid import native_study
from scanweave.systems.seq2seq.synthesis import means_of_others, predictions


@pytest.fixture(scope="module")
def found(fitted, tmp_path_factory):
    out, lines = tmp_path_factory.mktemp("evaluation"), []
    return fitted.system.evaluate(fitted.cohort, out, options={"include_self": True}, say=lines.append), out, lines


def test_every_pair_of_the_test_part_is_measured_in_three_regions(fitted, found):
    pairs, _, lines = found
    test = [study for study in fitted.cohort.part("test", 0) if len(study.scans) > 1]
    assert lines[0] == "studies: 3, the test part of fold 0, of the cohort of the fit"
    assert set(pairs["study"]) == {study.id for study in test}
    for study in test:
        names = sorted(study.scans)
        own = pairs[(pairs["study"] == study.id) & (pairs["region"] == "brain")]
        assert sorted(own[own["kind"] == "pair"][["source", "target"]].itertuples(index=False)) == [
            (a, b) for a in names for b in names if a != b
        ]
        assert sorted(own[own["kind"] == "self"]["source"]) == names
        assert sorted(own[own["kind"] == "all"]["target"]) == names
        assert (own[own["kind"] == "all"]["sources"] == len(names) - 1).all()
    assert pairs.groupby("region").size().to_dict() == dict.fromkeys(["brain", "box", "volume"], len(pairs) // 3)


def test_figures_are_those_of_the_images_that_predict_writes(fitted, found):
    """An independent path: predict from the other scans, against the file as it lies on disk."""
    pairs, _, _ = found
    study = next(study for study in fitted.cohort.part("test", 0) if len(study.scans) == 3)
    made = np.asarray(fitted.system.predict(study, ["flair"])["flair"].data)
    own, typical = fitted.system.prepare(study).frame.scales["flair"], fitted.system.plan.rule("flair").high
    made = made * np.float32(own / typical)  # a prediction never sees the scale of its target, an evaluation gives it
    real = np.asarray(study["flair"].data, dtype=np.float32)
    brain = np.asarray(study.masks["brain"].data) > 0
    expected = image_quality(made, real, named_regions(brain), float(np.percentile(real[brain], 99.5)))
    rows = pairs[(pairs["study"] == study.id) & (pairs["kind"] == "all") & (pairs["target"] == "flair")]
    for row in rows.to_dict("records"):
        for measure, value in expected[row["region"]].items():
            assert row[measure] == pytest.approx(value, rel=1e-5), (row["region"], measure)


def test_a_source_counts_only_where_it_covers():
    volumes = {name: np.full((2, 2, 2), value, np.float32) for name, value in (("a", 0.0), ("b", 0.5), ("c", 1.0))}
    volumes["b"][0], volumes["c"][0, 0] = np.nan, np.nan
    made = {(m.kind, m.target): m.volume for m in predictions(Adder(), volumes, ["a"])}["all", "a"]
    np.testing.assert_allclose(made[1], (0.5 + 1.0) / 2 + 0.1, rtol=1e-6)
    np.testing.assert_allclose(made[0, 1], 1.0 + 0.1, rtol=1e-6)
    np.testing.assert_allclose(made[0, 0], -1)


def test_the_control_is_the_mean_of_the_others(fitted, found):
    pairs, _, lines = found
    study = next(study for study in fitted.cohort.part("test", 0) if len(study.scans) == 3)
    control = pairs[(pairs["study"] == study.id) & (pairs["kind"] == "mean")]
    assert set(control["target"]) == {"t1", "t1c", "flair"}
    assert set(control["sources"]) == {2}
    volumes = fitted.system.prepare(study).volumes
    made = {m.target: m.volume for m in means_of_others(volumes, ["t1"])}["t1"]
    np.testing.assert_allclose(made, (volumes["t1c"] + volumes["flair"]) / 2, rtol=1e-6)
    brain = pairs[pairs["region"] == "brain"]
    means = brain.groupby("kind")[["psnr", "ssim"]].mean()
    learnt = (means.loc["all"] > means.loc["mean"]).all()
    assert any("does not beat the mean of the others" in line for line in lines) == (not learnt)


def test_what_a_reader_must_know_is_said(found):
    pairs, _, _ = found
    all_others = pairs["kind"] == "all"
    better = pairs.assign(psnr=pairs["psnr"].mask(all_others, 99.0), ssim=pairs["ssim"].mask(all_others, 0.99))
    assert notes(better, ["t1", "t1c", "flair"]) == []
    for measure in ("psnr", "ssim"):
        worse = better.assign(**{measure: better[measure].mask(all_others, 0.01)})
        told = notes(worse, ["t1", "t1c", "flair", "pd"])
        assert told[0] == "note: pd is in no study here, so it is not measured"
        assert "does not beat the mean of the others" in told[1]


def test_tables_are_written_and_read_back(fitted, found):
    pairs, out, _ = found
    pd.testing.assert_frame_equal(read_pairs(out), pairs, check_dtype=False)
    record = json.loads((out / "summary.json").read_text())
    assert record["about"]["cohort"] == fitted.cohort.digest
    assert record["about"]["include_self"]
    for name in ("matrix.png", "grid.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    assert json.loads((fitted.system.run.folder / "outputs.json").read_text())["evaluation"] == str(out)


def test_an_evaluation_of_the_same_studies_is_used_again(fitted, found, tmp_path):
    pairs, out, _ = found
    lines: list[str] = []
    run = fitted.system.run

    def again_of(part):
        trial = Trial.of(run, fitted.cohort, "ranking", part=part, say=lines.append)
        return evaluated(fitted.system, trial, include_self=False, fresh=tmp_path)

    again, about = again_of(None)
    assert lines[2:] == [f"evaluation: that in {out} is used", *notes(pairs, fitted.system.sequences)]
    assert len(again) == len(pairs)
    assert about["part"] == "test"
    again_of("validation")
    assert (tmp_path / "pairs.csv").exists()
    assert any("the validation part" in line for line in lines)
    fitted.system.run.folder.joinpath("outputs.json").write_text(json.dumps({"evaluation": str(out)}))


def test_of_another_cohort_the_studies_of_the_fit_are_left_out_unless_asked_for(fitted, tmp_path):
    test, train = (fitted.cohort.part(part, 0).having("t1", "t1c").studies[:1] for part in ("test", "train"))
    other = fitted.cohort.select([*test, *train])
    lines: list[str] = []
    pairs = fitted.system.evaluate(other, tmp_path / "unseen", say=lines.append)
    assert lines[0].startswith("left out: 1 study of ")
    assert lines[1] == "studies: 1, all of patients that the fit did not see, of another cohort"
    assert set(pairs["study"]) == {*test}
    pairs = fitted.system.evaluate(other, tmp_path / "all", part="all", say=lines.append)
    assert set(pairs["study"]) == {*test, *train}
    assert "note: the fit saw 1 of them" in lines
    again = fitted.cohort.select(train)
    again = replace(again, frame=again.frame.assign(study="another_visit"))
    with pytest.raises(ScanweaveError, match="all of patients that the fit did not see"):
        fitted.system.evaluate(again, tmp_path / "none", say=lines.append)
    with pytest.raises(ScanweaveError, match="all of patients that the fit did not see"):
        fitted.system.evaluate(fitted.cohort.select(train), tmp_path / "none", say=lines.append)


def test_a_study_that_cannot_be_read_is_left_out(fitted, tmp_path):
    test = fitted.cohort.part("test", 0).having("t1", "t1c").studies[:2]
    other = fitted.cohort.select(test)
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"no image")
    paths = [str(broken) if name == test[0] else path for name, path in other.frame[["study", "scan:t1"]].to_numpy()]
    other = replace(other, frame=other.frame.assign(**{"scan:t1": paths}))
    pairs = fitted.system.evaluate(other, tmp_path / "out", say=lambda _: None)
    assert set(pairs["study"]) == {test[1]}


def test_studies_with_a_single_sequence_are_left_out_by_name(fitted, tmp_path):
    chosen = fitted.cohort.part("test", 0).having("t1", "t1c")
    chosen = chosen.select(chosen.studies[:1])
    alone = replace(chosen, frame=chosen.frame.assign(**{"scan:t1c": None, "scan:flair": None}))
    lines: list[str] = []
    with pytest.raises(ScanweaveError, match="no study could be evaluated"):
        fitted.system.evaluate(alone, tmp_path, say=lines.append)
    assert any(line.startswith(f"left out: {chosen.studies[0]}") for line in lines)
    assert not any(tmp_path.iterdir())


def test_an_empty_part_is_refused_with_advice(fitted, tmp_path):
    nobody = fitted.cohort.part("test", 0)
    with pytest.raises(ScanweaveError, match="the train part of fold 0"):
        fitted.system.evaluate(nobody, tmp_path, part="train", say=lambda _: None)


class Adder:
    """Translates by adding a number for each target."""

    backgrounds: ClassVar[dict[str, float]] = {}

    def translate(self, source, volume, targets):
        return {target: volume + np.float32({"a": 0.1, "b": 0.2, "c": 0.3}[target]) for target in targets}


def test_the_combined_prediction_is_the_mean_of_all_other_sources():
    volumes = {name: np.full((2, 2, 2), value, np.float32) for name, value in (("a", 0.0), ("b", 0.5), ("c", 1.0))}
    made = {(m.kind, m.source, m.target): m for m in predictions(Adder(), volumes, ["a", "b", "c"])}
    assert len(made) == 6 + 3
    np.testing.assert_allclose(made["all", "all", "a"].volume, (0.5 + 1.0) / 2 + 0.1, rtol=1e-6)
    np.testing.assert_allclose(made["pair", "b", "c"].volume, 0.5 + 0.3, rtol=1e-6)


def test_tables_say_what_the_region_brain_is(fitted, found, tmp_path):
    pairs, out, _ = found
    assert {*pairs["brain_is"]} == {"mask"}
    assert {*pd.read_csv(out / "summary.csv")["brain_is"]} == {"mask"}
    bare = replace(fitted.cohort, frame=fitted.cohort.frame.drop(columns="mask:brain"))
    pairs = fitted.system.evaluate(bare.select(pairs["study"].unique()[:1]), tmp_path, part="all", say=str)
    assert {*pairs["brain_is"]} == {*pd.read_csv(tmp_path / "summary.csv")["brain_is"]} == {"foreground"}
    mixed = summarise(pd.concat([pairs, pairs.assign(brain_is="mask")]))
    assert {*mixed["brain_is"]} == {"foreground or mask"}
    assert "brain_is" not in summarise(pairs.drop(columns="brain_is"))  # of an earlier version


def test_means_are_over_rows_and_intervals_over_patients():
    rows = [
        {
            "study": f"s{i}",
            "patient": f"p{i // 2}",
            "kind": "pair",
            "source": "a",
            "target": "b",
            "region": "brain",
            "psnr": 20.0 + i,
            "ssim": 0.5,
            "nmse": 0.1,
            "gmsd": np.nan,
        }
        for i in range(4)
    ]
    summary = summarise(pd.DataFrame(rows))
    assert set(summary["measure"]) == {"psnr", "ssim", "nmse"}
    psnr = summary[summary["measure"] == "psnr"]
    assert set(zip(psnr["source"], psnr["target"], strict=True)) == {("a", "b"), ("any", "b"), ("any", "any")}
    assert (psnr[["mean", "patients", "studies"]] == [21.5, 2, 4]).all(axis=None)


def test_masks_on_another_grid_are_brought_to_the_reference(fitted):
    """The brain mask in another axis order, the grid otherwise the same: nothing may change."""
    study = next(study for study in fitted.cohort if len(study.scans) == 3)
    mask = study.masks["brain"]
    turned = Scan.of(orient(mask.data, mask.geometry, "LPS"), mask.geometry.oriented("LPS").affine)
    prepared, plan = fitted.system.prepare(study), fitted.system.plan
    expected = native_study(study, prepared, plan)
    found = native_study(replace(study, masks={**study.masks, "brain": turned}), prepared, plan)
    np.testing.assert_array_equal(found.brain, expected.brain)
    assert found.limits == expected.limits
    without = native_study(replace(study, masks={}), prepared, plan)
    assert (without.brain & expected.brain).sum() > 0.9 * expected.brain.sum()
