"""The program before it does anything: help, lists, statuses, and mistakes in one line."""

import json
import os
import subprocess
import sys

import pytest

from scanweave.cli import main as program
from scanweave.cli.main import HOMES, VERBS, main

SLOW = {"accelerate", "matplotlib", "monai", "nibabel", "numpy", "pandas", "pyarrow", "scipy", "sklearn", "torch"}


def _loaded_by(*arguments):
    code = f"import sys; from scanweave.cli.main import main; main({list(arguments)!r}); print(*sys.modules)"
    output = subprocess.check_output([sys.executable, "-c", code], text=True)
    return set(output.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["systems"], ["systems", "--json"], ["simulate"]])
def test_light_commands_load_nothing_slow(arguments):
    assert _loaded_by(*arguments) & SLOW == set()


def test_help_names_every_verb(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {verb} " in out for verb in VERBS)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ("audit", "cohort", "simulate", "fit")])
def test_every_verb_explains_its_options(verb, capsys):
    try:
        status = main([verb, "--help"])
    except SystemExit as stop:
        status = stop.code
    assert status == 0
    assert f"scanweave {verb}" in capsys.readouterr().out


def test_help_of_fit_shows_the_settings_of_the_system(capsys):
    assert main(["fit", "seq2seq", "--help"]) == 0
    out = capsys.readouterr().out
    assert "--preset" in out
    assert "--training.steps INT" in out
    assert "seq2seq: small or paper or best, default small" in " ".join(out.replace("│", " ").split())
    assert out.count("usage:") == 1
    assert "{None}" not in out


def test_a_terminal_that_knows_ascii_alone_gets_its_help():
    code = "from scanweave.cli.main import main; main(['predict', '--help'])"
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "60"}
    assert "usage" in subprocess.check_output([sys.executable, "-c", code], text=True, env=env)


def test_systems_as_json(capsys):
    assert main(["systems", "--json"]) == 0
    (entry,) = [entry for entry in json.loads(capsys.readouterr().out) if entry["name"] == "seq2seq"]
    assert entry["arxiv"] == "2302.00517"
    assert entry["presets"][0] == "small"


FIT = ["fit", "seq2seq", "--cohort", "source", "--run", "run"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fitt"], "there is no verb 'fitt'. Did you mean fit?"),
        (["evalute", "r"], "there is no verb 'evalute'. Did you mean evaluate?"),
        (["zzz"], "there is no verb 'zzz'. Choose one of cohort, simulate, fit,"),
        (["cohort", "splitt"], "scanweave cohort: there is no 'splitt'. Did you mean split?"),
        (
            ["cohort", "zzz"],
            "scanweave cohort: there is no 'zzz'. Choose one of import, check, split, show, prepare, restore.",
        ),
        (["simulate", "brian"], "scanweave simulate: there is no 'brian'. Did you mean brain?"),
        (["fit", "seq2sq", *FIT[2:]], "system: there is no system 'seq2sq'. Did you mean seq2seq?"),
        (["fit", "seq2seq", "--cohort", "c"], "scanweave fit: needs --run. See scanweave fit --help."),
        (
            ["fit", "seq2seq", "c", "--run", "r"],
            "scanweave fit: needs --cohort, and 'c' belongs to no option. See scanweave fit --help.",
        ),
        (["fit", "seq2seq", "--cohrt", "c", "--run", "r"], "there is no option --cohrt. Did you mean --cohort."),
        ([*FIT, "--steps", "70"], "steps: there is no such setting. Did you mean training.steps?"),
        (["predict"], "scanweave predict: needs RUN and --out. See scanweave predict --help."),
        (["predict", "r", "--cohort", "c", "--ot", "o"], "predict: there is no option --ot. Did you mean --out."),
        (["predict", "r", "--cohort", "c", "--out", "o", "--part", "x"], "one of ('train', 'validation', 'test')."),
        (["cohort", "import", "--out", "o"], "SRC: no folder or table is named."),
        ([*FIT, "--fold", "x"], "scanweave fit: Error parsing --fold"),
        ([*FIT, "--training.stepz", "3"], "training.stepz: there is no such setting. Did you mean training.steps"),
        ([*FIT, "--training.steps", "-3"], "training.steps: Input should be greater than 0, not -3"),
        ([*FIT, "--training.steps"], "--training.steps: has no value"),
        ([*FIT, "stray"], "stray: is not an option"),
        ([*FIT, "--training.momentum", "0.5"], "training.momentum: has no effect with training.optimizer adam."),
        (
            ["fit", "adamedgraph", *FIT[2:], "--device", "cpu"],
            "--device: has no effect: adamedgraph computes on the CPU",
        ),
        (
            ["cohort", "split", "source", "--leave-one-out", "--folds", "3"],
            "--folds: has no effect with --leave-one-out",
        ),
        (
            ["simulate", "brain", "--subjects", "1", "--missing", "0.2", "--out", "o"],
            "missing: has no effect with protocol",
        ),
        (
            ["simulate", "brain", "--subjects", "1", "--keep-removed", "--out", "o"],
            "keep_removed: has no effect: no scan",
        ),
        (
            ["cohort", "import", "table.csv", "--sheet", "one", "--out", "o"],
            "--sheet: has no effect: table.csv is no Excel",
        ),
        (
            ["cohort", "import", "table.csv", "--columns", "age=number dmy", "--out", "o"],
            "--columns: 'age': dmy has no effect, since it holds no dates.",
        ),
        (
            ["cohort", "import", "table.csv", "--columns", "sex=category decimal:comma", "--out", "o"],
            "--columns: 'sex': decimal: has no effect, since it holds no numbers.",
        ),
        (
            ["cohort", "import", "table.csv", "--columns", "age=- missing:9", "--out", "o"],
            "--columns: 'age': what is said beside it has no effect, since the column is left out.",
        ),
        (
            ["cohort", "import", "images.csv", "--columns", "grade=label number", "--out", "o"],
            "--columns: of 'grade' only its role can be said in a table of images.",
        ),
        ([*FIT, "--preset", "large"], "preset: seq2seq has no preset 'large'. Choose one of small, paper, best."),
        ([*FIT, "--config", "absent.toml"], "absent.toml: cannot be read (No such file or directory)."),
        ([*FIT, "--config", "broken.toml"], "broken.toml: not valid TOML"),
        ([*FIT, "--config", "unknown.toml"], "unknown.toml: training.stepss: there is no such setting. Did you mean"),
        (FIT, "source: not a cohort: cohort.json is absent."),
        (["predict", "source", "--cohort", "source", "--out", "o"], "source: is not a run folder"),
        (["predict", "nowhere", "--cohort", "c", "--ou", "o"], "scanweave predict:"),
        (["report", "source"], "source: is not a run folder"),
        (["simulate", "brain", "--subjects", "0", "--out", "o"], "subjects: 0 is too small"),
        (["simulate", "brain", "--subjects", "1", "--spacing", "99", "--out", "o"], "spacing: Input should be less"),
        (["import-weights", "seq2seq", "absent.pth", "--out", "o"], "absent.pth: no such file"),
        (["import-weights", "mome", "absent.pth", "--out", "o.safetensors"], "absent.pth: no such file"),
        (["import-weights", "mome", "absent.pth", "--out", "o"], "o: is no .safetensors file"),
        (["demo", "--out", "."], ".: is not empty and holds no demo."),
        (["demo", "--out", "afile"], "afile: is not empty and holds no demo."),
        (["demo", "--out", "afile/x"], "afile/x: cannot be written (Not a directory). Make room, or choose a folder"),
        (["simulate", "brain", "--subjects", "1", "--out", "afile"], "afile: is not empty and not a simulated cohort"),
        (["simulate", "brain", "--subjects", "1", "--out", "afile/x"], "afile/x: cannot be written (Not a directory)"),
        (["cohort", "import", "source", "--out", "afile"], "afile: cannot be written (File exists)."),
        (["cohort", "import", "source", "--out", "afile/x"], "afile/x: cannot be written (Not a directory)."),
    ],
)
def test_mistake_is_one_line_and_status_2(arguments, words, tmp_path, monkeypatch, capsys):
    (tmp_path / "broken.toml").write_text("training = [")
    (tmp_path / "unknown.toml").write_text("[training]\nstepss = 4\n")
    (tmp_path / "afile").write_text("mine")
    (tmp_path / "table.csv").write_text("id,age,sex\na,41,f\nb,52,m\nc,63,f\n")
    (tmp_path / "images.csv").write_text("study,t1,grade\ns1,source/P01/t1.nii.gz,2\n")
    (tmp_path / "source" / "P01").mkdir(parents=True)
    for name in ("t1", "t2"):
        (tmp_path / "source" / "P01" / f"{name}.nii.gz").touch()
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.startswith("error: ")
    assert words in told
    assert sorted(tmp_path.rglob("*")) == before


ABSENT = [
    (["fit", "seq2seq", "--cohort", "cohorts/gliona", "--run", "r"], "cohorts/gliona: {}Did you mean cohorts/glioma?"),
    (["fit", "seq2seq", "--cohort", "cohort/glioma", "--run", "r"], "cohort/glioma: {}Did you mean cohorts/glioma?"),
    (["fit", "seq2seq", "--cohort", "zzz", "--run", "r"], "zzz: {}Check the path."),
    (["fit", "seq2seq", "--cohort", "afile", "--run", "r"], "afile: is a file, not a folder. Check the path."),
    *((["cohort", verb, "cohorts/gliomas"], "gliomas: {}Did you mean") for verb in ("check", "split", "show")),
    (["cohort", "prepare", "cohorts/gliomas", "--out", "o"], "gliomas: {}Did you mean"),
    (["cohort", "restore", "cohorts/gliomas", "--prepared", "b", "--out", "o"], "gliomas: {}Did you mean"),
    *(([verb, "runs/gliona", "--cohort", "cohorts/glioma"], "{}Did you mean runs/glioma?") for verb in HOMES),
    (["evaluate", "runs/glioma", "--cohort", "cohorts/gliomas"], "{}Did you mean cohorts/glioma?"),
    (["predict", "runs/gliona", "--cohort", "c", "--out", "o"], "{}Did you mean runs/glioma?"),
    (["audit", "stability", "runs/gliona", "--cohort", "c"], "{}Did you mean runs/glioma?"),
    (["report", "runs/gliona"], "{}Did you mean runs/glioma?"),
    (["cohort", "import", "t.csv", "--features", "runs/gliona", "--out", "o"], "{}Did you mean runs/glioma?"),
    (["cohort", "import", "t.csv", "--like", "cohorts/gliona", "--out", "o"], "cohorts/gliona: {}Check the path."),
]


def test_a_folder_that_is_not_there_is_named_before_anything_slow_is_loaded(tmp_path):
    (tmp_path / "cohorts" / "glioma").mkdir(parents=True)
    (tmp_path / "cohorts" / "glioma" / "cohort.json").touch()
    (tmp_path / "cohorts" / "gliona-images").mkdir()
    (tmp_path / "runs" / "glioma").mkdir(parents=True)
    (tmp_path / "runs" / "glioma" / "config.json").touch()
    (tmp_path / "afile").touch()
    code = (
        "import json, sys; from scanweave.cli.main import main\n"
        "print([main(one) for one in json.loads(sys.argv[1])]); print(*sys.modules)"
    )
    words = [sys.executable, "-c", code, json.dumps([arguments for arguments, _ in ABSENT])]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    statuses, loaded = done.stdout.splitlines()
    assert json.loads(statuses) == [2] * len(ABSENT)
    assert {*loaded.split()} & SLOW == set()
    for line, (_, told) in zip(done.stderr.splitlines(), ABSENT, strict=True):
        assert told.format("there is no such folder. ") in line


@pytest.mark.parametrize(("system", "device"), [("classify", "auto"), ("adamedgraph", "cpu")])
def test_a_fit_says_what_starts_before_anything_slow_is_loaded(system, device, tmp_path, monkeypatch, capsys):
    def loaded(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("scanweave.studies.cohort.Cohort.open", loaded)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films").mkdir()
    main(["fit", system, "--cohort", "films", "--run", "runs/films"])
    assert capsys.readouterr().out.splitlines()[0] == f"fit {system}: cohort films · run runs/films · device {device}"
    assert main(["fit", "classify", "--cohort", "films", "--run", "r", "--training.device", "cpu"]) == 130
    assert capsys.readouterr().out.splitlines()[0].endswith("device cpu")


def test_interrupt_is_one_line_and_status_130(monkeypatch, capsys):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "run_command", interrupted)
    assert main(["systems"]) == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch):
    def broken(arguments):
        raise ZeroDivisionError

    monkeypatch.setattr(program, "run_command", broken)
    with pytest.raises(ZeroDivisionError):
        main(["systems"])
