"""Evaluation of a pre-training: how well hidden blocks are reconstructed, and what its features tell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from scanweave.framework.trial import Trial
from scanweave.measures.summary import summarise
from scanweave.report.reconstructions import reconstruction_figure
from scanweave.report.saving import save_figure, save_table
from scanweave.studies.preparing.preparation import background
from scanweave.studies.study import Study
from scanweave.systems.mim.config import EvaluateOptions
from scanweave.systems.mim.fitted import FittedMim
from scanweave.systems.mim.probes import probe_rows
from scanweave.wording import count

ERRORS, PROBES = "errors.csv", "probes.csv"
CROPS = 4
"""Crops of each scan that are measured."""
PLAIN = "error of the mean of each block"


def evaluate(fitted: FittedMim, trial: Trial, options: EvaluateOptions) -> pd.DataFrame:
    """Measure reconstructions of hidden blocks on every study, and what its labels and masks are told from.

    Args:
        fitted: The fitted run.
        trial: The studies, and where the results go.
        options: Masks, pictures, probes.

    Returns:
        The summary: a row a scan, level and measure.

    Raises:
        ScanweaveError: No study could be measured.
    """
    rows: list[dict[str, Any]] = []

    def told(study: Study) -> list[dict[str, Any]]:
        return measured(fitted, study, options.seed)

    for name, found in trial.each(told, options):
        rows += found
        means = ", ".join(f"{row['scan']} {row['level']} {row['error']:.3f}" for row in found)
        trial.say(f"{name}: error {means}")
    table = pd.DataFrame(rows)
    save_table(table, trial.folder / ERRORS)
    summary = summarise(table, ["scan", "level"], ["error", PLAIN], options.seed)
    probes = pd.DataFrame(probe_rows(fitted, trial, options.seed) if options.probe else [])
    if not probes.empty:
        save_table(probes, trial.folder / PROBES)
    pictures = _draw(fitted, trial, table, options.pictures)
    plain = probes.astype(object).where(probes.notna(), None).to_dict("records")
    trial.conclude(summary, pictures=pictures, probes=plain)
    for (scan, level), group in summary.groupby(["scan", "level"], sort=False):
        means = group.set_index("measure")["mean"]
        trial.say(
            f"{scan}, {level}: error of hidden blocks {means['error']:.3f}, of the mean of each {means[PLAIN]:.3f}"
        )
    return summary


def measured(fitted: FittedMim, study: Study, seed: int) -> list[dict[str, Any]]:
    """Return the error of each scan and level of a study, over some crops and masks.

    Raises:
        ScanweaveError: It holds no scan of the run.
    """
    rows = []
    for name, volume in fitted.prepared(study).volumes.items():
        draws = []
        for number in range(CROPS):
            rng = np.random.default_rng([seed, number])
            drawn = fitted.reconstructor.drawn(volume, background(fitted.plan, name), rng)
            draws.append(fitted.reconstructor.errors(drawn))
        for level, (error, plain) in enumerate(np.mean(draws, axis=0).tolist(), start=1):
            about = {"study": study.id, "patient": study.patient, "scan": name, "level": f"level {level}"}
            rows.append({**about, "error": error, PLAIN: plain})
    return rows


def _draw(fitted: FittedMim, trial: Trial, table: pd.DataFrame, number: int) -> dict[str, str]:
    """Draw studies from the best to the worst reconstructed; return what each picture shows, by its name."""
    order = table.groupby("study")["error"].mean().sort_values()
    places = sorted({round(place) for place in np.linspace(0, len(order) - 1, min(number, len(order)))})
    told = {}
    for place in places:
        study = trial.study(str(order.index[place]))
        prepared = fitted.prepared(study)
        name, volume = next(iter(prepared.volumes.items()))
        shown = fitted.reconstructor.example(volume, background(fitted.plan, name), place)
        file = f"{study.id}.png"
        save_figure(reconstruction_figure(*shown, prepared.frames[name].working.spacing), trial.folder / file)
        told[file] = (
            f"{study.id}, {name}: as it is, what the network saw, and its reconstruction; error "
            f"{order.iloc[place]:.2f}, {place + 1} of {count(len(order), 'study', 'studies')} from the best."
        )
    return told
