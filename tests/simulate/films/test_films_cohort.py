"""A cohort of simulated films: files, resumption, words of the command, real backgrounds, errors in one line."""

import json

import numpy as np
import pytest
from PIL import Image

from scanweave.cli.main import USAGE, main
from scanweave.errors import ScanweaveError
from scanweave.simulate.films import cohort as module
from scanweave.simulate.films import simulate_film, simulate_films
from scanweave.simulate.films.backgrounds import find_lungs, list_backgrounds, read_background
from scanweave.simulate.films.settings import FINDINGS, FilmSettings
from scanweave.studies.checks.cohort_check import check_cohort
from scanweave.studies.cohort import Cohort

QUICK = {"seed": 3, "size": 128, "annotated": 0.6, "sites": {"A": 0.5, "B": 0.5}}


def _bytes(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films") / "c"
    simulate_films(folder, subjects=12, **QUICK)
    return folder


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A folder of five films of which a lateral one has no two lungs."""
    folder = tmp_path_factory.mktemp("real")
    for index in range(4):
        pixels = simulate_film(90, index, FilmSettings(prevalence=0.0, shortcuts="none")).pixels
        Image.fromarray((pixels[8:, 20:] / 256).astype(np.uint8)).save(folder / f"f{index}.png")
    ramp = np.tile(np.linspace(0, 255, 200).astype(np.uint8), (180, 1))
    Image.fromarray(ramp).save(folder / "a ramp.jpg")
    return folder


def test_studies_hold_films_labels_masks_and_boxes(made):
    cohort = Cohort.open(made)
    assert cohort.names("label") == list(FINDINGS)
    truth = json.loads((made / "truth.json").read_text())
    annotated = 0
    for index, study in enumerate(cohort):
        film = simulate_film(3, index, FilmSettings(**{name: QUICK[name] for name in ("size", "annotated", "sites")}))
        scan = study.scans["film"]
        np.testing.assert_array_equal(np.asarray(scan.data)[..., 0].T, film.pixels)
        assert scan.data.dtype == np.uint16
        assert study.labels == film.labels
        assert study.table == {"site": film.site, "view": film.truth["view"]}
        assert truth["subjects"][study.id]["boxes"] == film.truth["boxes"]
        annotated += film.annotated
        if not film.annotated:
            assert study.boxes is None
            assert not study.masks
            continue
        assert study.boxes.labels == film.boxes.labels
        np.testing.assert_array_equal(study.boxes.corners, film.boxes.corners)
        assert set(study.masks) == set(film.masks)
        for name, mask in film.masks.items():
            np.testing.assert_array_equal(np.asarray(study.masks[name].data)[..., 0].T, mask)
    assert 0 < annotated < 12


def test_a_film_without_anything_was_looked_at_and_is_sound(tmp_path):
    cohort = simulate_films(tmp_path / "c", subjects=2, seed=0, size=128, prevalence=0, rho=1.0, sites="A")
    empty = [study for study in cohort if not len(study.boxes)]
    assert empty
    assert empty[0].boxes.size == (128, 128)
    assert {verdict.status for verdict in check_cohort(cohort)} == {"ok"}


def test_workers_and_number_change_nothing(made, tmp_path):
    simulate_films(tmp_path / "c", subjects=2, **QUICK)
    simulate_films(tmp_path / "c", subjects=4, workers=2, **QUICK)
    whole = _bytes(made / "studies")
    part = _bytes(tmp_path / "c" / "studies")
    assert len({name.split("/")[0] for name in part}) == 4
    assert all(whole[name] == content for name, content in part.items())


def test_interrupted_cohort_is_taken_up(made, tmp_path, monkeypatch):
    asked, plain = [], simulate_film

    def failing(seed, index, settings):
        asked.append(index)
        if len(asked) == 6:
            raise KeyboardInterrupt
        return plain(seed, index, settings)

    monkeypatch.setattr(module, "simulate_film", failing)
    with pytest.raises(KeyboardInterrupt):
        simulate_films(tmp_path / "c", subjects=12, **QUICK)
    assert not (tmp_path / "c" / "cohort.json").exists()
    simulate_films(tmp_path / "c", subjects=12, **QUICK)
    assert asked == [0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10, 11]
    assert _bytes(tmp_path / "c") == _bytes(made)


def test_the_command_takes_words(tmp_path, capsys):
    words = (
        "--findings nodule effusion --prevalence nodule=0.9 --sites A=0.25 B=0.75 --shortcuts device=effusion --rho 0.9"
    )
    command = ["simulate", "films", "--subjects", "3", "--out", str(tmp_path / "c"), "--size", "128", *words.split()]
    assert main(command) == 0
    assert "film 3" in capsys.readouterr().out
    settings = json.loads((tmp_path / "c" / "truth.json").read_text())["settings"]
    assert settings["prevalence"] == {"nodule": 0.9, "effusion": 0.3}
    assert settings["shortcuts"] == {"device": "effusion"}
    assert settings["sites"] == {"A": 0.25, "B": 0.75}
    assert Cohort.open(tmp_path / "c").names("label") == ["nodule", "effusion"]


def test_nodules_and_marks_are_put_into_real_films(real, tmp_path, capsys):
    command = ["simulate", "films", "--subjects", "4", "--out", str(tmp_path / "c"), "--size", "160"]
    assert main([*command, "--backgrounds", str(real), "--prevalence", "0.6", "--rho", "0.1"]) == 0
    assert "left out: 1 background in which" in capsys.readouterr().out
    cohort = Cohort.open(tmp_path / "c")
    assert cohort.patients == ["f0", "f1", "f2", "f3"]
    assert cohort.names("label") == ["nodule"]
    truth = json.loads((tmp_path / "c" / "truth.json").read_text())
    assert truth["backgrounds"] == {"used": 4, "left_out": 1}
    assert {study.labels["nodule"] for study in cohort} == {0, 1}
    for study in cohort:
        shown = np.asarray(study.scans["film"].data)[..., 0].T
        plain = read_background(str(real / truth["subjects"][study.id]["background"]), 160)
        assert shown.shape == plain.shape == (160, 152)
        assert np.corrcoef(shown.ravel(), plain.ravel())[0, 1] > 0.8
        if study.labels["nodule"]:
            mask = np.asarray(study.masks["nodule"].data)[..., 0].T > 0
            assert find_lungs(plain).masks.any(axis=0)[mask].mean() > 0.7


def test_a_cohort_of_films_tells_patients(real, tmp_path):
    rows = [{"study": f"s{n}", "patient": f"p{n // 2}", "scan:film": str(real / f"f{n}.png")} for n in range(4)]
    Cohort.create(tmp_path / "films", rows, root=".", name="films", source="x", layout="table")
    assert [one.patient for one in list_backgrounds(tmp_path / "films")] == ["p0", "p0", "p1", "p1"]
    cohort = simulate_films(tmp_path / "c", subjects=4, seed=0, size=128, backgrounds=tmp_path / "films")
    assert cohort.patients == ["p0", "p1"]


def test_lungs_lie_where_they_were_drawn(real):
    lungs = find_lungs(read_background(str(real / "f0.png"), 256))
    columns = [np.flatnonzero(mask.any(axis=0)) for mask in lungs.masks]
    assert columns[0].max() < columns[1].min()
    assert lungs.levels[1] > lungs.levels[0] + 0.2
    assert find_lungs(read_background(str(real / "a ramp.jpg"), 256)) is None


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"subjects": 0}, "subjects: 0 is too small"),
        ({"seed": 5}, "another seed or other settings"),
        ({"rho": 0.7}, "another seed or other settings"),
        ({"rho": 1.5}, "rho: Input should be less than or equal to 1"),
        ({"size": 64}, "size: Input should be greater"),
        ({"findings": ("cough",)}, "findings.0: Input should be 'nodule'"),
        ({"prevalence": 2.0}, "prevalence"),
        ({"prevalence": "often"}, "prevalence"),
        ({"findings": ("nodule",), "prevalence": {"effusion": 0.5}}, "prevalence: effusion is none of the findings"),
        ({"findings": ("nodule",), "shortcuts": {"tube": "effusion"}}, "shortcuts: effusion is none of the findings"),
        ({"shortcuts": ("badge=nodule",)}, "shortcuts"),
        ({"shortcuts": "none", "rho": 0.9}, "rho has no effect without shortcuts"),
        ({"sites": "C"}, "sites"),
        ({"sites": ("A=0.5", "B=0.2")}, "sites: shares must sum to 1"),
        ({"backgrounds": "nowhere"}, "nowhere: no such folder"),
        ({"backgrounds": "nowhere", "findings": ("effusion",)}, "on backgrounds they are nodule alone"),
    ],
)
def test_bad_request_is_one_line_and_writes_nothing(made, wrong, reason):
    before = _bytes(made)
    with pytest.raises(ScanweaveError, match=reason) as caught:
        simulate_films(made, **({"subjects": 12} | QUICK | wrong))
    assert "\n" not in str(caught.value)
    assert _bytes(made) == before


def test_too_few_backgrounds_are_told(real, tmp_path, capsys):
    bare = tmp_path / "bare"
    bare.mkdir()
    told = {real: "in 4 of 5 films both lungs were found, and 5 are asked for", bare: "holds no films"}
    for folder, words in told.items():
        command = ["simulate", "films", "--subjects", "5", "--out", str(tmp_path / "c"), "--backgrounds", str(folder)]
        assert main(command) == USAGE
        assert words in capsys.readouterr().err
        assert not (tmp_path / "c").exists()
