"""Simulated CT bodies: the same bits, what a finding changes and what it does not, sizes, chances, files, errors."""

import json

import numpy as np
import pytest

from scanweave.cli.main import USAGE, main
from scanweave.errors import ScanweaveError
from scanweave.simulate.bodies import BodiesSettings, simulate_bodies, simulate_body
from scanweave.simulate.bodies.anatomy import Anatomy, draw_build
from scanweave.simulate.bodies.findings import LINKS, draw_findings
from scanweave.simulate.bodies.painting import LESIONS, ORGANS
from scanweave.simulate.bodies.settings import FINDINGS
from scanweave.studies.checks.cohort_check import check_cohort
from scanweave.studies.cohort import Cohort
from scanweave.studies.mask_targets import structures_of

COARSE = {"spacing": 6.0}
PAINTED = ("middle_mm", "volume_ml")


def _body(index=0, **settings):
    return simulate_body(5, index, BodiesSettings(**{**COARSE, **settings}))


def _organ(subject, name):
    return subject["masks"]["organs"] == ORGANS.index(name) + 1


@pytest.fixture(scope="module")
def healthy():
    return _body(prevalence=0, noise=0)


def test_same_seed_same_bits():
    one, again, other = _body(), _body(), _body(1)
    np.testing.assert_array_equal(one["scans"]["ct"], again["scans"]["ct"])
    assert one["truth"] == again["truth"]
    assert (one["scans"]["ct"] != other["scans"]["ct"]).any()


def test_organs_have_the_attenuation_and_size_of_adults(healthy):
    scan = healthy["scans"]["ct"]
    contrast = healthy["truth"]["contrast"]
    bounds = {
        "right_lung": (-900, -700, 1000, 3500),
        "left_lung": (-900, -700, 900, 3200),
        "liver": (40, 130, 800, 2200),
        "spleen": (30, 140, 60, 350),
        "right_kidney": (20, 190, 80, 220),
        "heart": (40, 180, 280, 700),
        "bones": (120, 600, 350, 1400),
    }
    for name, (low, high, least, most) in bounds.items():
        inside = _organ(healthy, name)
        assert low < np.median(scan[inside]) < high, (name, contrast)
        assert least < healthy["truth"]["volume_ml"]["organs"][name] < most, name
    assert scan.min() >= -1024
    assert scan[0, 0, 0] == -1000
    middle = scan.shape[0] // 2  # right is where x is large
    liver, spleen = (np.argwhere(_organ(healthy, name))[:, 0].mean() for name in ("liver", "spleen"))
    assert liver > middle > spleen


def test_patients_and_findings_do_not_depend_on_voxels_noise_or_site():
    fine, coarse = _body(prevalence=0.5), _body(prevalence=0.5, spacing=8.0, noise=3.0, sites="C")
    for what in ("labels", "build"):
        assert fine["truth"][what] == coarse["truth"][what]
    drawn = [
        [{key: value for key, value in finding.items() if key not in PAINTED} for finding in one["truth"]["findings"]]
        for one in (fine, coarse)
    ]
    assert drawn[0] == drawn[1]
    for organ in ("liver", "right_lung"):
        found = [one["truth"]["volume_ml"]["organs"][organ] for one in (fine, coarse)]
        assert found[1] == pytest.approx(found[0], rel=0.05)


@pytest.mark.parametrize("name", LESIONS)
def test_a_finding_lies_in_its_organ_and_on_its_side(name):
    homes = {"effusion": None, "consolidation": "lung", "nodule": "lung", "liver_lesion": "liver", "kidney_cyst": None}
    subject = simulate_body(7, 0, BodiesSettings(spacing=3.0, findings=(name,), prevalence=1.0))
    drawn, mask = subject["truth"]["findings"], subject["masks"]["lesions"]
    assert subject["truth"]["labels"] == {name: 1}
    assert np.unique(mask).tolist() == [0, LESIONS.index(name) + 1]
    places = np.argwhere(mask > 0) @ subject["affine"][:3, :3].T + subject["affine"][:3, 3]
    for side in {one.get("side") for one in drawn} - {None}:
        assert ((places[:, 0] > 0) == (side == "right")).any()
    if homes[name] is not None:
        inside = np.isin(subject["masks"]["organs"], [n + 1 for n, organ in enumerate(ORGANS) if homes[name] in organ])
        assert inside[mask > 0].all()
    if name in ("nodule", "liver_lesion"):
        wished = sum(np.pi / 6 * one["size"] ** 3 for one in drawn) / 1000
        assert subject["truth"]["volume_ml"]["lesions"][name] == pytest.approx(wished, rel=0.45)


def test_every_finding_can_be_seen_and_lies_where_it_is_said_to():
    """Whatever else the body has, and at voxels that are hardly smaller than the smallest."""
    for index in range(24):
        subject = simulate_body(1, index, BodiesSettings(spacing=5.0, prevalence=1.0))
        told = subject["truth"]
        shown = [finding for finding in told["findings"] if finding["name"] in LESIONS]
        assert {finding["name"] for finding in shown} == {*LESIONS}
        for finding in shown:
            assert finding["volume_ml"] > 0, (index, finding)
            assert told["volume_ml"]["lesions"][finding["name"]] > 0, (index, finding)
            if "side" in finding:
                assert (finding["middle_mm"][0] > 0) == (finding["side"] == "right"), (index, finding)
            if finding["name"] in ("nodule", "liver_lesion", "kidney_cyst"):
                wished = np.pi / 6 * finding["size"] ** 3 / 1000
                assert finding["volume_ml"] > 0.35 * wished or finding["size"] < 15, (index, finding)


def test_a_large_heart_and_a_fatty_liver_change_these_alone(healthy):
    large = _body(findings=("cardiomegaly",), prevalence=1.0, noise=0)
    ratio = _organ(large, "heart").sum() / _organ(healthy, "heart").sum()
    assert ratio > 1.3
    fatty = _body(findings=("steatosis",), prevalence=1.0, noise=0)
    inside = _organ(healthy, "liver") & _organ(fatty, "liver")
    assert np.median(fatty["scans"]["ct"][inside]) < np.median(healthy["scans"]["ct"][inside]) - 20
    assert np.median(fatty["scans"]["ct"][_organ(fatty, "spleen")]) == pytest.approx(
        np.median(healthy["scans"]["ct"][_organ(healthy, "spleen")]), abs=2
    )


def test_chances_over_all_bodies_are_those_asked_for_and_some_go_together():
    settings = BodiesSettings(prevalence={"effusion": 0.2, "cardiomegaly": 0.4})
    drawn = [{one.name for one in draw_findings(np.random.default_rng(n), settings.prevalence)} for n in range(4000)]
    shares = {name: np.mean([name in one for one in drawn]) for name in FINDINGS}
    for name, share in settings.prevalence.items():
        assert shares[name] == pytest.approx(share, abs=0.025), name
    for name, (other, times) in LINKS.items():
        beside = np.mean([name in one for one in drawn if other in one])
        without = np.mean([name in one for one in drawn if other not in one])
        assert beside / without == pytest.approx(times, rel=0.2), name


def test_all_bodies_may_have_a_finding_and_those_beside_it_more_often_do():
    settings = BodiesSettings(prevalence={"effusion": 1.0, "consolidation": 0.9})
    drawn = [{one.name for one in draw_findings(np.random.default_rng(n), settings.prevalence)} for n in range(600)]
    assert all("effusion" in one for one in drawn)
    assert np.mean(["consolidation" in one for one in drawn]) == pytest.approx(0.9, abs=0.03)


def test_distances_are_in_millimetres():
    build = draw_build(np.random.default_rng(0))
    line = np.zeros((3, 201), np.float32)
    line[0] = np.linspace(-100, 100, 201)
    anatomy = Anatomy(build, line)
    distance = anatomy.ellipsoid((0.0, 0.0, 0.0), (50.0, 80.0, 60.0))
    np.testing.assert_allclose(distance[150:], np.arange(0, -51, -1), atol=0.01)
    assert (distance[51:150] > 0).all()


def test_noise_is_that_of_the_site_at_any_spacing(healthy):
    for spacing in (3.0, 6.0):
        plain, noisy = (_body(prevalence=0, noise=noise, spacing=spacing) for noise in (0, 1))
        inside = _organ(plain, "liver")
        apart = (noisy["scans"]["ct"].astype(float) - plain["scans"]["ct"])[inside]
        assert apart.std() == pytest.approx(11.0 * (3 / spacing) ** 1.5, rel=0.5)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bodies") / "c"
    simulate_bodies(folder, subjects=3, seed=2, sites={"A": 0.5, "B": 0.5}, **COARSE)
    return folder


def test_the_cohort_holds_scan_masks_labels_and_names_of_structures(made):
    cohort = Cohort.open(made)
    assert cohort.names("label") == list(FINDINGS)
    assert cohort.patients == [f"seed2-sub-{n:06d}" for n in range(3)]
    assert {verdict.status for verdict in check_cohort(cohort)} == {"ok"}
    names = [one.name for one in structures_of(cohort)]
    assert names == [*ORGANS, *LESIONS]
    truth = json.loads((made / "truth.json").read_text())
    for study in cohort:
        told = truth["subjects"][study.id]
        assert study.labels == told["labels"]
        assert study.table == {"site": told["site"], "contrast": told["contrast"]}
        subject = simulate_body(2, told["index"], BodiesSettings(sites={"A": 0.5, "B": 0.5}, **COARSE))
        np.testing.assert_array_equal(np.asarray(study.scans["ct"].data), subject["scans"]["ct"])


def test_workers_and_number_change_nothing(made, tmp_path):
    simulate_bodies(tmp_path / "c", subjects=2, seed=2, workers=2, sites={"A": 0.5, "B": 0.5}, **COARSE)
    for path in (tmp_path / "c" / "studies").rglob("*.*"):
        assert path.read_bytes() == (made / "studies" / path.relative_to(tmp_path / "c" / "studies")).read_bytes()


def test_the_command_takes_words_and_refuses_what_is_not_there(tmp_path, capsys):
    words = "--findings nodule effusion --prevalence nodule=0.9 --sites A=0.25 C=0.75 --spacing 8"
    command = ["simulate", "bodies", "--subjects", "2", "--out", str(tmp_path / "c"), *words.split()]
    assert main(command) == 0
    assert "ct 2" in capsys.readouterr().out
    settings = json.loads((tmp_path / "c" / "truth.json").read_text())["settings"]
    assert settings["prevalence"] == {"effusion": 0.3, "nodule": 0.9}
    assert settings["sites"] == {"A": 0.25, "C": 0.75}
    wrong = ["simulate", "bodies", "--subjects", "2", "--out", str(tmp_path / "d"), "--findings", "fracture"]
    assert main(wrong) == USAGE
    assert "findings" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"prevalence": {"nodule": 0.5}, "findings": ("effusion",)}, "nodule"),
        ({"sites": {"A": 0.5}}, "sites"),
        ({"sites": ("A=0.5", "A=0.5")}, "twice"),
        ({"spacing": 0.5}, "spacing"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, settings, names):
    with pytest.raises(ScanweaveError, match=names):
        simulate_bodies(tmp_path / "c", subjects=1, seed=0, **settings)
