"""Make a model that ships: simulate its cohort, fit it, try it, and pack the run with its card and licence.

    python tools/train_builtin.py brain --out src/scanweave/builtin/brain

No patient's scan takes part. The same command goes on where it was stopped; seeds are fixed. The tier `full` is sized
to take at most 2.5 hours on 2 cores; `smoke` takes seconds, and what it makes is good for tests alone.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import scanweave
from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.files import atomic_folder, file_sha256, write_json
from scanweave.simulate.cohort import simulate_brain
from scanweave.simulate.settings import MAIN
from scanweave.studies.cohort import Cohort
from scanweave.studies.splits import make_splits, write_splits
from scanweave.systems.seq2seq.config import BEST, Seq2SeqConfig
from scanweave.systems.seq2seq.system import Seq2Seq

ROOT = Path(__file__).parents[1]
SEED = 2026
FOLDS = 10
"""One fold of ten is tried on in the end, and one chooses the best weights."""
KEPT = ("config.json", "plan.json", "cohort.json", "metrics.jsonl", "weights.safetensors")
"""Files of the run that are packed as they are."""
TOLD = ("format", "system", "versions", "seconds", "state", "step", "weights")
"""Fields of its record that are packed; the others tell of the machine."""
MOST_BYTES = 20_000_000


@dataclass(frozen=True)
class Tier:
    """Sizes of cohort, training and trial.

    Attributes:
        subjects: Simulated patients.
        spacing: Edge of a voxel of their grids [mm].
        steps: Updates of the weights.
        crop: Edge of a crop [voxels].
        samples: Samples that the regression is learnt from.
        every: Steps between validations.
        slices: Every n-th slice of a held-out patient is tried.
    """

    subjects: int
    spacing: float
    steps: int
    crop: int
    samples: int
    every: int
    slices: int


TIERS = {
    "full": Tier(subjects=240, spacing=1.5, steps=24_000, crop=96, samples=1_000, every=2_000, slices=8),
    "smoke": Tier(subjects=4, spacing=8.0, steps=2, crop=16, samples=8, every=2, slices=3),
}


def main() -> int:
    """Make the model, or go on; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=["brain"])
    parser.add_argument("--out", type=Path, required=True, help="folder of the model, made at the end")
    parser.add_argument(
        "--work", type=Path, help="folder of cohort and run, kept to go on in (build/builtin-NAME-TIER)"
    )
    parser.add_argument("--tier", choices=list(TIERS), default="full")
    parser.add_argument("--workers", type=int, default=2, help="processes that simulate and prepare")
    asked = parser.parse_args()
    work = asked.work or ROOT / "build" / f"builtin-{asked.name}-{asked.tier}"
    try:
        make_brain(asked.out, work, asked.tier, asked.workers)
    except ScanweaveError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def make_brain(out: Path, work: Path, tier: str, workers: int) -> None:
    """Make the model `brain` in `out`.

    Raises:
        ScanweaveError: `out` holds something already, or a step fails.
    """
    if out.exists():
        raise ScanweaveError(out, "exists already", "Remove it, or choose another --out")
    sizes = TIERS[tier]
    print(f"1/4 cohort: {sizes.subjects} simulated patients in {work / 'cohort'}", flush=True)
    cohort = simulate_brain(
        work / "cohort",
        subjects=sizes.subjects,
        seed=SEED,
        workers=workers,
        scanners=True,
        sequences=MAIN,
        spacing=sizes.spacing,
        lesion_share=0.5,
        protocol="random",
        missing=0.1,
    )
    folds = min(FOLDS, sizes.subjects)
    if cohort.splits() is None:
        write_splits(cohort.folder, make_splits(cohort.patients, folds, seed=SEED))
    cohort = Cohort.open(cohort.folder)
    print(f"2/4 fit: {sizes.steps} steps in {work / 'run'}", flush=True)
    system = Seq2Seq.fit(cohort, work / "run", settings(sizes), workers=workers)
    print("3/4 trial on held-out simulated patients", flush=True)
    system.evaluate(cohort, work / "evaluation", part="test", slices=sizes.slices)
    pack(system.run, cohort, work / "evaluation", out, tier)
    print(f"4/4 wrote {out}: sha256 {file_sha256(out / 'weights.safetensors')}", flush=True)


def settings(sizes: Tier) -> Seq2SeqConfig:
    """Return the preset `best` at this size; its network is the preset's, so that fits of it can begin from it."""
    training = {"steps": sizes.steps, "validate_every": sizes.every, "seed": SEED, "device": "cpu"}
    sampling = {"crop": (sizes.crop, sizes.crop), "regression_samples": sizes.samples}
    return BEST.model_copy(
        update={
            "sequences": MAIN,
            "start": BEST.start.model_copy(update={"source": "none"}),
            "training": BEST.training.model_copy(update=training),
            "sampling": BEST.sampling.model_copy(update=sampling),
        }
    )


def pack(run: Run, cohort: Cohort, evaluation: Path, out: Path, tier: str) -> None:
    """Write the run to `out`, without what only this machine knows, with its card and licence.

    Raises:
        ScanweaveError: It is larger than 20 MB.
    """
    command = f"python tools/train_builtin.py brain --out FOLDER{'' if tier == 'full' else f' --tier {tier}'}"
    with atomic_folder(out) as folder:
        for name in KEPT:
            shutil.copyfile(run.folder / name, folder / name)
        record = {key: run.record[key] for key in TOLD if key in run.record}
        record |= {"command": command, "cohort": {"path": "simulated", "sha256": cohort.digest}}
        write_json(folder / "run.json", record)
        write_json(folder / "inputs.json", {})  # no patient shaped it, whatever patients elsewhere are called
        shutil.copyfile(ROOT / "LICENSE", folder / "LICENSE")
        (folder / "CARD.md").write_text(card(run, evaluation, TIERS[tier], command, folder), encoding="utf-8")
        if (size := sum(path.stat().st_size for path in folder.iterdir())) > MOST_BYTES:
            reason = f"would have {size / 1e6:.0f} MB, more than {MOST_BYTES / 1e6:.0f}"
            raise ScanweaveError(out, reason, "Fit a smaller network")


def card(run: Run, evaluation: Path, sizes: Tier, command: str, folder: Path) -> str:
    """Return the card: what the model is for, what it learnt from, how well it does, how it is made again."""
    summary = pd.read_csv(evaluation / "summary.csv")
    lines = [f"| {row} |" for row in measured(summary)]
    about: dict[str, Any] = json.loads((evaluation / "summary.json").read_text(encoding="utf-8"))["about"]
    return CARD.format(
        subjects=sizes.subjects,
        spacing=sizes.spacing,
        steps=sizes.steps,
        hours=run.record.get("seconds", 0.0) / 3600,
        sha256=file_sha256(folder / "weights.safetensors"),
        command=command,
        version=scanweave.__version__,
        slices=about.get("slices", 1),
        table="\n".join(lines),
        seed=SEED,
    )


def measured(summary: pd.DataFrame) -> list[str]:
    """Return a row a target: PSNR and SSIM of what is made from all others, with intervals over patients."""
    chosen = summary[(summary["kind"] == "all") & (summary["region"] == "brain")]
    cells = {
        (target, measure): f"{mean:.2f}" + ("" if low != low else f" [{low:.2f}, {high:.2f}]")
        for target, measure, mean, low, high in chosen[["target", "measure", "mean", "low", "high"]].itertuples(
            index=False
        )
    }
    targets = dict.fromkeys(chosen["target"])
    return [f"{name} | {cells[name, 'psnr']} | {cells[name, 'ssim']}" for name in targets]


CARD = """# builtin:brain

Makes the missing ones of t1, t1c (after contrast agent), t2 and flair of a brain from those that are there, on the
scans' own grid. `scanweave predict builtin:brain --in FOLDER --out DIR`; `scanweave fit seq2seq --from builtin:brain`
goes on from it on patients of one's own.

**Not for diagnosis.** It has never seen a patient. What it makes is likely, not measured: contrast agent that no given
scan hints at cannot be known. Evaluate it on complete studies of your own before you rely on it:
`scanweave evaluate builtin:brain --cohort COHORT --out DIR`.

## System
Seq2Seq, preset `best`: see the system's card. Weights sha256 `{sha256}`, scanweave {version}.

## Training data
{subjects} simulated patients at {spacing} mm, of `scanweave simulate brain --randomise`, seed {seed}. Anatomies are
random deformations of the MNI152 2009a tissue maps (Fonov et al., NeuroImage 2011), which ship in nilearn. Images
follow from signal equations. Field strength, protocol, resolution, receive field, motion, noise, units, skull or none,
tumours and small lesions are drawn anew for each; a tenth of the scans is missing. No real patient.

## Measured
On simulated patients that it did not see, one slice in {slices}, in the brain, each target from all others that are
there: mean and 95 % interval over patients.

| target | PSNR [dB] | SSIM |
|---|---|---|
{table}

Nothing here speaks for real scans.

## Making it again
`{command}` ({steps} steps, {hours:.1f} hours of training; it goes on where it was stopped).

## Licence
MIT, see LICENSE, weights included.
"""


if __name__ == "__main__":
    raise SystemExit(main())
