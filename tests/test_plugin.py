"""A system that a stranger wrote, in a package of its own: found, whole, short, and not copied from ours.

`tools/shared_lines.py` counts lines that two systems share.
"""

import json
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import scanweave as sw
from scanweave import framework
from scanweave.cli.main import USAGE, main
from scanweave.simulate.cohort import simulate_brain
from scanweave.studies.preparing.preparation import prepare
from scanweave.studies.splits import make_splits, write_splits
from scanweave.systems import registry

PLUGIN = Path(__file__).parent / "plugin"
PACKAGE = PLUGIN / "masked_autoencoder"
ROOT = Path(__file__).resolve().parents[1]
NAME = "masked-autoencoder"
MOST_LINES = 250
"""Lines of all files of a small system, blank ones and docstrings included."""
SMALL = {"width": 4, "crop": [16, 16, 16], "block": 4, "training": {"steps": 4, "validate_every": 2, "batch_size": 1}}


def offer(folder, *points):
    """Make a folder that offers entry points, as pip leaves one beside the packages that it installs."""
    about = folder / "strangers-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: strangers\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{registry.GROUP}]\n" + "\n".join(points) + "\n")
    return folder


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Install the package of the stranger, for this process too; yield its folder."""
    points = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]["entry-points"][registry.GROUP]
    folder = offer(tmp_path_factory.mktemp("site"), *(f"{name} = {place}" for name, place in points.items()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(folder), str(PLUGIN)])
        registry.systems.cache_clear()
        yield folder
    registry.systems.cache_clear()


@pytest.fixture(scope="module")
def brains(tmp_path_factory):
    folder = tmp_path_factory.mktemp("brains") / "c"
    cohort = simulate_brain(folder, subjects=6, seed=0, spacing=8.0, sequences=("t1", "flair"))
    write_splits(folder, make_splits(cohort.patients, 3, seed=1))
    return sw.Cohort.open(folder)


@pytest.fixture(scope="module")
def fitted(installed, brains, tmp_path_factory):
    return sw.fit(NAME, brains, tmp_path_factory.mktemp("runs") / "r", config=SMALL, say=str)


def command(*words, paths):
    """Run the program in a process of its own in which these folders are on the path."""
    there = os.pathsep.join(map(str, [ROOT / "src", *paths]))
    return subprocess.run(
        [sys.executable, "-m", "scanweave", *map(str, words)],
        env={**os.environ, "PYTHONPATH": there, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )


def test_program_finds_it(installed):
    listed = command("systems", "--json", paths=[installed, PLUGIN])
    found = {entry["name"]: entry for entry in json.loads(listed.stdout)}
    assert found[NAME]["package"] == "masked_autoencoder"
    assert set(registry.OURS) < set(found)


def test_program_fits_it_and_tells_its_settings(installed, brains, tmp_path, capsys):
    (tmp_path / "small.toml").write_text("crop = [16, 16, 16]\n[training]\nbatch_size = 1\n")
    settings = ["--config", str(tmp_path / "small.toml"), "--width", "4", "--training.steps", "1"]
    assert main(["fit", NAME, "--cohort", str(brains.folder), "--run", str(tmp_path / "r"), *settings]) == 0
    assert sw.open_run(tmp_path / "r").config.width == 4
    assert main(["fit", NAME, "--help"]) == 0
    assert "Edge of a hidden block [voxels]" in capsys.readouterr().out


def test_it_keeps_the_promises_of_every_system(installed, brains, tmp_path):
    settings = {**SMALL, "training": {**SMALL["training"], "log_every": 1}}
    assert len(sw.check_system(NAME, brains, tmp_path, settings)) >= 9


def test_prediction_fills_hidden_blocks_on_the_native_grid(fitted, brains, tmp_path):
    tested = brains.part("test")
    done = sw.predict(fitted, tested, tmp_path / "out", targets=["t1_filled"], say=str)
    assert (done.made, done.failed) == ({"scan": len(tested)}, {})
    made = sw.Cohort.open(tmp_path / "out")
    for name in tested.studies:
        (scan,) = made[name].scans.values()
        assert scan.path.name == f"{name}_t1_filled_synthetic.nii.gz"
        assert np.allclose(scan.geometry.affine, tested[name]["t1"].geometry.affine)
        assert scan.data.shape == tested[name]["t1"].data.shape
        assert np.isfinite(scan.data).all()


def test_filled_voxels_do_not_know_what_stood_there(fitted, brains):
    study = prepare(brains[brains.part("test").studies[0]], fitted.plan)
    made, whole, hidden = fitted.filled(study, "t1")
    other = replace(study, volumes={"t1": np.where(hidden, 1, whole).astype(np.float32)})
    again, _, same = fitted.filled(other, "t1")
    assert 0 < hidden.mean() < 1
    assert np.array_equal(hidden, same)
    assert np.array_equal(made[hidden], again[hidden])
    assert not np.array_equal(made[hidden], whole[hidden])
    assert np.allclose(made[~hidden], whole[~hidden], atol=1e-5)


def test_scan_that_is_not_there_is_refused(fitted, brains):
    study = brains[brains.studies[0]].only(["flair"])
    with pytest.raises(sw.ScanweaveError, match="lacks a scan to fill"):
        fitted.predict(study, ["t1_filled"])
    assert set(fitted.predict(study).scans) == {"flair_filled"}


def test_evaluation_and_report_show_it_beside_a_control(fitted, brains):
    table = fitted.evaluate(brains, say=str)
    assert set(zip(table["scan"], table["method"], strict=True)) == {
        (scan, method) for scan in ("t1", "flair") for method in ("network", "blur")
    }
    page = fitted.report().read_text(encoding="utf-8")
    assert "In hidden blocks; the blur is the mean of what surrounds them." in page
    assert page.count("data:image/png;base64,") == 1


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ("lost = no_such_package:ENTRY", "cannot be loaded"),
        ("lost = masked_autoencoder:NO_SUCH_NAME", "cannot be loaded"),
        ("lost = broken_plugin:ENTRY", "cannot be loaded"),
        ("wrong = masked_autoencoder.config:PRESETS", "names no scanweave.systems.registry.Entry"),
        ("taken = taken_plugin:ENTRY", "takes the name 'ultra' of another system"),
    ],
)
def test_broken_entry_point_is_one_line(tmp_path, point, reason):
    folder = offer(tmp_path, point)
    (folder / "broken_plugin.py").write_text("from scanweave.systems.registry import Entry\nENTRY = Entry(name='x')\n")
    (folder / "taken_plugin.py").write_text("from scanweave.systems.registry import OURS\nENTRY = OURS['ultra']\n")
    done = command("systems", paths=[folder, PLUGIN])
    assert done.returncode == USAGE
    assert done.stdout == ""
    assert done.stderr.startswith("error: entry point ")
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_small_system_takes_few_lines():
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py")) <= MOST_LINES


def test_tutorial_shows_its_lines():
    page = (ROOT / "docs" / "tutorials" / "own-system.md").read_text(encoding="utf-8")
    files = [
        path.read_text(encoding="utf-8").splitlines() for path in [*PACKAGE.glob("*.py"), PLUGIN / "pyproject.toml"]
    ]
    shown = re.findall(r"^```(?:python|toml)\n(.*?)\n```", page, re.MULTILINE | re.DOTALL)
    excerpts = [code for code in shown if not code.startswith("import scanweave as sw")]
    assert len(excerpts) >= 8
    assert [code for code in excerpts if not any(stands_in(code, lines) for lines in files)] == []


def stands_in(code, lines):
    """Tell whether an excerpt is a run of lines, whatever their indentation."""
    count = code.count("\n") + 1
    return any(textwrap.dedent("\n".join(lines[k : k + count])) == code for k in range(len(lines) - count + 1))


def test_excerpt_that_changed_is_found():
    assert stands_in("b = 1\n  c", ["a", "  b = 1", "    c"])
    assert not stands_in("b = 2", ["a", "  b = 1"])


def test_frame_offers_what_it_names():
    found = {name: getattr(framework, name) for name in framework.__all__}
    assert all(getattr(found[name], "__module__", "").startswith("scanweave.framework.") for name in found)
    with pytest.raises(AttributeError, match="no_such_name"):
        framework.no_such_name  # noqa: B018
