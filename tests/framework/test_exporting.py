"""Networks in files: the same answers as the run, without torch; what they cost; what cannot be done in one line."""

import json
import shutil
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
import torch

import scanweave as sw
from scanweave import api
from scanweave.cli.main import main
from scanweave.devices import measure_device, table_of
from scanweave.errors import ScanweaveError
from scanweave.exported_models import open_model
from scanweave.exporting import export
from scanweave.framework.exporting.graph import Graph
from scanweave.framework.exporting.model_file import KEY, About, ModelFile, is_model_file
from scanweave.framework.exporting.windows import blended, mirrored
from scanweave.framework.predicting import known_scans
from scanweave.studies.preparing.preparation import prepare
from scanweave.studies.splits import make_splits, write_splits

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
FEW = {"steps": 4, "warm_up": 0, "validate_every": 2, "batch_size": 4, "log_every": 1, "device": "cpu", "workers": 0}
quiet = {"say": lambda line: None}


@pytest.fixture(scope="module")
def model(run, tmp_path_factory):
    return export(run, tmp_path_factory.mktemp("model") / "model.onnx", **quiet).path


@pytest.fixture(scope="module")
def livers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("livers") / "c"
    return sw.simulate_tumours(folder, subjects=6, seed=0, spacing=8.0, tumours=1.0, diameter=(20.0, 40.0))


@pytest.fixture(scope="module")
def outlined(livers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("outlined") / "run"
    config = {
        "mask": ["tumours"],
        "network": {"first_channels": 4, "patch": [16, 16, 16]},
        "training": {k: v for k, v in FEW.items() if k != "batch_size"},
    }
    api.fit("segment", livers, folder, config=config, say=str)
    return folder


def test_a_film_gets_the_answers_of_the_run(films, run, model):
    known, file = api.open_run(run), open_model(model)
    for study in list(films)[:6]:
        np.testing.assert_allclose(file.probabilities(study), known.probabilities(study), atol=2e-6)
        assert file.predict(study).labels == known.predict(study).labels
        assert file.predict(study).table == pytest.approx(known.predict(study).table, abs=2e-6)


def test_a_folder_of_predictions_is_that_of_the_run(films, run, model, tmp_path):
    done = api.predict(model, films, tmp_path / "file", note=str)
    api.predict(run, films, tmp_path / "run", note=str)
    assert done.failed == {}
    assert main(["predict", str(model), "--cohort", str(films.folder), "--out", str(tmp_path / "cli")]) == 0
    tables = [(tmp_path / name / "predictions.csv").read_text().splitlines() for name in ("file", "run", "cli")]
    assert tables[0] == tables[2]
    assert [line.split(",")[:3] for line in tables[0]] == [line.split(",")[:3] for line in tables[1]]


WITHOUT = """
import sys
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "monai"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Gone())
from scanweave.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_file_predicts_without_torch(films, model, tmp_path):
    words = ["predict", str(model), "--cohort", str(films.folder), "--out", str(tmp_path / "o")]
    done = subprocess.run([sys.executable, "-c", WITHOUT, *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "wrote 18 labels" in done.stdout


def test_masks_of_a_file_are_those_of_the_run(livers, outlined, tmp_path):
    made = export(outlined, tmp_path / "liver.onnx", **quiet)
    assert made.difference < 1e-5
    known, file = api.open_run(outlined), open_model(made.path)
    assert file.structures == known.structures
    study = next(iter(livers))
    shares, _ = known.segmented(study)
    assert shares.shape[1] > 16  # several windows lie over it
    found = file.shares(dict(prepare(known_scans(study, file.scans), file.plan).volumes))
    np.testing.assert_allclose(found, shares, atol=1e-5)
    for name, mask in file.predict(study).masks.items():
        theirs = known.predict(study).masks[name]
        assert (mask.data != theirs.data).mean() < 1e-4
        assert mask.geometry.matches(theirs.geometry)


@pytest.mark.parametrize(
    ("shape", "window"), [((20, 33), (16, 12)), ((5, 40, 17), (8, 16, 16)), ((8, 8, 8), (8, 8, 8))]
)
def test_windows_lie_and_blend_as_monai_lays_them(shape, window):
    from monai.inferers import sliding_window_inference

    image = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
    weights = torch.randn(3, 2)

    def network(x):
        ramp = torch.linspace(0, 1, x.shape[-1])
        return torch.einsum("kc,bc...->bk...", weights, x) * ramp

    theirs = sliding_window_inference(torch.from_numpy(image)[None], window, 3, network, overlap=0.4, mode="gaussian")
    ours = blended(image, window, 0.4, 3, lambda x: network(torch.from_numpy(x)).numpy())
    np.testing.assert_allclose(ours, theirs[0].numpy(), atol=2e-6)


def test_mirrored_views_are_averaged_where_they_lie():
    image = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    made = mirrored(image, (0, 1), lambda x: x * np.arange(4, dtype=np.float32))
    np.testing.assert_allclose(made, image * 1.5)


def test_an_absent_view_changes_no_bit_of_a_file(tmp_path):
    folder, rng = tmp_path, np.random.default_rng(0)
    views = {"frontal": rng.random((8, 40, 32)), "lateral": rng.random((8, 24, 36))}
    rows = []
    for number in range(8):
        row = {"study": f"S{number}", "patient": f"P{number}", "label:ill": number % 2}
        for name, all_of in views.items():
            path = folder / f"{name}{number}.nii.gz"
            nib.save(nib.Nifti1Image(all_of[number][..., None].astype(np.float32), np.eye(4)), path)
            row[f"scan:{name}"] = path.name
        rows.append(row)
    cohort = sw.Cohort.create(folder / "c", rows, root=folder, name="views", source="test", layout="table")
    write_splits(cohort.folder, make_splits(cohort.patients, 4, seed=1))
    config = {"network": {"encoder": "resnet10", "scans_as": "views"}, "training": FEW, "preparation.grid": "own"}
    api.fit("classify", cohort, folder / "run", config=config, say=str)
    file = open_model(export(folder / "run", folder / "two.onnx", **quiet).path)
    known, study = api.open_run(folder / "run"), next(iter(cohort))
    np.testing.assert_allclose(file.probabilities(study), known.probabilities(study), atol=2e-6)
    alone = study.without("lateral")
    np.testing.assert_allclose(file.probabilities(alone), known.probabilities(alone), atol=2e-6)
    feeds = {"present": np.array([True, False]), "frontal": np.ones((40, 32, 1), np.float32)}
    made = [
        file.file.computed({**feeds, "lateral": np.full((9, 9, 1), value, np.float32)})[0] for value in (0, 1e6, np.nan)
    ]
    assert (made[0] == made[1]).all()
    assert (made[0] == made[2]).all()


def test_int8_is_small_and_told(run, model, tmp_path):
    lines = []
    made = export(run, tmp_path / "small.onnx", int8=True, say=lines.append)
    assert made.path.stat().st_size < 0.35 * model.stat().st_size
    assert open_model(made.path).about.precision == "int8"
    assert "in fp32 by at most" in lines[-1]
    assert 0 < made.difference < 0.2


def test_what_a_file_says_of_itself_names_no_patient_and_no_place(films, model, run):
    text = ModelFile(model).session.get_modelmeta().custom_metadata_map[KEY]
    for name in (*films.studies, *films.patients):
        assert f'"{name}"' not in text
    assert str(run.parent) not in text
    assert str(films.folder) not in text
    assert About.model_validate_json(text).targets == ("class",) or "label" in text


def test_figures_of_files_side_by_side(model, tmp_path, capsys):
    other = tmp_path / "again.onnx"
    other.write_bytes(model.read_bytes())
    found = measure_device([model, other], threads=(1,), passes=2, rounds=2, json=tmp_path / "figures.json")
    assert [one.file for one in found] == [model.name, other.name]
    assert all(one.size > 0 and one.memory > 1 and 0 < one.median <= one.p95 for one in found)
    assert found[0].times == 1
    assert found[1].low <= found[1].high
    assert len(json.loads((tmp_path / "figures.json").read_text())) == 2
    assert table_of(found)[0].startswith("file")
    assert main(["device", str(model), "--passes", "1", "--rounds", "1"]) == 0
    assert model.name in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"out": "model.bin"}, "ends with neither .onnx nor .pte"),
        ({"opset": 9}, "18 to 23"),
        ({"studies": 0}, "too few"),
    ],
)
def test_wrong_wishes_of_an_export(run, tmp_path, change, words):
    out = tmp_path / change.pop("out", "model.onnx")
    with pytest.raises(ScanweaveError, match=words):
        export(run, out, **change, **quiet)
    assert list(tmp_path.iterdir()) == []


def test_a_program_for_phones_computes_what_the_run_does(run, tmp_path, capsys):
    pytest.importorskip("executorch.runtime")
    from scanweave.framework.exporting.executorch_writing import ProgramFile

    made = export(run, tmp_path / "model.pte", studies=4, **quiet)
    assert made.studies >= 1
    assert made.difference < 1e-4
    program = ProgramFile(made.path, ())
    assert program.about.system == "classify"
    assert str(run.parent).encode() not in made.path.read_bytes()
    with pytest.raises(ScanweaveError, match="int8"):
        export(run, tmp_path / "small.pte", int8=True, **quiet)
    assert main(["export", str(run), "--out", str(tmp_path / "again.pte")]) == 0
    assert "ExecuTorch" in capsys.readouterr().out


def test_a_program_for_phones_names_the_group_that_it_needs(run, tmp_path, monkeypatch):
    for name in ["executorch", *(one for one in sys.modules if one.startswith("executorch."))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ScanweaveError, match=r"scanweave\[mobile\]"):
        export(run, tmp_path / "model.pte", **quiet)
    assert list(tmp_path.iterdir()) == []


def test_a_system_that_cannot_be_exported_names_those_that_can(run, tmp_path):
    record = json.loads((run / "run.json").read_text())
    other = tmp_path / "run"
    shutil.copytree(run, other)
    (other / "run.json").write_text(json.dumps(record | {"system": "acid"}))
    with pytest.raises(ScanweaveError, match=r"networks of acid cannot be exported.*seq2seq"):
        export(other, tmp_path / "model.onnx", **quiet)


def test_int8_needs_studies(run, films, tmp_path):
    other = tmp_path / "run"
    shutil.copytree(run, other)
    record = json.loads((other / "run.json").read_text())
    record["cohort"]["path"] = str(tmp_path / "gone")
    (other / "run.json").write_text(json.dumps(record))
    with pytest.raises(ScanweaveError, match="the cohort of the run is gone"):
        export(other, tmp_path / "model.onnx", int8=True, **quiet)
    lines = []
    made = export(other, tmp_path / "model.onnx", say=lines.append)
    assert made.studies == 0
    assert "not compared" in lines[0]
    assert export(other, tmp_path / "named.onnx", cohort=films.folder, studies=3, **quiet).studies == 3


def test_damaged_and_foreign_files_in_one_line(films, model, tmp_path, capsys):
    import onnx

    damaged, foreign, odd = (tmp_path / f"{name}.onnx" for name in ("damaged", "foreign", "odd"))
    damaged.write_bytes(model.read_bytes()[:5000])
    whole = onnx.load(model)
    del whole.metadata_props[:]
    onnx.save(whole, foreign)
    whole.metadata_props.add(key=KEY, value='{"version": 3}')
    onnx.save(whole, odd)
    for path, words in (
        (damaged, "no network that onnxruntime can load"),
        (foreign, "was not written by scanweave"),
        (odd, "description is damaged"),
        (tmp_path / "absent.onnx", "no such file"),
    ):
        assert main(["predict", str(path), "--cohort", str(films.folder), "--out", str(tmp_path / "o")]) == 2
        assert words in capsys.readouterr().err
        assert not (tmp_path / "o").exists()
    assert main(["device", str(foreign)]) == 2
    assert "no known size" in capsys.readouterr().err


def test_what_only_a_run_knows_is_refused_of_a_file(films, model, tmp_path):
    for option in ({"part": "test"}, {"checkpoint": "best"}, {"device": "cuda"}):
        with pytest.raises(ScanweaveError, match="an exported file"):
            api.predict(model, films, tmp_path / "o", **option)
    assert is_model_file("x.onnx")
    assert not is_model_file(tmp_path)


def test_a_graph_that_differs_from_its_run_is_not_written(run, tmp_path, monkeypatch):
    computed = Graph.computed
    monkeypatch.setattr(Graph, "computed", lambda self, feeds: [one + 0.1 for one in computed(self, feeds)])
    with pytest.raises(ScanweaveError, match="differs from the run"):
        export(run, tmp_path / "model.onnx", **quiet)
    monkeypatch.setattr(Graph, "computed", lambda self, feeds: [one * np.nan for one in computed(self, feeds)])
    with pytest.raises(ScanweaveError, match="differs from the run"):
        export(run, tmp_path / "model.onnx", **quiet)
    assert list(tmp_path.iterdir()) == []


def test_a_file_holds_no_folder_of_this_machine(model):
    content = model.read_bytes()
    for word in (b"site-packages", b"scanweave/", b".venv", str(model.parent).encode()):
        assert word not in content
