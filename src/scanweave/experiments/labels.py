"""The label-efficiency study: what a start from pre-trained weights is worth, by the number of labelled studies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scanweave import api
from scanweave.engine.weight_sources import find_weights
from scanweave.errors import ScanweaveError
from scanweave.experiments import labels_page
from scanweave.experiments.label_study import AGAIN, JSON, MEASURES, SCRATCH, TABLE, LabelResults, LabelStudy, Say
from scanweave.files import file_sha256, read_json, write_json
from scanweave.measures.bootstrap import Interval
from scanweave.report.saving import SUMMARY, save_table
from scanweave.studies.cohort import Cohort
from scanweave.wording import count


def run_labels(study: LabelStudy, out: Path, say: Say = print) -> LabelResults:
    """Fit every arm to every count and seed, measure each on the test part, and write table and page after each count.

    What an earlier call of the same study has measured is kept; a fit that was stopped goes on.

    Args:
        study: What is compared.
        out: Folder to make: `runs/`, `labels.csv`, `labels.json`, `labels.html`.
        say: Takes a line a fit.

    Raises:
        ScanweaveError: As `LabelStudy.check`, or `out` holds another study.
    """
    cautions = study.check()
    for line in cautions:
        say(f"caution: {line}")
    _claim(study, out)
    rows, found = list[dict[str, Any]](), LabelResults(MEASURES[study.system][0])
    for word, number in study.sizes.items():
        for seed in range(study.seeds):
            both = study.cohort.select([*study.chosen(number, seed).studies, *study.test.studies])
            for place, (arm, own) in enumerate(study.arms.items()):
                value = _measured(study, out / "runs" / f"{place} of {number} seed {seed}", both, own, seed)
                rows.append({"arm": arm, "count": word, "studies": number, "seed": seed, "value": value})
                say(f"{word} labelled, seed {seed}, {arm}: {found.measure} {value:.3f}")
        found.values = pd.DataFrame(rows)
        save_table(found.values, out / TABLE)
        found.page = labels_page.write(out, found, study, cautions)
    for row in found.table.to_dict("records"):
        if row["arm"] != SCRATCH:
            words = count(row["labelled studies"], "labelled study", "labelled studies")
            say(f"{words}, {row['arm']}: {_signed(row['more than random weights'])} against random weights")
    return found


def _claim(study: LabelStudy, out: Path) -> None:
    """Note in a folder what is compared there, or refuse it where it holds another study."""
    asked = {
        "format": 1,
        "system": study.system,
        "cohort": study.cohort.digest,
        "starts": {start: file_sha256(find_weights(start)) for start in study.starts},
        "labelled": study.heading,
        "fold": study.fold,
        "preset": study.preset,
    }
    path = out / JSON
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        write_json(path, asked)
    elif read_json(path, AGAIN) != asked:
        raise ScanweaveError(out, "holds a study of something else", "Choose another --out, or remove it")


def _measured(study: LabelStudy, run: Path, cohort: Cohort, own: Mapping[str, Any], seed: int) -> float:
    """Return the measure of one fit on the test part: mean over structures, classes or findings."""
    layers = [*study.config, {"training.seed": seed}, own]
    fitted = api.fit(
        study.system, cohort, run, preset=study.preset, config=layers, fold=study.fold, say=lambda line: None
    )
    path = run / "evaluation" / f"{SUMMARY}.json"
    if not path.is_file():
        fitted.evaluate(cohort, run / "evaluation", part="test", say=lambda line: None)
    measure, column = MEASURES[study.system]
    rows = [row for row in read_json(path, AGAIN)["rows"] if row["measure"] == measure]
    kept = [row[column] for row in rows if row.get("studies of", "all") == "all" and row[column] is not None]
    if not kept:
        raise ScanweaveError(run, f"{measure} could not be measured", "Look at its evaluation")
    return float(np.mean(kept))


def _signed(one: Interval) -> str:
    ends = "" if np.isnan(one.low) else f" [{one.low:+.3f}, {one.high:+.3f}]"
    return f"{one.value:+.3f}{ends}"
