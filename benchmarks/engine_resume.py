"""Claim: a training killed with -9 at random moments ends with bit-equal weights, and two processes with the same.

    python benchmarks/engine_resume.py --tier proof --json benchmarks/results/engine_resume.json

Each kill hits a real process: `tests/engine/tiny.py` (dropout, batch normalisation, moving average, accumulation,
validation, patience, one reader), and `scanweave fit seq2seq` on a simulated cohort. Every fourth kill comes from the
moment of its lock on (opening, checking, preparing, loading), the others while it trains, writes and validates.
Controls: one kill and a resume that forgets the optimizer, which must be told apart; and a batch that is not doubled.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
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
KILLS = {"smoke": 1, "proof": 20, "study": 100}
"""How often a training is killed in each tier, unless `--kills` says it."""
SETTINGS = {"steps": 300, "accumulate": 2, "workers": 1, "patience": 40, "checkpoint_every": 3}
FIT = {
    "network.channels": (4, 8),
    "network.rank": 2,
    "sampling.crop": (16, 16),
    "training.batch_size": 2,
    "training.steps": 1000,
    "training.checkpoint_every": 3,
    "training.validate_every": 100,
    "training.workers": 1,
}
"""Settings of the Seq2Seq that is killed, on top of the preset `small`."""
PAIR = {**FIT, "training.steps": 10, "training.warm_up": 0, "training.validate_every": 10}
"""Settings of the Seq2Seq that two processes fit: few steps, since Adam magnifies what rounding leaves."""
SAME_SHARE = 0.01
"""Two processes must come nearer to the doubled batch than this share of what a batch that is not doubled changes.

Float32 rounds by the processor's algorithms, and Adam magnifies it: a fixed bar would hold on one machine only.
"""
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
SEED = 20
Command = list[str]


def python(arguments: Command, processes: int = 1) -> Command:
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    return [sys.executable, *launch, *arguments]


def tiny(folder: Path, settings: dict[str, Any], processes: int = 1) -> Command:
    return python([str(SCRIPT), str(folder), json.dumps(settings)], processes)


def seq2seq(folder: Path, cohort: Path, settings: dict[str, Any], processes: int = 1) -> Command:
    words = ["fit", "seq2seq", "--cohort", str(cohort), "--run", str(folder), "--preset", "small"]
    for name, value in settings.items():
        words += [f"--{name}", *map(str, value if isinstance(value, tuple) else (value,))]
    return python(["-m", *(["--"] if processes > 1 else []), "scanweave", *words], processes)


def finish(command: Command) -> None:
    subprocess.run(command, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)


def kill(folder: Path, command: Command, delay: float, *, training: bool) -> str:
    """Start the training, kill it `delay` seconds after it took its lock or began to train, and say where it was."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}  # orphaned readers complain
    with subprocess.Popen(command, env=ENVIRONMENT, **quiet) as process:
        while process.poll() is None and not begun(folder, process.pid, training=training):
            time.sleep(0.005)
        time.sleep(delay)
        process.kill()
        code = process.wait()
    assert code in (0, -signal.SIGKILL), f"ended by itself with status {code}"
    steps = sorted(path.name for path in (folder / "checkpoints").glob("step-*"))
    partial = len(list(folder.rglob(".partial-*")))
    where = f"killed {delay:.2f} s into {'training' if training else 'opening'}"
    return (
        "finished before" if code == 0 else f"{where}, newest {steps[-1] if steps else 'none'}, {partial} half-written"
    )


def killed_often(folder: Path, command: Command, kills: int) -> int:
    """Kill a training at random moments, and return how many of the kills it came back from."""
    draw, survived = np.random.default_rng(SEED), 0
    for number in range(kills):
        what = kill(folder, command, float(draw.uniform(0, 1.5)), training=number % 4 > 0)
        survived += what != "finished before"
        print(f"kill {number + 1}/{kills} of {folder.name}: {what}", flush=True)
    return survived


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


def measure_tiny(kills: int, folder: Path) -> list[Claim]:
    slow = {**SETTINGS, "pause": 0.02}
    finish(tiny(folder / "whole", SETTINGS))
    survived = killed_often(folder / "killed", tiny(folder / "killed", slow), kills)
    finish(tiny(folder / "killed", SETTINGS))
    kill(folder / "control", tiny(folder / "control", slow), 2.0, training=True)
    forget_optimizer(folder / "control")
    finish(tiny(folder / "control", SETTINGS))

    pairs = {"plain": True, "steps": 30}
    finish(tiny(folder / "doubled", {**pairs, "batch_size": 4}))
    finish(tiny(folder / "pair", pairs, processes=2))
    finish(tiny(folder / "single", pairs))
    return claims("", folder, survived, kills)


def measure_seq2seq(kills: int, folder: Path) -> list[Claim]:
    cohort = folder / "cohort"
    simulate = f"simulate brain --subjects 6 --seed {SEED} --spacing 8 --protocol random --missing 0.2 --out"
    finish(python(["-m", "scanweave", *simulate.split(), str(cohort)]))
    finish(python(["-m", "scanweave", "cohort", "split", str(cohort), "--folds", "3"]))

    survived = killed_often(folder / "killed", seq2seq(folder / "killed", cohort, FIT), kills)
    finish(seq2seq(folder / "killed", cohort, FIT))
    shutil.rmtree(cohort / "prepared")
    finish(seq2seq(folder / "whole", cohort, FIT))
    kill(folder / "control", seq2seq(folder / "control", cohort, FIT), 2.0, training=True)
    forget_optimizer(folder / "control")
    finish(seq2seq(folder / "control", cohort, FIT))

    finish(seq2seq(folder / "doubled", cohort, {**PAIR, "training.batch_size": 4}))
    finish(seq2seq(folder / "pair", cohort, PAIR, processes=2))
    finish(seq2seq(folder / "single", cohort, PAIR))
    return claims("Seq2Seq: ", folder, survived, kills)


def claims(what: str, folder: Path, survived: int, kills: int) -> list[Claim]:
    """Compare the runs `whole`, `killed`, `control`, `doubled`, `pair` and `single` in `folder`."""
    apart = difference(folder / "whole", folder / "control", counters=False)
    single = difference(folder / "doubled", folder / "single")
    return [
        claim(f"{what}kills -9 that the training came back from", survived, kills, kills, "higher"),
        claim(
            f"{what}largest difference of a weight after the kills",
            difference(folder / "whole", folder / "killed"),
            kills,
            0,
            "lower",
            {"resume that forgets the optimizer": apart},
        ),
        claim(
            f"{what}steps twice in metrics.jsonl after the kills", repeated_steps(folder / "killed"), kills, 0, "lower"
        ),
        claim(
            f"{what}largest difference of a weight, 2 processes against a doubled batch",
            difference(folder / "doubled", folder / "pair"),
            1,
            SAME_SHARE * single,
            "lower",
            {"the batch not doubled": single},
        ),
    ]


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
    arguments = benchmark_arguments(__doc__ or "", tuple(KILLS), kills={"type": int, "help": "how often"})
    found = []
    for measure in (measure_tiny, measure_seq2seq):
        with tempfile.TemporaryDirectory() as folder:
            found += measure(arguments.kills or KILLS[arguments.tier], Path(folder))
    write_results("engine_resume", arguments, [SEED], found)


if __name__ == "__main__":
    main()
