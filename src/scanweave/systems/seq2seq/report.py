"""The report of a run: one page of what was in the cohort, what was learnt, how good it is, and what it shows."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scanweave.engine.run import Run
from scanweave.engine.selection import COHORT, Kind, describe_cohort, find_output
from scanweave.errors import ScanweaveError
from scanweave.files import read_json
from scanweave.measures.bootstrap import Interval
from scanweave.report.availability import availability_plot
from scanweave.report.blocks import Block, Figure, KeyNumbers, Section, Table, Text
from scanweave.report.curves import learning_curve
from scanweave.report.page import write_report
from scanweave.report.provenance import duration, run_provenance
from scanweave.report.ranking import RankedMeasure, ranking_plot
from scanweave.report.tables import metric_table
from scanweave.report.values import Estimate
from scanweave.studies.cohort import Cohort
from scanweave.studies.plan import Plan
from scanweave.systems.seq2seq.differentiation import EXPLANATION, SHEET
from scanweave.systems.seq2seq.evaluation import ANY, DRAWN, GRID, SUMMARY
from scanweave.systems.seq2seq.figures import quality_matrix
from scanweave.systems.seq2seq.ranking import TITLES
from scanweave.systems.seq2seq.synthesis import ALL

CITATION = """\
@article{han2024seq2seq,
  author  = {Han, Luyi and others},
  title   = {Synthesis-based imaging-differentiation representation learning for multi-sequence 3D/4D MRI},
  journal = {Medical Image Analysis},
  year    = {2024},
  note    = {arXiv:2302.00517}
}

@software{scanweave,
  author  = {{The scanweave founders}},
  title   = {scanweave: learn from incomplete, many-view medical imaging studies},
  version = {VERSION}
}"""
METRICS = {"psnr": "higher", "loss": "lower", "cross": "lower"}
MAPS = 2
"""Sequences whose maps are shown in three planes."""
DIAGONAL = {
    "exclude": "without self-reconstructions",
    "in_norm": "self-reconstructions in the z-scores only",
    "include": "with self-reconstructions",
}


ENOUGH = 5
"""Patients below which the page does not say how sure a ranking is: resamples of so few hardly differ."""


def write(run: Run, plan: Plan, path: str | Path | None = None) -> Path:
    """Write the report of a run from what its folder holds; what is absent is named with the command that makes it.

    Args:
        run: The run.
        plan: Its preparation.
        path: The file; None: `report.html` in the run.
    """
    sections = [
        _cohort(run, plan),
        _preparation(plan),
        _learning(run),
        _synthesis(run, plan),
        _quality(run, plan),
        _ranking(run),
        _maps(run),
    ]
    shown = Section("In short", "", [KeyNumbers(_key_numbers(run, plan))])
    names = ", ".join(plan.sequences)
    return write_report(
        path if path is not None else run.folder / "report.html",
        f"Any sequence from any other: {run.folder.resolve().name}",
        f"Seq2Seq fitted to {names}: how well each is made from the others, and what each alone shows.",
        [shown, *sections],
        run_provenance(run.record, run.config),
        CITATION.replace("VERSION", str(run.record.get("versions", {}).get("scanweave", "")) or "unknown"),
    )


def _key_numbers(run: Run, plan: Plan) -> list[tuple[str, Any, str]]:
    items: list[tuple[str, Any, str]] = [("Sequences", len(plan.sequences), "learnt together by one network")]
    about = _cohort_facts(run, plan)
    if about is not None:
        parts = about["parts"]
        items.append(("Training studies", parts["train"]["studies"], f"of {about['studies']} in the cohort"))
    summary = _summary(run)
    if summary is not None:
        for kind, source, words in (("pair", ANY, "from one other"), ("all", ALL, "from all others")):
            found = _estimates(summary, kind, source, ANY, "brain").get("psnr")
            if found is not None:
                items.append(("PSNR in the brain [dB]", _rounded(found), f"{words}, {_people(found.n)}"))
    ranking = _record(run, "ranking", "ranking.json")
    if ranking is not None:
        best = min(zip(ranking["C_d"], ranking["sequences"], strict=True), key=lambda pair: pair[0]["rank"])
        share = best[0]["probability"][0]
        sure = share is not None and ranking["patients"] >= ENOUGH
        doubt = f"highest C_d in {share:.0%} of resamples" if sure else "highest C_d, too few patients to be sure"
        items.append(("Hardest to replace", best[1], f"{doubt}, {_people(ranking['patients'])}"))
    return items


def _cohort(run: Run, plan: Plan) -> Section:
    about = _cohort_facts(run, plan)
    if about is None:
        return Section("The cohort", "", [Text("The cohort of the fit no longer lies where it was.")])
    studies = [row["sequences"] for row in about["combinations"] for _ in range(row["studies"])]
    counts = {name: sum(name in present for present in studies) for name in plan.sequences}
    described = ", ".join(f"{name} in {count}" for name, count in counts.items())
    parts = {
        "train": "trains the network",
        "validation": "chooses the weights",
        "test": "is set aside for the figures below",
    }
    rows = [{"part": name, "what for": parts[name], **about["parts"][name]} for name in parts]
    lead = f"{about['studies']} studies of {about['patients']} patients; what was not acquired is absent, not zero."
    figure = Figure(
        availability_plot(studies, plan.sequences),
        "Each column is a combination of sequences and the number of studies that hold it; each row is a sequence.",
        f"Availability of the sequences over {len(studies)} studies: {described}.",
        vector=True,
    )
    table = Table(rows, f"Parts of fold {about['fold']}; a patient's studies are all in one part.")
    return Section("The cohort", lead, [figure, table])


def _preparation(plan: Plan) -> Section:
    rows = []
    for reason in plan.reasons:
        what, _, why = reason.partition(": ") if ": " in reason else reason.partition(" ")
        rows.append({"what": what, "how and why": why})
    lead = "Learnt from training studies, the same for every study, inverted on output."
    return Section("How it was prepared", lead, [Table(rows, "The preparation of every study.")])


def _learning(run: Run) -> Section:
    metrics = run.metrics()
    try:
        figure = learning_curve(metrics, METRICS)
    except ScanweaveError:
        return Section("How it learnt", "", [Text("The run has no metrics yet.")])
    caption = (
        "psnr: mean over all source → target pairs of the validation studies, scans in [−1, 1]; loss: the weighted sum "
        "that is minimised; cross: error of the target made from another sequence."
    )
    alt = "Learning curves of the training loss and the validation PSNR over the steps."
    record = run.record
    items = [
        ("Steps", record.get("step"), ""),
        ("Time", duration(float(record.get("seconds") or 0)), f"on {record.get('device', 'unknown')}"),
        ("Weights kept", record.get("weights"), "best: highest validation PSNR"),
        ("Steps skipped", record.get("skipped"), "for a loss that was not finite"),
    ]
    blocks: list[Block] = [KeyNumbers([item for item in items if item[1] is not None])]
    return Section("How it learnt", "", [*blocks, Figure(figure, caption, alt, vector=True)])


def _synthesis(run: Run, plan: Plan) -> Section:
    title, folder = "From each sequence to each other", find_output(run, "evaluation")
    summary, record = _summary(run), _record(run, "evaluation", f"{SUMMARY}.json")
    if folder is None or summary is None or record is None:
        return _absent(run, title, "evaluate")
    blocks: list[Block] = []
    if (folder / GRID).is_file():
        blocks.append(
            Figure(
                (folder / GRID).read_bytes(),
                f"{record['about']['picture']}: the real scans, and below them what each source makes of every target, "
                f"with the absolute error in shares of the target's range; at most {DRAWN} sources, and all others "
                "together. The figures are the PSNR in the brain of the whole volume.",
                "Real scans, predictions of every sequence from every other, and their errors.",
            )
        )
    caption = "Mean over studies; darker is better. The last row is made from all other sequences together."
    alt = "Matrix of mean PSNR and SSIM in the brain by source and target; the figures stand in the tables below."
    blocks.append(Figure(quality_matrix(summary, plan.sequences), caption, alt, vector=True))
    return Section(title, _whose(record), blocks)


def _quality(run: Run, plan: Plan) -> Section:
    summary, title = _summary(run), "How good it is"
    if summary is None:
        return _absent(run, title, "evaluate")
    by_target: dict[tuple[str, ...], dict[str, Estimate]] = {
        (target, words): estimates
        for target in [*plan.sequences, ANY]
        for kind, source, words in (("pair", ANY, "one other"), ("all", ALL, "all others"))
        if (estimates := _estimates(summary, kind, source, target, "brain"))
    }
    by_target = {(("mean of all" if t == ANY else t), words): e for (t, words), e in by_target.items()}
    by_region: dict[tuple[str, ...], dict[str, Estimate]] = {
        (region, words): _estimates(summary, kind, source, ANY, region)
        for region in ("brain", "box", "volume")
        for kind, source, words in (("pair", ANY, "one other"), ("all", ALL, "all others"))
    }
    lead = (
        "On the native grid, against the scan that was acquired; 95 % intervals from resampling patients. The range "
        "of PSNR and SSIM is the 99.5th percentile of the real scan in the brain. A prediction is given the intensity "
        "scale of the real scan, since MR intensities have no unit."
    )
    return Section(
        title,
        lead,
        [
            metric_table(by_target, ("target", "made from"), "In the brain, by target."),
            metric_table(by_region, ("region", "made from"), "All targets, by region."),
        ],
    )


def _ranking(run: Run) -> Section:
    title, record = "Which sequence matters", _record(run, "ranking", "ranking.json")
    if record is None:
        return _absent(run, title, "rank")
    names, options = record["sequences"], record["options"]
    measures = [
        RankedMeasure(
            TITLES[name],
            dict(zip(names, (_interval(row, record["patients"], "value") for row in record[name]), strict=True)),
            np.array([row["probability"] for row in record[name]], dtype=float),
        )
        for name in ("C_d", "C_t")
    ]
    rows = [
        {
            "sequence": name,
            "C_d": measures[0].scores[name],
            "rank by C_d": _place(hard),
            "C_t": measures[1].scores[name],
            "rank by C_t": _place(good),
        }
        for name, hard, good in zip(names, record["C_d"], record["C_t"], strict=True)
    ]
    rows.sort(key=lambda row: -row["C_d"].value)
    conventions = (
        f"Quality in the {options['region']}, third index {record['third'].upper()}, z-scores over "
        f"{options['normalise_by']}, {DIAGONAL[options['diagonal']]}, divided by "
        f"{options['divide_by']}; {_people(record['patients'])}, {options['repeats']} resamples. The sums of C_t and "
        "of −C_d are equal, as they must be."
    )
    unseen = ", ".join(f"{a} → {b}" for a, b in record["unseen"])
    notes = [Text(f"Never seen together, so counted as average: {unseen}.")] if unseen else []
    lead = (
        "C_t: how well a sequence makes the others. C_d: how hard it is to make from the others, so how much it alone "
        "shows to this network; noise that nothing predicts counts as well."
    )
    alt = "Scores with intervals and rank probabilities; the figures stand in the table below."
    figure = Figure(ranking_plot(measures), conventions, alt, vector=True)
    table = Table(rows, "Higher is earlier; in brackets the 95 % interval.", {"C_d": "{:.2f}", "C_t": "{:.2f}"})
    return Section(title, lead, [figure, *notes, table])


def _maps(run: Run) -> Section:
    title, folder = "What each sequence alone shows", find_output(run, "explanation")
    record = _record(run, "explanation", f"{EXPLANATION}.json")
    if folder is None or record is None:
        return _absent(run, title, "explain")
    blocks: list[Block] = []
    for case in record["about"]["pictures"][:1]:
        if (folder / case / SHEET).is_file():
            blocks.append(
                Figure(
                    (folder / case / SHEET).read_bytes(),
                    f"{case}: real scans, and below them M_d in the brain, on one scale; the line is the lesion.",
                    f"Slices of all sequences of {case} with their imaging-differentiation maps.",
                )
            )
        blocks += _overlays(folder / case, case, record)
    measures = list(dict.fromkeys(row["measure"] for row in record["summary"]))
    names = {"mean": "mean M_d"} | {name: _lesion_words(name) for name in measures if name != "mean"}
    found: dict[str, dict[str, Any]] = {}
    for row in record["summary"]:
        found.setdefault(row["sequence"], {})[names[row["measure"]]] = _interval(row, row["patients"], "mean")
    rows = [
        {"sequence": name, **{names[m]: e.get(names[m]) for m in measures}, "patients": e[names["mean"]].n}
        for name, e in found.items()
    ]
    ill = max((row["patients"] for row in record["summary"] if row["measure"] == "auroc_any"), default=0)
    formats = {words: "{:.3f}" if words == names["mean"] else "{:.2f}" for words in names.values()}
    caption = (
        f"Mean M_d in the brain with 95 % intervals over patients. AUROC (up to {_people(ill)} with a lesion): the "
        "chance that a voxel of the lesion has a higher M_d than one elsewhere in the brain; 0.5 is no better than "
        "guessing."
    )
    lead = (
        "M_d is the mean absolute error over all single sources, voxel by voxel, scans in [−1, 1]: high where no other "
        "sequence tells what is there. It needs the real scan and says nothing about one that is absent."
    )
    whose = _whose(record)
    return Section(title, f"{lead} {whose}", [*blocks, Table(rows, caption, formats)])


def _overlays(folder: Path, case: str, record: dict[str, Any]) -> list[Block]:
    """Maps of a study in three planes: those that tell its lesion best, or without one those of the highest mean."""
    rows = [row for row in record["rows"] if row["study"] == case]
    rows.sort(key=lambda row: (max(_aurocs(row), default=0.0), row["mean"]), reverse=True)
    blocks: list[Block] = []
    for row in rows[:MAPS]:
        path = folder / f"{case}_{row['sequence']}_differentiation.png"
        if path.is_file():
            over = f"M_d in the brain over {row['sources']} sources"
            text = f"{case}, {row['sequence']}: the real scan, and {over}; the line is the lesion."
            blocks.append(Figure(path.read_bytes(), text, f"{text} Three planes."))
    return blocks


def _aurocs(row: dict[str, Any]) -> list[float]:
    return [value for name, value in row.items() if name.startswith("auroc_") and value is not None]


def _absent(run: Run, title: str, verb: str) -> Section:
    command = f"scanweave {verb} {shlex.quote(run.folder.name)} --cohort COHORT"
    return Section(title, "", [Text(f"Not made yet. This makes it: {command}")])


def _cohort_facts(run: Run, plan: Plan) -> dict[str, Any] | None:
    known = run.folder / COHORT
    if known.is_file():
        return read_json(known, "Remove it; the report then opens the cohort")
    folder = Path((run.record.get("cohort") or {}).get("path", ""))
    try:
        return describe_cohort(Cohort.open(folder), plan.sequences, int(run.config.get("fold", 0)))
    except ScanweaveError:
        return None


def _record(run: Run, kind: Kind, name: str) -> dict[str, Any] | None:
    folder = find_output(run, kind)
    if folder is None or not (folder / name).is_file():
        return None
    return read_json(folder / name, f"Remove {folder}, and make it again")


def _summary(run: Run) -> pd.DataFrame | None:
    record = _record(run, "evaluation", f"{SUMMARY}.json")
    return None if record is None else pd.DataFrame(record["rows"])


def _estimates(summary: pd.DataFrame, kind: str, source: str, target: str, region: str) -> dict[str, Estimate]:
    where = {"kind": kind, "source": source, "target": target, "region": region}
    rows = summary[np.logical_and.reduce([summary[name] == value for name, value in where.items()])]
    return {row["measure"]: _interval(row, row["patients"], "mean") for row in rows.to_dict("records")}


def _interval(row: dict[str, Any], patients: int, value: str) -> Interval:
    low, high = (float("nan") if row[name] is None else float(row[name]) for name in ("low", "high"))
    return Interval(float(row[value]), low, high, int(patients))


def _rounded(found: Estimate) -> Interval:
    return Interval(round(found.value, 1), round(found.low, 1), round(found.high, 1), found.n)


def _place(row: dict[str, Any]) -> str:
    if row["rank_low"] is None:
        return str(row["rank"])
    return f"{row['rank']} [{row['rank_low']:.0f}–{row['rank_high']:.0f}]"


def _lesion_words(measure: str) -> str:
    label = measure.removeprefix("auroc_")
    return "AUROC lesion" if label == "any" else f"AUROC label {label}"


def _whose(record: dict[str, Any] | None) -> str:
    about = (record or {}).get("about", {})
    rows: Sequence[dict[str, Any]] = (record or {}).get("rows", [])
    if not about:
        return ""
    studies = max((row["studies"] for row in rows if "studies" in row), default=0) or len({r["study"] for r in rows})
    parts = {"all": "all studies", "unseen": "all studies of patients that the fit did not see"}
    part = parts.get(about["part"], f"the {about['part']} part of fold {about['fold']}")
    seen = {None: " Whether the fit saw them is not known.", 0: ""}.get(
        about["seen"], f" The fit saw {about['seen']} of them."
    )
    left = f" {len(about['left_out'])} were left out." if about["left_out"] else ""
    return f"{studies} studies, {part} of {_quoted(about['name'])}.{seen}{left}"


def _quoted(name: str) -> str:
    return f"the cohort “{name}”" if name else "the cohort given"


def _people(number: int) -> str:
    return f"{number} patient" + "s" * (number != 1)
