"""Imaging-differentiation maps: what a sequence shows that no other tells (spec c)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanweave.engine.progress import in_parts
from scanweave.files import write_json
from scanweave.framework.trial import Trial
from scanweave.measures.bootstrap import bootstrap
from scanweave.measures.separation import voxelwise_auroc
from scanweave.report.maps import map_overlay
from scanweave.report.saving import save_figure, save_table
from scanweave.report.slices import PLANES, telling_slice
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.preparing.preparation import PreparedStudy
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study
from scanweave.systems.seq2seq.config import ExplainOptions
from scanweave.systems.seq2seq.contributions import on_native_grid, save_contributions, study_contributions
from scanweave.systems.seq2seq.figures import differentiation_sheet
from scanweave.systems.seq2seq.fitted import FittedSeq2Seq
from scanweave.systems.seq2seq.native_grid import NativeStudy, Volume, native_study
from scanweave.systems.seq2seq.synthesis import (
    CoveredMean,
    FusingSynthesizer,
    Synthesizer,
    covered_by,
    mean_frame,
    predictions,
)

EXPLANATION, SHEET = "explanation", "differentiation.png"
SCALE_END_PERCENTILE = 99.5
"""Percentile of a study's maps in the brain that ends their common colour scale."""


def differentiation(
    synthesizer: Synthesizer, volumes: Mapping[str, Volume], *, include_self: bool = False
) -> tuple[dict[str, Volume], dict[str, list[str]]]:
    """Return M_d(t) = mean over the sources s of |G(x_s → t) − x_t|, on volumes in [-1, 1].

    Args:
        synthesizer: The network.
        volumes: The real scans of a study on one grid, NaN where one covers nothing; each is a source of all others.
            The error of a series is its mean over the frames.
        include_self: Count t as a source of itself too, as the paper's code does.

    Returns:
        The map of each sequence that has a source, `(X, Y, Z)` in [0, 2], 0 where the sequence or every source covers
        nothing; and its sources.
    """
    means: defaultdict[str, CoveredMean] = defaultdict(lambda: CoveredMean(next(iter(volumes.values())).shape[:3]))
    sources: dict[str, list[str]] = {}
    number = len(volumes) * (len(volumes) + include_self)
    made_by_network = predictions(synthesizer, volumes, list(volumes), include_self=include_self)
    for made in in_parts(made_by_network, number):
        if made.kind != "all":
            error = mean_frame(np.abs(made.volume - volumes[made.target]))
            covered = ~np.isnan(error) & covered_by(volumes[made.source])
            means[made.target].add(error, covered)
            sources.setdefault(made.target, []).append(made.source)
    return {name: means[name].value(0) for name in volumes if name in means}, sources


def explain(fitted: FittedSeq2Seq, trial: Trial, options: ExplainOptions) -> pd.DataFrame:
    """Write the differentiation map of every present sequence as NIfTI on the native grid, with pictures.

    Args:
        fitted: The fitted run.
        trial: The studies, and where the results go.
        options: How maps are made and how many pictures.

    Returns:
        One row a study and sequence: sources, mean M_d in the brain and, where the study has a mask `lesion`, how
        well the map tells each label of it from the rest of the brain (AUROC; `any` for all labels together).

    Raises:
        ScanweaveError: No study holds two sequences that the run knows.
    """
    rows: list[dict[str, Any]] = []
    contributions: list[dict[str, Any]] = []
    drawn: list[str] = []
    masked, self_too = True, options.include_self

    def mapped(study: Study) -> dict[str, Any]:
        prepared = fitted.prepare_several(study)
        native = native_study(study, prepared, fitted.plan)
        maps, sources = _maps(fitted, prepared, self_too)
        for name, values in maps.items():
            _write_map(trial.folder / study.id, native, name, values, sources[name], self_too)
        found = [_row(native, name, values, len(sources[name])) for name, values in maps.items()]
        draw = len(drawn) < options.pictures
        if draw:
            _draw(trial.folder / study.id, native, maps, found)
        fusing = fitted.synthesizer_of(prepared)
        counted = (
            study_contributions(fusing, prepared, native, fitted.plan, trial.folder / study.id)
            if isinstance(fusing, FusingSynthesizer)
            else []
        )
        return {"rows": found, "contributions": counted, "masked": native.masked, "drawn": draw}

    for case, found in trial.each(mapped, options):
        masked = masked and found["masked"]
        rows += found["rows"]
        contributions += found["contributions"]
        drawn += [case] * found["drawn"]
        words = ", ".join(f"{row['sequence']} {row['mean']:.3f}" for row in found["rows"])
        trial.say(f"{case}: {words} (mean M_d)")
    table = pd.DataFrame(rows)
    about = {**trial.about, "include_self": self_too, "left_out": trial.left_out, "pictures": drawn}
    about["brain"] = "mask" if masked else "foreground"
    save_table(table, trial.folder / f"{EXPLANATION}.csv")
    record = _record(table, about, fitted.sequences)
    if contributions:
        record["contributions"] = save_contributions(contributions, trial.folder, list(fitted.sequences))
    write_json(trial.folder / f"{EXPLANATION}.json", record)
    trial.note()
    return table


def _maps(
    fitted: FittedSeq2Seq, prepared: PreparedStudy, include_self: bool
) -> tuple[dict[str, Volume], dict[str, list[str]]]:
    maps, sources = differentiation(fitted.synthesizer_of(prepared), prepared.volumes, include_self=include_self)
    return {name: on_native_grid(values, prepared.frame, fitted.plan) for name, values in maps.items()}, sources


def _write_map(
    folder: Path, native: NativeStudy, name: str, values: Volume, sources: Sequence[str], include_self: bool
) -> None:
    provenance = {
        "what": "imaging-differentiation map: mean over the sources of |prediction - real|, scans in [-1, 1]",
        "target": name,
        "sources": list(sources),
        "count": len(sources),
        "include_self": include_self,
    }
    scan = Scan.of(values, native.grid.affine, synthetic=True)
    write_scan(folder / f"{native.id}_{name}_differentiation.nii.gz", scan, provenance)


def _row(native: NativeStudy, name: str, values: Volume, sources: int) -> dict[str, Any]:
    found: dict[str, Any] = {"study": native.id, "patient": native.patient, "sequence": name, "sources": sources}
    found["mean"] = float(values[native.brain].mean())
    for label, region in _lesions(native).items():
        if 0 < np.count_nonzero(region & native.brain) < np.count_nonzero(native.brain):
            found[f"auroc_{label}"] = voxelwise_auroc(values, region, native.brain)
    return found


def _lesions(native: NativeStudy) -> dict[str, NDArray[np.bool_]]:
    if native.lesion is None or not native.lesion.any():
        return {}
    labels = [int(label) for label in np.unique(native.lesion) if label > 0]
    return {str(label): native.lesion == label for label in labels} | {"any": native.lesion > 0}


def _draw(folder: Path, native: NativeStudy, maps: Mapping[str, Volume], rows: Sequence[Mapping[str, Any]]) -> None:
    lesion = native.ras(native.lesion > 0) if native.lesion is not None and native.lesion.any() else None
    spacing = native.grid.oriented("RAS").spacing
    limit = max(float(np.percentile(values[native.brain], SCALE_END_PERCENTILE)) for values in maps.values()) or 1.0
    real = {name: native.ras(mean_frame(volume)) for name, volume in native.real.items()}
    turned = {name: native.ras(np.where(native.brain, maps[name], 0)) for name in native.real if name in maps}
    inside = native.ras(native.brain) if lesion is None else lesion
    index = telling_slice(inside * np.max(list(turned.values()), axis=0), "axial")
    save_figure(differentiation_sheet(real, turned, spacing, index, limit, lesion), folder / SHEET)
    for name, values in turned.items():
        label = _clearest(next(row for row in rows if row["sequence"] == name))
        weight = native.ras(_lesions(native)[label]) * values if label else inside * values
        x, y, z = (telling_slice(weight, plane) for plane in PLANES)
        figure = map_overlay(real[name], values, spacing, f"M_d of {name}", limit, lesion, (x, y, z))
        save_figure(figure, folder / f"{native.id}_{name}_differentiation.png")


def _clearest(row: Mapping[str, Any]) -> str | None:
    """Return the lesion label that a map tells best; its slices are shown."""
    found = {name.removeprefix("auroc_"): value for name, value in row.items() if name.startswith("auroc_")}
    return max(found, key=lambda label: found[label]) if found else None


def _record(table: pd.DataFrame, about: dict[str, Any], sequences: Sequence[str]) -> dict[str, Any]:
    """Return the table and its means by sequence with intervals over patients, as plain values."""
    columns = ["mean", *[name for name in table if str(name).startswith("auroc_")]]
    summary = []
    for name in sequences:
        group = table[table["sequence"] == name]
        for column in columns:
            present = group[group[column].notna()]
            if len(present):
                found = bootstrap(present[column], list(present["patient"]), seed=0)
                ends = {"low": found.low, "high": found.high} if found.n > 1 else {"low": None, "high": None}
                summary.append({"sequence": name, "measure": column, "mean": found.value, **ends, "patients": found.n})
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return {"format": 1, "about": about, "summary": summary, "rows": rows}
