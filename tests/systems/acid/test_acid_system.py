"""The verbs of ACID on a tiny run."""

import json
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from changed_results import faults_at_report

from scanweave.cli.main import main
from scanweave.errors import ScanweaveError
from scanweave.physics.ct.geometry import ParallelGeometry, even_angles
from scanweave.physics.ct.operators import CtPhysics
from scanweave.physics.fourier import FourierPhysics, cartesian_mask
from scanweave.physics.spectral.corrected import corrected_lines
from scanweave.physics.variation import TotalVariation
from scanweave.physics.views import with_views
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.sinogram_hdf5 import write_sinogram
from scanweave.studies.slice_scans import slice_image
from scanweave.systems.acid.config import SMALL, SamplingSettings
from scanweave.systems.acid.measurement_pairs import Pairs, load_pairs
from scanweave.systems.acid.network import make_network
from scanweave.systems.acid.objective import AcidObjective
from scanweave.systems.acid.operators import describe, open_physics
from scanweave.systems.acid.samples import PairSamples
from scanweave.systems.acid.system import AcidSystem


def test_fit_measures_bren_and_says_what_it_chose(acid_run):
    chosen = json.loads((acid_run.system.run.folder / "acid.json").read_text())
    assert set(chosen["bren"]) == {"truth", "errors", "random 0.1", "random 0.01", "random 0.001"}
    assert len(chosen["curve"]) == 3
    assert len(chosen["tried"]) == 4
    assert any(line.startswith("loop: step 0.3") for line in acid_run.lines)


def test_same_fit_again_changes_nothing(acid_run):
    weights = acid_run.system.run.weights.read_bytes()
    again = AcidSystem.fit(acid_run.cohort, acid_run.system.run.folder, acid_run.config, say=lambda line: None)
    assert again.run.weights.read_bytes() == weights


def test_prediction_is_a_study_with_the_workflow_s_image(acid_run):
    study = acid_run.cohort[acid_run.cohort.studies[0]]
    made = acid_run.system.predict(study)
    assert list(made.scans) == ["bin1"]
    assert made["bin1"].synthetic
    physics, pairs = load_pairs(acid_run.cohort.select([study.id]), ("bin1",))
    with torch.no_grad():
        expected = acid_run.system.acid(physics)(pairs.measurement)[0, 0].numpy()
    np.testing.assert_array_equal(slice_image(made["bin1"]), expected)
    assert np.allclose(made["bin1"].geometry.affine, study["bin1"].geometry.affine)


def test_evaluation_sets_every_method_beside_the_others(acid_run):
    table = acid_run.system.evaluate(acid_run.cohort, say=lambda line: None)
    assert set(table["method"]) == {"A†", "TV", "network", "ACID"}
    assert table.groupby("method").size().eq(2).all()
    assert (acid_run.system.run.folder / "evaluation" / "images.png").is_file()
    page = acid_run.system.report().read_text()
    assert "BREN" in page
    assert "How good it is" in page


def test_what_cannot_be_read_is_left_out_and_named(acid_run, tmp_path):
    own = tmp_path / "cohort"
    shutil.copytree(acid_run.cohort.folder, own)
    test = Cohort.open(own).part("test").studies
    measured = acid_run.cohort[test[0]].sinogram("ct")
    write_sinogram(own / "studies" / test[0] / "ct.h5", replace(measured, geometry={**measured.geometry, "kind": "?"}))
    lines = []
    table = acid_run.system.evaluate(Cohort.open(own), tmp_path / "out", say=lines.append)
    assert list(table["study"].unique()) == test[1:]
    assert any(line.startswith(f"left out: {test[0]}: ") for line in lines)
    assert any(line.startswith("note: network (") for line in lines)  # three steps teach nothing
    about = json.loads((tmp_path / "out" / "summary.json").read_text())["about"]
    assert list(about["left_out"]) == [test[0]]
    assert about["seen"] == 0


def test_predictions_are_written_and_options_of_others_refused(acid_run, tmp_path, capsys):
    run, cohort = str(acid_run.system.run.folder), str(acid_run.cohort.folder)
    assert main(["predict", run, "--cohort", cohort, "--out", str(tmp_path / "out"), "--studies", "sub-000000"]) == 0
    assert "wrote 1 synthetic image" in capsys.readouterr().out
    assert main(["evaluate", run, "--cohort", cohort, "--out", str(tmp_path / "no"), "--include-self"]) == 2
    assert "include_self: there is no such setting" in capsys.readouterr().err


def test_audit_writes_one_page_with_its_own_checks(acid_run, capsys, monkeypatch):
    # Most of the time goes into the 200 iterations of TV, which have tests of their own.
    quick = partial(TotalVariation, iterations=5)
    monkeypatch.setattr("scanweave.systems.acid.fitted.TotalVariation", quick)
    run = str(acid_run.system.run.folder)
    command = f"audit stability {run} --cohort {acid_run.cohort.folder} --images 2 --radii 0.02 --iterations 2"
    more = "--restarts 2 --contrasts 0.2 --factors 0.5 1 --device cpu"
    status = main([*command.split(), *more.split()])
    assert status in (0, 1)
    found = json.loads((acid_run.system.run.folder / "audit" / "stability.json").read_text())
    checked = {check["check"] for check in found["checks"]["measurement"]}
    assert checked == {"gradients", "iterations", "transfer", "restarts", "noise"}
    assert {row["kind"] for row in found["summary"]["image"]} == {"none", "own", "noise", "strongest"}
    gradients = [c for rows in found["checks"].values() for c in rows if c["check"] == "gradients"]
    assert all(check["passed"] for check in gradients)
    page = (acid_run.system.run.folder / "audit" / "stability.html").read_text()
    assert "Can the attacks be believed" in page
    assert page.count("<details>") == 1
    assert "AUC</th>" in page
    assert "auc</th>" not in page
    assert "2 studies, the test part of fold 0 of" in page
    assert "Synthesised images" not in page
    assert found["studies"]["part"] == "test"
    assert main(command.split()) == 2
    assert "exists already" in capsys.readouterr().err


def test_mri_pairs_are_fitted_from_python(acid_run, tmp_path):
    physics = FourierPhysics(cartesian_mask((16, 16), acceleration=4, central_lines=2, rng=np.random.default_rng(0)))
    truth = torch.rand(4, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    names = ("a", "b", "c", "d")
    pairs = Pairs(truth, physics.A(truth), names, names)
    system = AcidSystem.fit_pairs(physics, pairs, pairs.first(2), tmp_path / "run", acid_run.config, say=lambda _: None)
    assert system.channels == ("real", "imaginary")
    with torch.no_grad():
        assert system.acid()(pairs.measurement).shape == truth.shape
    one = Pairs(truth[:, :1], physics.A(truth), names, names)
    with pytest.raises(ScanweaveError, match="1 channels"):
        AcidSystem.fit_pairs(physics, one, None, tmp_path / "other", acid_run.config)


def test_what_is_chosen_on_training_images_is_said_to_be(acid_run, tmp_path):
    physics = CtPhysics(ParallelGeometry.covering((16, 16), 1.0, even_angles(8)))
    truth = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    pairs = Pairs(truth, physics.A(truth), ("a", "b", "c"), ("a", "b", "c"))
    lines = []
    system = AcidSystem.fit_pairs(physics, pairs, None, tmp_path / "run", acid_run.config, say=lines.append)
    assert any(line.startswith("note: without a validation part") for line in lines)
    assert any(line.endswith("dB on 2 training images") for line in lines)
    page = system.report().read_text()
    assert "chosen on training images" in page
    assert "validation images, with no stop" not in page


def test_samples_are_a_function_of_their_number():
    truth = torch.tensor([1.0, 10.0, 100.0]).reshape(3, 1, 1, 1) + torch.zeros(3, 1, 2, 2)
    pairs = Pairs(truth, 10 * truth, ("a", "b", "c"), ("a", "b", "c"))
    samples = PairSamples(pairs, SamplingSettings(differences=0.5, residuals=0.3), seed=0)
    drawn = [samples[k] for k in range(200)]
    assert all(torch.equal(samples[k]["measurement"], drawn[k]["measurement"]) for k in (0, 7, 150))
    assert all(torch.equal(d["measurement"], 10 * d["image"]) for d in drawn)
    plain = {"a": 1.0, "b": 10.0, "c": 100.0}
    differences = [d for d in drawn if float(d["image"][0, 0, 0]) != plain[d["case"]]]
    assert 70 < len(differences) < 130
    assert 35 < sum(d["residual"] for d in drawn) < 85
    assert not any(d["residual"] for d in differences)
    with pytest.raises(ScanweaveError, match="1 at most"):
        PairSamples(pairs, SamplingSettings(differences=0.7, residuals=0.5), seed=0)


def test_residual_samples_teach_the_network_its_own_error():
    physics = CtPhysics(ParallelGeometry.covering((16, 16), 1.0, even_angles(8)))
    network = make_network(1, SMALL.network).double()
    objective = AcidObjective(network, physics)
    image = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    measurement = physics.A(image)
    terms = objective({"measurement": measurement, "image": image, "residual": torch.tensor([False, True])})
    first = network(physics.A_dagger(measurement[1:])).detach()
    back = physics.A_dagger(measurement[1:] - physics.A(first))
    error = image[1:] - first
    wanted = (network(back) - error).norm() / error.norm()
    assert terms["residual"].item() == pytest.approx(wanted.item(), rel=1e-9)
    assert terms["loss"].item() == pytest.approx((terms["image"] + terms["residual"]).item() / 2, rel=1e-9)


@pytest.mark.parametrize("kind", ["ct", "fourier"])
def test_scanner_comes_back_from_its_values_and_takes_more_data(kind):
    if kind == "ct":
        physics = CtPhysics(ParallelGeometry.covering((16, 16), 1.0, even_angles(8)))
        shape = (1, 1, 16, 16)
    else:
        physics = FourierPhysics(
            cartesian_mask((16, 16), acceleration=2, central_lines=2, rng=np.random.default_rng(0))
        )
        shape = (1, 2, 16, 16)
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    again = open_physics(json.loads(json.dumps(describe(physics))))
    assert torch.equal(again.A(image), physics.A(image))
    fewer, more = with_views(physics, 0.5), with_views(physics, 2.0)
    if kind == "ct":
        assert (len(fewer.geometry.angles), len(more.geometry.angles)) == (4, 16)
        assert more.geometry.angles[::2] == pytest.approx(physics.geometry.angles)
    else:
        masks = [operator.mask.reshape(-1, 16, 16)[0, 0] for operator in (fewer, physics, more)]
        assert [int(mask.sum()) for mask in masks] == [4, 8, 16]
        assert (masks[0] <= masks[1]).all()


@pytest.mark.parametrize("values", [{}, {"kind": "pet"}, {"kind": "fourier", "mask": [1]}, {"kind": "ct"}])
def test_broken_scanner_is_one_line(values):
    with pytest.raises(ScanweaveError, match="physics") as error:
        open_physics(values)
    assert "\n" not in str(error.value)


def test_pairs_that_do_not_fit_are_refused():
    good = torch.rand(2, 1, 4, 4)
    with pytest.raises(ScanweaveError, match="2 images"):
        Pairs(good, good[:1], ("a", "b"), ("a", "b"))
    with pytest.raises(ScanweaveError, match="NaN"):
        Pairs(good * torch.nan, good, ("a", "b"), ("a", "b"))


def test_line_integrals_are_corrected_for_beam_hardening(acid_run):
    name = acid_run.cohort.studies[0]
    _, pairs = load_pairs(acid_run.cohort.select([name]), ("bin1",))
    sinogram = acid_run.cohort[name].sinogram("ct")
    np.testing.assert_array_equal(pairs.measurement[0].numpy(), corrected_lines(sinogram))
    bent = -np.log(np.maximum(sinogram.values, 1) / sinogram.air[:, None, None])
    assert pairs.measurement[0].numpy().max() > 1.02 * bent.max()


def test_scan_of_other_bins_or_an_unknown_target_is_refused(acid_run):
    study = acid_run.cohort[acid_run.cohort.studies[0]]
    measured = study.sinogram("ct")
    other = replace(study, sinograms={"ct": replace(measured, thresholds=measured.thresholds + 5)})
    with pytest.raises(ScanweaveError, match="its thresholds are 25 keV, the run's 20"):
        acid_run.system.predict(other)
    small = measured.geometry | {name: measured.geometry[name] / 10 for name in ("pixel", "pitch")}  # in cm
    with pytest.raises(ScanweaveError, match=r"its pixels have 0\.31.* mm, the run's 3\.1"):
        acid_run.system.predict(replace(study, sinograms={"ct": replace(measured, geometry=small)}))
    with pytest.raises(ScanweaveError, match="does not know 'flair'"):
        acid_run.system.predict(study, ["flair"])


def test_all_studies_that_cannot_be_learnt_from_are_told_at_once(acid_run, tmp_path):
    own = tmp_path / "cohort"
    shutil.copytree(acid_run.cohort.folder, own)
    for name in acid_run.cohort.part("train").studies:
        measured = acid_run.cohort[name].sinogram("ct")
        write_sinogram(own / "studies" / name / "ct.h5", replace(measured, geometry={**measured.geometry, "kind": "?"}))
    with pytest.raises(
        ScanweaveError, match=r"cohort: 2 studies cannot be learnt from \(sub-.*unknown.*; sub-"
    ) as caught:
        AcidSystem.fit(Cohort.open(own), tmp_path / "run", acid_run.config, say=lambda line: None)
    assert "\n" not in str(caught.value)


def test_a_page_of_a_run_that_chance_changed_is_written_or_refused(acid_run, tmp_path):
    run = shutil.copytree(acid_run.system.run.folder, tmp_path / "sound")
    AcidSystem.open(run, "cpu").evaluate(acid_run.cohort, say=lambda line: None)
    tried, faults = faults_at_report(run, tmp_path, seeds=3)
    assert tried >= 27
    assert not faults, "\n".join(faults)
