"""ULTRA from end to end on a few simulated slices, and what it says to bad input."""

import json
import shutil
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from changed_results import faults_at_report
from safetensors.torch import load_file

import scanweave as sw
from scanweave import api
from scanweave.errors import ScanweaveError
from scanweave.exporting import export
from scanweave.simulate.ct.cohort import simulate_ct
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.sinogram_hdf5 import read_sinogram, write_sinogram
from scanweave.studies.slice_scans import slice_image
from scanweave.studies.splits import make_splits, write_splits
from scanweave.systems.ultra.evaluation import ALL_BINS

TINY = {
    "network.width": 4,
    "network.levels": 2,
    "sampling.crop": [16, 16],
    "training.steps": 6,
    "training.warm_up": 1,
    "training.validate_every": 3,
    "training.batch_size": 2,
    "training.device": "cpu",
}


def _quiet(line):
    return None


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    made = simulate_ct(tmp_path_factory.mktemp("ultra") / "cohort", subjects=6, seed=1, size=24, views=20, photons=3e3)
    write_splits(made.folder, make_splits(made.patients, 3, seed=0))
    return made


@pytest.fixture(scope="module")
def fitted(cohort, tmp_path_factory):
    return sw.fit("ultra", cohort, tmp_path_factory.mktemp("run") / "ultra", config=TINY, say=_quiet)


def test_prediction_is_a_study_of_bins_and_materials(cohort, fitted):
    study = cohort.part("test")[cohort.part("test").studies[0]]
    bins = fitted.predict(study)
    assert list(bins.scans) == ["bin1", "bin2", "bin3", "bin4", "bin5"]
    assert bins["bin1"].synthetic
    assert bins["bin1"].geometry.matches(study["bin1"].geometry)
    derived = fitted.predict(study, ["gadolinium", "mono60"])
    assert list(derived.scans) == ["gadolinium", "mono60"]
    assert 0.01 < slice_image(derived["mono60"]).max() < 0.2  # bone and contrast agent in 1/mm


def test_fit_begins_from_another_run_with_the_scale_of_its_own_bins(cohort, fitted, tmp_path):
    about = {**TINY, "training.steps": 1, "start.source": str(fitted.run.folder)}
    begun = sw.fit("ultra", cohort, tmp_path / "run", config=about, fold=1, say=_quiet)
    found = begun.run.record["start_weights"]
    assert (found["parts"], found["fraction"]) == (["body"], 1.0)
    assert begun.plan.offset != fitted.plan.offset
    np.testing.assert_array_equal(begun.network.offset[:, 0, 0], np.float32(begun.plan.offset))


def test_truth_does_not_shape_its_prediction(cohort, fitted):
    study = cohort.part("test")[cohort.part("test").studies[0]]
    alone = fitted.predict(study.with_scans({}))
    np.testing.assert_array_equal(slice_image(alone["bin3"]), slice_image(fitted.predict(study)["bin3"]))


def test_evaluation_and_report(cohort, fitted):
    table = fitted.evaluate(cohort, say=_quiet)
    assert set(table["method"]) == {"fbp", "ultra"}
    whole = table[table["image"] == ALL_BINS].set_index(["study", "method"])["psnr"].unstack()
    assert np.isfinite(whole.to_numpy()).all()
    page = fitted.report().read_text()
    assert "Spectral pictures" in page
    assert "Synthesised images" not in page
    assert "gadolinium" in page


def test_audit_sets_the_network_beside_the_backprojection(cohort, fitted, tmp_path):
    few = {"images": 2, "radii": (0.02,), "iterations": 2, "restarts": 2, "contrasts": (), "factors": (0.5, 1.0)}
    done = sw.audit_stability(fitted, cohort, tmp_path / "audit", settings=few, say=_quiet)
    found = json.loads((tmp_path / "audit" / "stability.json").read_text())
    assert {row["method"] for row in found["summary"]["measurement"]} == {"FBP", "ULTRA"}
    gradients = [c for rows in found["checks"].values() for c in rows if c["check"] == "gradients"]
    assert all(check["passed"] for check in gradients)
    assert "More data" in done.page.read_text()


def test_same_command_gives_the_same_weights(cohort, fitted, tmp_path):
    again = sw.fit("ultra", cohort, tmp_path / "again", config=TINY, say=_quiet)
    for name, tensor in load_file(fitted.run.weights).items():
        assert tensor.equal(load_file(again.run.weights)[name]), name


def test_primal_dual_learns_in_the_same_frame(cohort, tmp_path):
    shared = {name: value for name, value in TINY.items() if name not in ("network.levels", "sampling.crop")}
    config = shared | {"network.architecture": "lpd", "network.iterations": 1, "training.steps": 2}
    run = sw.fit("ultra", cohort, tmp_path / "lpd", config=config, say=_quiet)
    assert slice_image(run.predict(cohort["sub-000000"])["bin1"]).shape == (24, 24)


def test_predictions_are_written_to_a_cohort_that_tells_their_source(cohort, fitted, tmp_path):
    studies = ["sub-000000", "sub-000001"]
    done = sw.predict(fitted.run.folder, cohort, tmp_path / "out", studies=studies, targets=["bin2", "iodine"])
    assert (done.made, done.failed) == ({"scan": 4}, {})
    made = Cohort.open(done.folder)
    assert made.names("scan") == ["bin2", "iodine"]
    image = nib.load(done.folder / "sub-000000" / "sub-000000_iodine_synthetic.nii.gz")
    about = json.loads(image.header.extensions[0].get_content())
    assert (about["target"], about["sources"]) == ("iodine", ["sinogram:ct"])
    assert sw.predict(fitted, cohort, done.folder, studies=studies, targets=["bin2", "iodine"]).made == {"scan": 4}
    with pytest.raises(ScanweaveError, match=r"does not know 'flair'\. Choose from bin1"):
        sw.predict(fitted.run.folder, cohort, tmp_path / "other", targets=["flair"])


def test_a_sinogram_that_changed_is_not_mixed_with_new_predictions(cohort, fitted, tmp_path):
    own = tmp_path / "cohort"
    shutil.copytree(cohort.folder, own, ignore=shutil.ignore_patterns("prepared"))
    studies = ["sub-000000", "sub-000001"]
    sw.predict(fitted, own, tmp_path / "out", studies=studies, targets=["bin1"])
    write_sinogram(own / "studies" / "sub-000000" / "ct.h5", cohort["sub-000001"].sinogram("ct"))
    with pytest.raises(ScanweaveError, match="images that changed since"):
        sw.predict(fitted, own, tmp_path / "out", studies=studies, targets=["bin1"])


def test_patients_that_the_fit_saw_do_not_test_it(cohort, fitted, tmp_path):
    more = simulate_ct(tmp_path / "more", subjects=7, seed=1, size=24, views=20, photons=3e3)
    lines = []
    table = fitted.evaluate(more, tmp_path / "out", say=lines.append)
    seen = {*cohort.part("train").patients, *cohort.part("validation").patients}
    assert set(table["patient"]) == set(more.patients) - seen
    assert set(fitted.run.inputs) == seen
    with pytest.raises(ScanweaveError, match="include_self: there is no such setting"):
        fitted.evaluate(cohort, tmp_path / "other", options={"include_self": True})


def _changed(cohort, folder, change):
    """The first study with its sinogram changed, as a cohort of its own."""
    measured = cohort["sub-000000"].sinogram("ct")
    folder.mkdir()
    write_sinogram(folder / "ct.h5", change(measured))
    rows = [{"study": "odd", "patient": "odd", "sinogram:ct": "ct.h5"}]
    return Cohort.create(folder, rows, root=".", name="odd", source="test", layout="test")["odd"]


def _fewer_bins(s):
    parts = {name: getattr(s, name)[:3] for name in ("values", "air", "thresholds", "response")}
    return replace(s, **parts)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_fewer_bins, "has 3 bins, the run 5"),
        (lambda s: replace(s, thresholds=s.thresholds + 1), "its thresholds are 21, 35"),
        (lambda s: replace(s, photons=s.photons * (s.energies < 80)), "its spectrum, or the response of its bins"),
        (lambda s: replace(s, geometry=s.geometry | {"pixel": s.geometry["pixel"] / 10}), "its pixels have 0.41.* mm"),
        (lambda s: replace(s, energies=None, photons=None, response=None), "the run tells its spectrum"),
        (lambda s: replace(s, geometry=s.geometry | {"kind": "helical"}), "unknown geometry 'helical'"),
    ],
)
def test_bad_measurement_is_one_line(cohort, fitted, tmp_path, change, reason):
    study = _changed(cohort, tmp_path / "odd", change)
    with pytest.raises(ScanweaveError, match=reason) as caught:
        fitted.predict(study)
    assert "\n" not in str(caught.value)
    assert "odd" in str(caught.value)


def test_nan_counts_are_one_line(cohort, tmp_path):
    h5py = pytest.importorskip("h5py")
    write_sinogram(tmp_path / "ct.h5", cohort["sub-000000"].sinogram("ct"))
    with h5py.File(tmp_path / "ct.h5", "r+") as file:
        values = file["values"][()]
        values[0, 0, 0] = np.nan
        file["values"][...] = values
    with pytest.raises(ScanweaveError, match="not finite"):
        read_sinogram(tmp_path / "ct.h5")


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"sampling.crop": [64, 64]}, "larger than"),
        ({"sinogram": "pet"}, "no sinogram 'pet'"),
        ({"bins": ["bin1", "clean"]}, "no clean image 'clean'"),
        ({"objective.p": 3.0}, "objective.p"),
    ],
)
def test_bad_settings_are_one_line(cohort, tmp_path, config, reason):
    with pytest.raises(ScanweaveError, match=reason):
        sw.fit("ultra", cohort, tmp_path / "run", config=TINY | config, say=_quiet)


def test_materials_without_a_spectrum_are_refused(cohort, tmp_path):
    own = tmp_path / "cohort"
    shutil.copytree(cohort.folder, own, ignore=shutil.ignore_patterns("prepared"))
    for name in cohort.studies:
        measured = replace(cohort[name].sinogram("ct"), energies=None, photons=None, response=None)
        write_sinogram(own / "studies" / name / "ct.h5", measured)
    for name, value in (("materials", ["water", "bone"]), ("energies", [50])):
        with pytest.raises(ScanweaveError, match=f"{name}: has no effect: the sinograms do not tell the spectrum"):
            sw.fit("ultra", Cohort.open(own), tmp_path / "run", config=TINY | {name: value}, say=_quiet)


def test_unknown_target_is_named(cohort, fitted):
    with pytest.raises(ScanweaveError, match="does not know 'flair'"):
        fitted.predict(cohort["sub-000000"], ["flair"])


def test_scans_of_two_spectra_are_not_learnt_together(cohort, tmp_path):
    own = tmp_path / "cohort"
    shutil.copytree(cohort.folder, own, ignore=shutil.ignore_patterns("prepared"))
    name = Cohort.open(own).part("validation").studies[0]
    measured = cohort[name].sinogram("ct")
    write_sinogram(own / "studies" / name / "ct.h5", replace(measured, photons=measured.photons[::-1].copy()))
    with pytest.raises(ScanweaveError, match=f"{name}: ct: its spectrum"):
        sw.fit("ultra", own, tmp_path / "run", config=TINY, say=_quiet)


def test_a_page_of_a_run_that_chance_changed_is_written_or_refused(cohort, fitted, tmp_path):
    run = shutil.copytree(fitted.run.folder, tmp_path / "sound")
    api.open_run(run, "cpu").evaluate(cohort, say=_quiet)
    tried, faults = faults_at_report(run, tmp_path, seeds=3)
    assert tried >= 24
    assert not faults, "\n".join(faults)


def test_its_network_computes_the_same_from_a_file(fitted, tmp_path):
    pytest.importorskip("onnxscript")
    made = export(fitted.run.folder, tmp_path / "model.onnx", say=lambda line: None)
    assert made.difference < 1e-5
    assert made.studies > 0
