"""`scanweave demo`: the whole way on simulated studies whose truth is known, by the commands that a user would give."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUBJECTS, SPACING, SEED = 30, 3.0, 0
MISSING = 0.15
"""Chance of each sequence to be absent."""
FOLDS = 6
SETTINGS: tuple[str, ...] = ("--training.steps", "1500")
"""Options of the fit on top of the preset `small`: fewer steps still find what is planted."""
LIT_AUROC = 0.9
"""AUROC from which a map counts as lit up where it should be."""
MARK = "demo.json"


@dataclass
class Demo:
    """Simulate, split, fit, predict, evaluate, rank, explain, report, and compare with the planted truth.

    Called again, it goes on where it stopped.
    """

    out: Path
    """Folder to make."""

    def run(self) -> int:
        """Run the stages that are not done, then say what was found and where to look."""
        from scanweave.cli.main import run_command

        _claim(self.out)
        for number, stage in enumerate(stages(self.out), start=1):
            print(f"\n[{number}/{len(stages(self.out))}] $ scanweave {shlex.join(stage.arguments)}", flush=True)
            if stage.done():
                print("done already")
                continue
            status = run_command(stage.arguments)
            if status:
                return status
        print("\n" + "\n".join(findings(self.out)))
        return 0


COMMAND = Demo


@dataclass(frozen=True)
class Stage:
    """One command of the demo.

    Attributes:
        arguments: The command.
        proof: The file that is there once it is done.
        entry: A key that must be in that JSON file too.
    """

    arguments: list[str]
    proof: Path
    entry: str = ""

    def done(self) -> bool:
        """Tell whether the output is whole."""
        if not self.proof.is_file():
            return False
        return not self.entry or self.entry in _read(self.proof)


def stages(out: Path) -> list[Stage]:
    """Return the commands of the demo in `out`."""
    from scanweave.framework.run_outputs import KINDS

    cohort, run, made = (out / name for name in ("cohort", "run", "predictions"))
    simulate = f"simulate brain --subjects {SUBJECTS} --seed {SEED} --spacing {SPACING} --protocol random"
    simulate += f" --missing {MISSING} --keep-removed"
    given = ["--cohort", str(cohort)]
    fit = ["fit", "seq2seq", *given, "--run", str(run), "--preset", "small", "--fold", "0", *SETTINGS]
    predict = ["predict", str(run), *given, "--out", str(made), "--part", "test"]
    return [
        Stage([*simulate.split(), "--out", str(cohort)], cohort / "cohort.json"),
        Stage(["cohort", "split", str(cohort), "--folds", str(FOLDS)], cohort / "splits.json"),
        Stage(fit, run / "run.json", "weights"),
        Stage(predict, made / "cohort.json"),
        *(Stage([verb, str(run), *given], run / "outputs.json", kind) for verb, kind in KINDS.items()),
        Stage(["report", str(run)], run / "report.html"),
    ]


def findings(out: Path) -> list[str]:
    """Say what the demo found, beside what was planted, and where to look."""
    truth = _read(out / "cohort" / "truth.json")
    ranking, maps = (_read(out / "run" / name) for name in ("ranking/ranking.json", "explanation/explanation.json"))
    hard = {name: row["value"] for name, row in zip(ranking["sequences"], ranking["C_d"], strict=True)}
    order = sorted(hard, key=lambda name: -hard[name])
    unique, redundant = truth["planted"]["c_d_highest"], truth["planted"]["c_d_lowest"]
    rim = next(label for label, name in truth["masks"]["lesion"].items() if "rim" in name)
    area = next((row for row in maps["summary"] if (row["sequence"], row["measure"]) == (unique, f"auroc_{rim}")), None)
    shown = "no test study has one" if area is None else f"AUROC {area['mean']:.3f} over {area['patients']} patients"
    planted = {
        f"the unique sequence {unique} is the hardest": order[0] == unique,
        f"the redundant sequence {redundant} is the easiest": order[-1] == redundant,
        f"the map of {unique} lights up in the enhancing rim, which it alone shows: {shown}": area is not None
        and area["mean"] >= LIT_AUROC,
    }
    return [
        f"Hard to make from the others (C_d), hardest first: {', '.join(order)}",
        f"Found {sum(planted.values())} of {len(planted)} facts that were planted:",
        *(f"  {'✓' if found else '✗'} {fact}" for fact, found in planted.items()),
        "Where to look:",
        f"  {out / 'run' / 'report.html'}",
        f"  {out / 'predictions'}",
        f"  {out / 'run' / 'explanation'}",
    ]


def _claim(out: Path) -> None:
    """Make sure that `out` is new or holds this demo."""
    from scanweave.errors import ScanweaveError
    from scanweave.files import write_json

    about = {"demo": 1, "subjects": SUBJECTS, "spacing": SPACING, "seed": SEED, "missing": MISSING, "folds": FOLDS}
    if (out / MARK).is_file():
        if _read(out / MARK) != about:
            raise ScanweaveError(out, "holds a demo of other settings", "Choose another --out, or remove it")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ScanweaveError(out, "is not empty and holds no demo", "Choose another --out")
    else:
        write_json(out / MARK, about)


def _read(path: Path) -> Any:
    from scanweave.files import read_json

    return read_json(path, "Remove the demo's folder and start again")
