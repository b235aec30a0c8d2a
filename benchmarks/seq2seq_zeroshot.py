"""The weights that ship, alone, on real patients that they never saw: a table beside regression. No bar.

builtin:brain makes each sequence of two gliomas, two patients with multiple sclerosis and a head with skull from the
three others, without any fit. Beside it: quadratic regression from the same three, fitted on the other real patients,
as in seq2seq_real.py; it has seen real scans. The head is in no mean. Where the weights are not installed, the
regression stands alone. Intervals resample the patients, each with all its targets.
"""

from __future__ import annotations

import tempfile
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import Claim, benchmark_arguments, write_results
from jobs import run_jobs
from seq2seq_cases import (
    BUILTIN,
    HEAD,
    MEASURES,
    Case,
    Methods,
    control_material,
    head_cohort,
    is_installed,
    measured,
    real_cohort,
)
from seq2seq_controls import QuadraticRegression

import scanweave as sw
from scanweave.measures.bootstrap import bootstrap, paired_difference

SEED = 0
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"folds": 1, "targets": 1, "own": {"preparation.spacing": (6.0, 6.0, 6.0)}},
    "proof": {"folds": 4, "targets": 4, "own": {}},
    "study": {"folds": 4, "targets": 4, "own": {}},
}
"""`targets`: sequences of a patient that are made; `own`: settings of the regression. The study is the proof: nothing
in it is drawn."""
QUADRATIC = "quadratic regression"


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    methods = [QUADRATIC, BUILTIN] if is_installed() else [QUADRATIC]
    if BUILTIN not in methods:
        print(f"{BUILTIN} is not installed: {QUADRATIC} stands alone", flush=True)
    jobs = [(method, fold) for method in methods for fold in range(tier["folds"])]
    table = pd.DataFrame(list(chain.from_iterable(run_jobs(one_job, jobs, arguments, tier))))
    wide = table.pivot_table(index=["patient", "target"], columns="method", values=["psnr", "ssim"])
    print(wide.round(3).to_string(), flush=True)
    write_results("seq2seq_zeroshot", arguments, [SEED], claims(table))


def one_job(method: str, fold: int, tier: dict[str, Any]) -> list[dict[str, Any]]:
    """Make the patient left out, and the head, by one method."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cohort, head = real_cohort(folder / "cohort"), head_cohort(folder / "head")
        tested = [*cohort.part("test", fold), *head]
        if method == BUILTIN:
            system: Any = sw.open_run(BUILTIN)
            targets = [name for name in system.sequences if name in cohort.names()][: tier["targets"]]

            def shipped(case: Case) -> Methods:
                return (
                    (method, name, volume) for name, volume in system.synthesizer.fuse(case.volumes, targets).items()
                )

            return measured([Case.of(study, system.plan) for study in tested], shipped)
        plan, training = control_material(cohort, fold, "best", tier["own"])
        names = list(plan.scans)
        models = {
            target: QuadraticRegression(training, [name for name in names if name != target], target, SEED)
            for target in names[: tier["targets"]]
        }

        def regressed(case: Case) -> Methods:
            return ((method, target, model(case.volumes)) for target, model in models.items())

        return measured([Case.of(study, plan) for study in tested], regressed)


def claims(table: pd.DataFrame) -> list[Claim]:
    """Means of both measures over patients and targets, then what the weights gain over regression; no bar."""
    found = []
    for words, (measure, unit) in MEASURES.items():
        wide = table.pivot_table(index=["patient", "target"], columns="method", values=measure).reset_index()
        inside, head = wide[wide["patient"] != HEAD], wide[wide["patient"] == HEAD]
        patients = list(inside["patient"])
        methods = [name for name in (BUILTIN, QUADRATIC) if name in wide]
        for method in methods:
            mean = bootstrap(inside[method], patients, seed=SEED)
            shown = {f"{HEAD}, in no mean": float(head[method].mean())}
            found.append(
                Claim(f"{method}: {words}", mean.value, mean.low, mean.high, unit, mean.n, None, "higher", shown)
            )
        if BUILTIN in methods:
            gain = paired_difference(inside[BUILTIN], inside[QUADRATIC], patients, seed=SEED)
            name = f"{BUILTIN}: {words} over {QUADRATIC}"
            shown = {f"{HEAD}, in no mean": float((head[BUILTIN] - head[QUADRATIC]).mean())}
            found.append(Claim(name, gain.value, gain.low, gain.high, unit, gain.n, None, "higher", shown))
    assert all(np.isfinite(claim.value) for claim in found)
    return found


if __name__ == "__main__":
    main()
