"""Results of a reading study: tables by reader, pooled, and of a machine that sat the same test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from scanweave.errors import ScanweaveError
from scanweave.measures.reading import Readings, agreement, auroc, repeated, summarise_readings
from scanweave.reading.answers import ReadingStudy, read_key
from scanweave.reading.build import ITEMS
from scanweave.report.blocks import KeyNumbers, Section, Table, Text
from scanweave.report.page import write_report
from scanweave.report.saving import save_table
from scanweave.wording import count

Say = Callable[[str], None]
TABLE, PAGE, MACHINE = "readers.csv", "readers.html", "machine"
SHELLS = 6
"""Shells around the middle of a crop whose intensities the machine sees."""
FOLDS = 5


def analyse(study: ReadingStudy, key: Path, out: Path, say: Say = print) -> pd.DataFrame:
    """Write tables and a page of what readers told.

    Args:
        study: The study with its answers.
        key: The key.
        out: A new folder.
        say: Takes lines on results.

    Returns:
        The table of `measures.reading.summarise_readings`, with the machine as one more reader, not pooled.

    Raises:
        ScanweaveError: The key is another one, nobody has answered all items, or `out` is there.
    """
    if out.exists():
        raise ScanweaveError(out, "exists already", "Choose another --out, or remove it")
    truth = read_key(key, study)
    first = [name for name in study.items if truth[name]["again"] is None]
    answers = {reader: {str(one["item"]): one for one in study.answered(reader)} for reader in study.readers()}
    whole = [reader for reader, own in answers.items() if own.keys() >= set(study.items)]
    if not whole:
        told = (
            ", ".join(f"{reader} {len(own)} of {len(study.items)}" for reader, own in answers.items()) or "no answers"
        )
        raise ScanweaveError(
            study.folder, f"no reader has finished ({told})", "Let them go on: scanweave readers serve"
        )
    for reader in answers.keys() - set(whole):
        say(f"left out: {reader}, who has answered {len(answers[reader])} of {len(study.items)} items")
    made = [bool(truth[name]["made"]) for name in first]
    called, sure = (
        [[answers[reader][name][field] for name in first] for reader in whole] for field in ("made", "confidence")
    )
    readings = Readings.of(made, called, sure, whole)
    told = summarise_readings(readings)
    save_table(told, out / TABLE)
    machine = machine_rows(study, first, np.array(made))
    table = pd.concat([told, machine], ignore_index=True)
    save_table(table, out / TABLE)
    again = {reader: _again(answers[reader], truth) for reader in whole}
    facts = {
        "fleiss kappa": agreement(readings),
        **{f"kappa of {reader} with himself": k for reader, k in again.items()},
    }
    _page(out, study, told, machine, facts, truth)
    for row in told[told["measure"].isin(["accuracy", "AUC", "d′"])].to_dict("records"):
        say(f"{row['reader']}: {row['measure']} {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]")
    return table


def machine_rows(study: ReadingStudy, items: list[str], made: NDArray[np.bool_]) -> pd.DataFrame:
    """Return the AUC of a logistic regression of shells of the crops, each item by folds that did not see it."""
    features = np.array([shell_features(study.folder / ITEMS / f"{name}.nii") for name in items])
    folds = min(FOLDS, int(made.sum()), int((~made).sum()))
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    parts = StratifiedKFold(folds, shuffle=True, random_state=0)
    shares = cross_val_predict(model, features, made, cv=parts, method="predict_proba")[:, 1]
    value = auroc(made, shares)
    nothing = float("nan")
    return pd.DataFrame(
        [{"reader": MACHINE, "measure": "AUC", "value": value, "low": nothing, "high": nothing, "n": len(items)}]
    )


def shell_features(path: Path) -> NDArray[np.float64]:
    """Return mean, deviation and steepness of intensities in shells around the middle of a crop."""
    volume = np.asarray(nib.load(path).dataobj, dtype=np.float32)
    grid = np.ogrid[tuple(slice(0, size) for size in volume.shape)]
    away = np.sqrt(sum((axis - (size - 1) / 2) ** 2 for axis, size in zip(grid, volume.shape, strict=True)))
    number = np.minimum((away / (volume.shape[0] / 2) * SHELLS).astype(int), SHELLS)
    steep = ndimage.gaussian_gradient_magnitude(volume, 1.0)
    found: list[float] = []
    for shell in range(SHELLS):
        there = number == shell
        if there.any():  # the innermost shell of a small crop holds no voxel
            found += [float(volume[there].mean()), float(volume[there].std()), float(steep[there].mean())]
    return np.array(found)


def _again(answers: dict[str, dict[str, Any]], truth: dict[str, dict[str, Any]]) -> float:
    twice = {name: about["again"] for name, about in truth.items() if about["again"]}
    pairs = [(answers[first]["made"], answers[name]["made"]) for name, first in twice.items()]
    return repeated(*zip(*pairs, strict=True)) if pairs else float("nan")


def _page(
    out: Path,
    study: ReadingStudy,
    table: pd.DataFrame,
    machine: pd.DataFrame,
    facts: dict[str, float],
    truth: dict[str, dict[str, Any]],
) -> None:
    readers = [name for name in dict.fromkeys(table["reader"]) if name != "all"]
    shown = [
        {"reader": name} | {row["measure"]: _cell(row) for row in table[table["reader"] == name].to_dict("records")}
        for name in dict.fromkeys(table["reader"])
    ]
    twice = sum(about["again"] is not None for about in truth.values())
    lead = (
        f"{count(len(readers), 'reader')}, {len(study.items) - twice} tumours, half of them made, {twice} shown twice. "
        "Positive is synthetic: sensitivity is the share of made tumours that were called so."
    )
    words = (
        "That no difference from chance is found does not say that there is none: look at the interval, and at the "
        "test of equivalence, whose p below 0.05 says that accuracy lies within 0.1 of chance."
    )
    numbers = [(name, f"{value:.2f}" if np.isfinite(value) else "–", "") for name, value in facts.items()]
    machine_auc = f"{machine['value'].iloc[0]:.2f}"
    numbers.append(("AUC of a machine", machine_auc, "logistic regression of shells, cross-fitted"))
    caption = "In brackets 95 % intervals; of all readers, both readers and items count as drawn."
    sections = [
        Section("Readers", lead, [Table(shown, caption), Text(words)]),
        Section("Agreement", "", [KeyNumbers(numbers)]),
    ]
    provenance = {"key": study.about["key_sha256"][:12], "items": len(study.items)}
    title, told = f"Reading study: {study.folder.name}", "Made and real tumours, told apart."
    write_report(out / PAGE, title, told, sections, provenance, "", "")


def _cell(row: dict[str, Any]) -> str:
    interval = "" if np.isnan(row["low"]) else f" [{row['low']:.2f}, {row['high']:.2f}]"
    return f"{row['value']:.2f}{interval}"
