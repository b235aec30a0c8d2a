"""Claim: a training killed with -9 at random moments ends with bit-equal weights, and two processes with the same.

    python benchmarks/engine_resume.py --kills 20 --json benchmarks/results/engine_resume.json

Each kill hits a real process of `tests/engine/tiny.py` (dropout, batch normalisation, moving average, accumulation,
validation, patience, one reader): every fourth from the moment of its lock on (opening, loading), the others while it
trains, writes and validates. Control: one kill and a resume that forgets the optimizer, which must be told apart.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from common import Claim, benchmark_arguments, write_results
from safetensors.numpy import load_file

SCRIPT = Path(__file__).resolve().parents[1] / "tests" / "engine" / "tiny.py"
SETTINGS = {"steps": 300, "accumulate": 2, "workers": 1, "patience": 40, "checkpoint_every": 3}
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
SEED = 20


def command(folder: Path, settings: dict[str, Any], processes: int = 1) -> list[str]:
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    return [sys.executable, *launch, str(SCRIPT), str(folder), json.dumps(settings)]


def finish(folder: Path, settings: dict[str, Any], processes: int = 1) -> None:
    subprocess.run(command(folder, settings, processes), env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)


def kill(folder: Path, settings: dict[str, Any], delay: float, *, training: bool) -> str:
    """Start the training, kill it `delay` seconds after it took its lock or began to train, and say where it was."""
    with subprocess.Popen(command(folder, settings), env=ENVIRONMENT, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not begun(folder, process.pid, training=training):
            time.sleep(0.005)
        time.sleep(delay)
        process.kill()
        code = process.wait()
    steps = sorted(path.name for path in (folder / "checkpoints").glob("step-*"))
    partial = len(list(folder.rglob(".partial-*")))
    where = f"killed {delay:.2f} s into {'training' if training else 'opening'}"
    return (
        "finished before" if code == 0 else f"{where}, newest {steps[-1] if steps else 'none'}, {partial} half-written"
    )


def begun(folder: Path, pid: int, *, training: bool) -> bool:
    lock, record = folder / ".lock", folder / "run.json"
    locked = lock.exists() and lock.read_text().strip() == str(pid)
    # The device is noted after a checkpoint has been loaded, and forgotten by the next start.
    return locked and (not training or (record.exists() and "device" in json.loads(record.read_text())))


def difference(first: Path, second: Path, *, counters: bool = True) -> float:
    """Return the largest difference of a number in the weights; `counters` takes those of layers along."""
    one, other = (load_file(folder / "weights.safetensors") for folder in (first, second))
    assert one.keys() == other.keys()
    compared = [name for name in one if counters or one[name].dtype.kind == "f"]
    return max(float(np.abs(one[name].astype(float) - other[name].astype(float)).max()) for name in compared)


def repeated_steps(folder: Path) -> int:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    keys = [(row["step"], row["split"]) for row in rows]
    return len(keys) - len(set(keys))


def forget_optimizer(folder: Path) -> None:
    """Make every checkpoint one without the optimizer's state, with valid checksums."""
    from scanweave.engine.checkpoint import Checkpoints, read_state, read_tensors

    store = Checkpoints(folder / "checkpoints", print)
    for path in (folder / "checkpoints").glob("step-*"):
        state, tensors = read_state(path), read_tensors(path)
        tensors.pop("optimizer", None)
        store.save(state, tensors)


def measure(kills: int, folder: Path) -> list[Claim]:
    finish(folder / "whole", SETTINGS)
    draw = np.random.default_rng(SEED)
    slow = {**SETTINGS, "pause": 0.02}
    survived = 0
    for number in range(kills):
        what = kill(folder / "killed", slow, float(draw.uniform(0, 1.5)), training=number % 4 > 0)
        survived += what != "finished before"
        print(f"kill {number + 1}/{kills}: {what}", flush=True)
    finish(folder / "killed", SETTINGS)
    kill(folder / "control", slow, 2.0, training=True)
    forget_optimizer(folder / "control")
    finish(folder / "control", SETTINGS)

    pairs = {"plain": True, "steps": 30}
    finish(folder / "doubled", {**pairs, "batch_size": 4})
    finish(folder / "pair", pairs, processes=2)
    finish(folder / "single", pairs)
    apart = difference(folder / "whole", folder / "control", counters=False)
    single = difference(folder / "doubled", folder / "single")
    return [
        claim("kills -9 that the training came back from", survived, kills, kills, "higher"),
        claim("largest difference of a weight after the kills", difference(folder / "whole", folder / "killed"),
              kills, 0, "lower", {"resume that forgets the optimizer": apart}),
        claim("steps twice in metrics.jsonl after the kills", repeated_steps(folder / "killed"), kills, 0, "lower"),
        claim("largest difference of a weight, 2 processes against a doubled batch",
              difference(folder / "doubled", folder / "pair"), 1, 1e-5, "lower", {"the batch not doubled": single}),
    ]  # fmt: skip


def claim(
    name: str,
    value: float,
    n: int,
    bar: float,
    better: Literal["higher", "lower"],
    control: dict[str, float] | None = None,
) -> Claim:
    return Claim(name, value, math.nan, math.nan, "", n, bar, better, control or {})


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", ("proof",), kills={"type": int, "default": 20})
    with tempfile.TemporaryDirectory() as folder:
        claims = measure(arguments.kills, Path(folder))
    write_results("engine_resume", arguments, [SEED], claims)


if __name__ == "__main__":
    main()
