"""Malformed settings, run folders, checkpoints and weights."""

from __future__ import annotations

import atexit
import hashlib
import json
import resource
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from fault import Fault, affine, texture
from safetensors.numpy import load_file, save_file

from scanweave import api, configuration
from scanweave.engine.checkpoint import Checkpoints, State, read_state, read_tensors
from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.framework.run_outputs import find_output
from scanweave.simulate import simulate_brain
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.preparing.plan import IntensityRule, Plan
from scanweave.studies.scan import Scan
from scanweave.studies.splits import make_splits, write_splits
from scanweave.studies.study import Study
from scanweave.systems.seq2seq.config import SMALL
from scanweave.systems.seq2seq.network import Seq2SeqNetwork
from scanweave.systems.seq2seq.system import Seq2Seq

SIZES = {"channels": (4, 6), "blocks": 1, "rank": 2}
NETWORK = SMALL.network.model_copy(update=SIZES)
CONFIG = SMALL.model_copy(update={"network": NETWORK})
SEQUENCES = ("t1", "t2")


@cache
def template() -> Path:
    """A valid finished run of a tiny network that never learnt anything, with a checkpoint."""
    folder = Path(tempfile.mkdtemp()) / "run"
    atexit.register(shutil.rmtree, folder.parent, ignore_errors=True)
    weights = {name: tensor.contiguous() for name, tensor in Seq2SeqNetwork(NETWORK).state_dict().items()}
    rule = IntensityRule(kind="magnitude", low=0.0, high=100.0)
    with Run.start(folder, "seq2seq", CONFIG.model_dump(mode="json")) as run:
        plan = Plan(settings=CONFIG.preparation, spacing=None, rules=dict.fromkeys(SEQUENCES, rule), reasons=[])
        plan.save(folder / "plan.json")
        save_file({name: tensor.numpy() for name, tensor in weights.items()}, run.weights)
        store = Checkpoints(run.checkpoints, lambda line: None)
        for step in (1, 2):
            store.save(State(step=step), {"network": weights})
        run.finish(step=2)
    return folder


def run_folder(folder: Path) -> Path:
    """A copy of the valid run."""
    return Path(shutil.copytree(template(), folder / "run"))


def use(folder: Path) -> str:
    """Open the run and predict."""
    system = api.open_run(folder / "run", "cpu", "predict")
    assert isinstance(system, Seq2Seq)
    system.predict(Study("s", "p", {"t1": Scan.of(texture(), affine())}))
    return "ok"


def resume(folder: Path) -> str:
    """Look for the checkpoint to continue from, as the engine does."""
    said: list[str] = []
    store = Checkpoints(folder / "run" / "checkpoints", said.append)
    path = store.newest_valid()
    store.tidy(path)
    if path is not None:
        assert read_state(path).step
        assert read_tensors(path)["network"]
    return "repair" if said else "ok"


def outputs(folder: Path) -> str:
    """Look for the newest evaluation, as the report does."""
    return "ok" if find_output(Run.open(folder / "run"), "evaluation") is None else "repair"


def metrics(folder: Path) -> str:
    """Read the learning curve, as the report does and a run that goes on."""
    return "ok" if Run.open(folder / "run").metrics() else "repair"


def go_on(folder: Path) -> str:
    """Start the run again with the images that it was made from."""
    (folder / "run" / "weights.safetensors").unlink()
    Run.start(folder / "run", "seq2seq", CONFIG.model_dump(mode="json"), inputs={"s": {"t1": [1, 2]}}).close()
    return "ok"


def write(folder: Path, name: str, limit: int | None = None) -> str:
    """Write as the verb of that name does, onto a disk that takes files of `limit` bytes."""
    out = folder / "out"
    rule = IntensityRule(kind="magnitude", low=0.0, high=100.0)
    rows = [{"study": "s", "patient": "p", "scan:t1": "t1.nii"}]
    writers: dict[str, Callable[[], object]] = {
        "import": lambda: Cohort.create(out, rows, root=".", name="c", source="s", layout="table"),
        "split": lambda: write_splits(out, make_splits(["a", "b", "c"], 3)),
        "plan": lambda: Plan(settings=CONFIG.preparation, spacing=None, rules={"t1": rule}, reasons=[]).save(out / "p"),
        "run": lambda: Run.start(out, "seq2seq", CONFIG.model_dump(mode="json")),
        "scan": lambda: write_scan(out / "t1.nii.gz", Scan.of(texture(), affine())),
        "checkpoint": lambda: Checkpoints(out, print).save(State(step=1), {}),
        "simulate": lambda: simulate_brain(out, subjects=1, seed=0),
        "predict": lambda: api.predict(
            folder / "run", Cohort(folder, {}, pd.DataFrame({"study": [], "patient": []})), out
        ),
    }
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (before[1] if limit is None else limit, before[1]))
    try:
        writers[name]()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    return "ok"


def configure(folder: Path) -> str:
    """Read settings as `scanweave fit --config` does."""
    configuration.configure("seq2seq", None, folder / "fit.toml")
    return "ok"


def settings(folder: Path, content: str | bytes) -> None:
    """A file of settings."""
    (folder / "fit.toml").write_bytes(content.encode() if isinstance(content, str) else content)


def file(folder: Path, name: str, content: str | bytes) -> None:
    """The valid run with one file replaced."""
    path = run_folder(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def absent(folder: Path, name: str) -> None:
    """The valid run without one file or folder."""
    path = run_folder(folder) / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def instead(folder: Path, name: str) -> None:
    """The valid run with a folder in place of a file."""
    absent(folder, name)
    (folder / "run" / name).mkdir()


def cut(folder: Path, name: str, share: float) -> None:
    """The valid run with one file truncated."""
    path = run_folder(folder) / name
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def changed(folder: Path, name: str, *keys: str, value: Any) -> None:
    """The valid run with one field of a JSON file set."""
    path = run_folder(folder) / name
    content = inner = json.loads(path.read_text())
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(content))


def weights(folder: Path, change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> None:
    """The valid run with other weights."""
    path = run_folder(folder) / "weights.safetensors"
    save_file(change(load_file(path)), path)


def header(folder: Path, length: int, about: str = "{}") -> None:
    """Weights whose header lies."""
    file(folder, "weights.safetensors", struct.pack("<Q", length) + about.encode())


def flipped(folder: Path, name: str) -> None:
    """The valid run with one byte of a file wrong."""
    path = run_folder(folder) / name
    data = bytearray(path.read_bytes())
    data[-1] ^= 0xFF
    path.write_bytes(bytes(data))


def signed(folder: Path, name: str, key: str, value: Any) -> None:
    """The valid run with one field of a checkpoint's state set, checksum and all."""
    path = run_folder(folder) / name
    content = json.loads(path.read_text())["content"] | {key: value}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps({"content": content, "sha256": digest}))


def both(folder: Path) -> None:
    """The valid run with both checkpoints damaged."""
    run_folder(folder)
    for path in (folder / "run" / "checkpoints").glob("step-*/network.safetensors"):
        path.write_bytes(b"")


def faults() -> Iterator[Fault]:
    """All malformed settings and runs."""
    every = chain(_settings(), _json(), _lines(), _weights(), _checkpoints(), _outputs(), _disks())
    return iter(every)


def _settings() -> Iterator[Fault]:
    texts: dict[str, str | bytes] = {
        "bad syntax": "[training\nsteps = 1",
        "twice": "[training]\nsteps = 1\nsteps = 2",
        "not UTF-8": b"\xff\xfe",
        "JSON": "{}",
        "unknown field": "[training]\nstep = 1",
        "unknown section": "[train]\nsteps = 1",
        "section a number": "training = 5",
        "section a list": "training = [1]",
        "steps text": '[training]\nsteps = "many"',
        "steps broken": "[training]\nsteps = 1.5",
        "steps negative": "[training]\nsteps = -1",
        "steps zero": "[training]\nsteps = 0",
        "rate NaN": "[training]\nlearning_rate = nan",
        "rate infinite": "[training]\nlearning_rate = inf",
        "rate negative": "[training]\nlearning_rate = -1.0",
        "final rate above": "[training]\nfinal_learning_rate = 1.0",
        "betas": "[training]\nbetas = [0.9, 2.0]",
        "seed negative": "[training]\nseed = -1",
        "three betas": "[training]\nbetas = [0.1, 0.2, 0.3]",
        "no channels": "[network]\nchannels = []",
        "dimensions 4": "[network]\ndimensions = 4",
        "balance above 1": "[sampling]\nbalance = 1.5",
        "orientation": '[preparation]\norientation = "XYZ"',
        "crop of one": "[sampling]\ncrop = [192]",
        "preset unknown": 'preset = "huge"',
        "nested": "a" + ".a" * 5000 + " = 1",
        "array nested": "a = " + "[" * 5000 + "]" * 5000,
    }
    for name, text in texts.items():
        yield Fault("settings", name, partial(settings, content=text), configure)
    yield Fault("settings", "absent", lambda folder: None, configure)
    yield Fault("settings", "a folder", lambda folder: (folder / "fit.toml").mkdir(), configure)


def _json() -> Iterator[Fault]:
    bad = {"empty": "", "cut": '{"a": ', "list": "[]", "number": "1", "nested": "[" * 100_000, "not UTF-8": b"\xff\0"}
    for name in ("config.json", "run.json", "plan.json"):
        for what, content in bad.items():
            yield Fault(name, what, partial(file, name=name, content=content), use)
        yield Fault(name, "absent", partial(absent, name=name), use)
        yield Fault(name, "a folder", partial(instead, name=name), use)
    values: dict[str, tuple[tuple[str, ...], Any]] = {
        "config.json: network text": (("network",), "big"),
        "config.json: channels": (("network", "channels"), [4, 6, 8]),
        "config.json: channels negative": (("network", "channels"), [-4, 6]),
        "config.json: rank infinite": (("network", "rank"), float("inf")),
        "config.json: surplus": (("more",), 1),
        "config.json: fold text": (("fold",), "x"),
        "config.json: fold null": (("fold",), None),
        "config.json: fold negative": (("fold",), -1),
        "run.json: system a number": (("system",), 5),
        "run.json: system of elsewhere": (("system",), "../../x"),
        "run.json: seconds null": (("seconds",), None),
        "run.json: seconds text": (("seconds",), "x"),
        "run.json: seconds NaN": (("seconds",), float("nan")),
        "run.json: cohort text": (("cohort",), "text"),
        "run.json: cohort's path a number": (("cohort",), {"path": 5}),
        "run.json: versions list": (("versions",), []),
        "run.json: state a number": (("state",), 5),
        "plan.json: rules list": (("rules",), []),
        "plan.json: rules empty": (("rules",), {}),
        "plan.json: rule kind": (("rules", "t1", "kind"), "log"),
        "plan.json: rule NaN": (("rules", "t2", "high"), float("nan")),
        "plan.json: rule negative": (("rules", "t2", "high"), -5.0),
        "plan.json: spacing zero": (("spacing",), [0.0, 1.0, 1.0]),
        "plan.json: spacing NaN": (("spacing",), [float("nan"), 1.0, 1.0]),
        "plan.json: spacing tiny": (("spacing",), [1e-6, 1e-6, 1e-6]),
        "plan.json: orientation": (("settings", "orientation"), "RRR"),
    }
    for name, (keys, value) in values.items():
        kind, _, what = name.partition(": ")
        yield Fault(kind, what, partial(_changed, name=kind, keys=keys, value=value), use)
    yield Fault("no run", "empty folder", lambda folder: (folder / "run").mkdir(), use)
    yield Fault("no run", "absent", lambda folder: None, use)


def _lines() -> Iterator[Fault]:
    good = '{"step": 1, "split": "train", "loss": 1.0}\n'
    for name, line in {
        "number": "5",
        "list": "[1]",
        "no step": '{"split": "train"}',
        "step text": '{"step": "x", "split": "train"}',
        "no split": '{"step": 1}',
        "cut in the middle": '{"step": 1, "spl',
        "nested": "[" * 100_000,
        "not UTF-8": "\udcff",
    }.items():
        content = f"{good}{line}\n{good}".encode("utf-8", "surrogateescape")
        yield Fault("metrics.jsonl", name, partial(file, name="metrics.jsonl", content=content), metrics)
    torn = f'{good}{{"step": 2, "cases": ["\udcc3'.encode("utf-8", "surrogateescape")
    yield Fault("metrics.jsonl", "torn by a kill", partial(file, name="metrics.jsonl", content=torn), metrics, "ok")
    for name, text in (
        ("list", "[]"),
        ("cut", "{"),
        ("study a number", '{"s": 5}'),
        ("another size", '{"s": {"t1": [3, 2]}}'),
        ("another study", '{"t": {"t1": [1, 2]}}'),
    ):
        yield Fault("inputs.json", name, partial(file, name="inputs.json", content=text), go_on)


def _changed(folder: Path, name: str, keys: tuple[str, ...], value: Any) -> None:
    changed(folder, name, *keys, value=value)


def _weights() -> Iterator[Fault]:
    first = "code.weight"
    changes: dict[str, Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]] = {
        "a layer absent": lambda w: {name: array for name, array in w.items() if name != first},
        "a layer more": lambda w: {**w, "more": np.zeros(3, np.float32)},
        "shape": lambda w: {**w, first: np.zeros((1, 2), np.float32)},
        "NaN": lambda w: {**w, first: w[first] * np.nan},
        "no layer": lambda w: {},
    }
    for name, change in changes.items():
        yield Fault("weights", name, partial(weights, change=change), use)
    for share in (0.0, 0.001, 0.02, 0.5, 0.999):
        yield Fault(
            "weights truncated", f"{100 * share:g} %", partial(cut, name="weights.safetensors", share=share), use
        )
    huge = json.dumps({first: {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 8]}})
    for name, (length, about) in {
        "huge length": (2**63, "{}"),
        "long length": (2**40, "{}"),
        "0": (0, ""),
        "not JSON": (4, "oops"),
        "huge shape": (len(huge), huge + "12345678"),
    }.items():
        yield Fault("weights header", name, partial(header, length=length, about=about), use)
    yield Fault("weights", "absent", partial(absent, name="weights.safetensors"), use)
    yield Fault("weights", "pickle", partial(file, name="weights.safetensors", content=b"\x80\x04K\x01."), use)
    yield Fault("weights", "a folder", partial(instead, name="weights.safetensors"), use)


def _checkpoints() -> Iterator[Fault]:
    newest = "checkpoints/step-00000002"
    for name, make in {
        "state empty": partial(file, name=f"{newest}/state.json", content=""),
        "state list": partial(file, name=f"{newest}/state.json", content="[]"),
        "state text": partial(file, name=f"{newest}/state.json", content='{"content": "x", "sha256": "y"}'),
        "state cut": partial(cut, name=f"{newest}/state.json", share=0.5),
        "state changed": partial(_changed, name=f"{newest}/state.json", keys=("content", "step"), value=9),
        "state absent": partial(absent, name=f"{newest}/state.json"),
        "tensors cut": partial(cut, name=f"{newest}/network.safetensors", share=0.5),
        "tensors flipped": partial(flipped, name=f"{newest}/network.safetensors"),
        "tensors absent": partial(absent, name=f"{newest}/network.safetensors"),
        "tensors a folder": partial(instead, name=f"{newest}/network.safetensors"),
    }.items():
        yield Fault("checkpoint", name, make, resume, "repair")
    yield Fault(
        "checkpoint",
        "partial folder",
        partial(file, name="checkpoints/.partial-step-00000003/network.safetensors", content=""),
        resume,
        "ok",
    )
    yield Fault("checkpoint", "all damaged", both, resume)
    for name, key, value in (("format 2", "format", 2), ("no format", "format", None), ("field of later", "later", 1)):
        make = partial(signed, name=f"{newest}/state.json", key=key, value=value)
        yield Fault("checkpoint", name, make, resume)


def _outputs() -> Iterator[Fault]:
    for name, content, expected in (
        ("not JSON", "{", "error"),
        ("list", "[]", "ok"),
        ("nowhere", '{"evaluation": "/nowhere/at/all"}', "ok"),
        ("a number", '{"evaluation": 5}', "ok"),
        ("NUL", '{"evaluation": "a\\u0000b"}', "ok"),
        ("long", json.dumps({"evaluation": "x" * 5000}), "ok"),
    ):
        yield Fault("outputs.json", name, partial(file, name="outputs.json", content=content), outputs, expected)


def _disks() -> Iterator[Fault]:
    for name in ("import", "split", "plan", "run", "scan", "checkpoint", "simulate", "predict"):
        yield Fault("disk full", name, _a_run, partial(write, name=name, limit=10))
        yield Fault("file in the way", name, _in_the_way, partial(write, name=name))


def _a_run(folder: Path) -> None:
    run_folder(folder)


def _in_the_way(folder: Path) -> None:
    run_folder(folder)
    (folder / "out").write_text("mine")


def _refusals() -> None:
    """For a look by eye: `python tests/faults/corpus_runs.py`."""
    for fault in faults():
        with tempfile.TemporaryDirectory() as folder:
            fault.make(Path(folder))
            try:
                told = fault.exercise(Path(folder))
            except ScanweaveError as error:
                told = str(error)
            except Exception as error:
                told = f"ESCAPE {type(error).__name__}: {error}"[:300]
            print(f"{fault.kind} · {fault.name} [{fault.expected}]: {told}", flush=True)


if __name__ == "__main__":
    _refusals()
