"""The report of a run: one page of what was in the cohort, what was learnt, how good it is, and what it shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.framework.cohort_fit import describe_cohort
from scanweave.framework.run_outputs import result_picture
from scanweave.framework.run_page import RunPage
from scanweave.measures.summary import LEAST_PATIENTS_FOR_INTERVAL, estimate, sureness
from scanweave.report.availability import availability_plot
from scanweave.report.blocks import Block, Caution, Figure, KeyNumbers, Section, Table, Text
from scanweave.report.ranking import ranking_plot
from scanweave.report.runs import cohort_parts, tried_on
from scanweave.report.tables import metric_table
from scanweave.report.values import Estimate
from scanweave.studies.cohort import Cohort
from scanweave.studies.preparing.plan import Plan
from scanweave.systems.seq2seq.config import PRESETS
from scanweave.systems.seq2seq.contributions import MATRIX
from scanweave.systems.seq2seq.differentiation import EXPLANATION, SHEET
from scanweave.systems.seq2seq.evaluation import ANY, CURVES, DRAWN, GRID
from scanweave.systems.seq2seq.figures import quality_matrix
from scanweave.systems.seq2seq.plain_mean import LEARNT, Below, known_below
from scanweave.systems.seq2seq.ranking import ranked_measures
from scanweave.systems.seq2seq.synthesis import ALL, MEAN
from scanweave.wording import count

PAPER = """\
@article{han2024seq2seq,
  author  = {Han, Luyi and others},
  title   = {Synthesis-based imaging-differentiation representation learning for multi-sequence 3D/4D MRI},
  journal = {Medical Image Analysis},
  year    = {2024},
  note    = {arXiv:2302.00517}
}
"""
METRICS = {
    "psnr": ("higher", "mean over all source → target pairs of the validation studies, scans in [−1, 1]"),
    "loss": ("lower", "the weighted sum that is minimised"),
    "cross": ("lower", "error of the target made from another sequence"),
}
"""Curves of the learning: which way is better, and a description."""
MADE = (("pair", ANY, "one other"), (ALL, ALL, "all others"), (MEAN, MEAN, "mean of the others, no network"))
"""Kind and source of the rows in tables of quality, and their name."""
SYNTHESIS, RANKED = "From each sequence to each other", "Which sequence matters"
MAPPED = "What each sequence alone shows"
"""Titles of sections."""
MAPS = 2
"""Sequences whose maps are shown in three planes."""
DIAGONAL = {
    "exclude": "without self-reconstructions",
    "in_norm": "self-reconstructions in the z-scores only",
    "include": "with self-reconstructions",
}


@dataclass(frozen=True, eq=False)
class _Results:
    """Results of a run: its folder, its preparation, and the records of its newest results, if there are any."""

    page: RunPage
    plan: Plan

    @property
    def run(self) -> Run:
        """The run."""
        return self.page.run

    @cached_property
    def evaluation(self) -> dict[str, Any] | None:
        return self.page.record("evaluation")

    @cached_property
    def ranking(self) -> dict[str, Any] | None:
        return self.page.record("ranking", "ranking.json")

    @cached_property
    def summary(self) -> pd.DataFrame | None:
        return None if self.evaluation is None else pd.DataFrame(self.evaluation["rows"])

    @property
    def where(self) -> str:
        """Name of the region `brain` of the evaluation."""
        return _brain(self.evaluation)

    @cached_property
    def caution(self) -> list[Block]:
        """Caution about a network that does not beat the mean of the others in PSNR and SSIM; else nothing."""
        made, mean = (self.estimates(kind, kind, ANY, "brain") for kind in (ALL, MEAN))
        if not made or not mean or all(made[name].value > mean[name].value for name in LEARNT):
            return []
        (psnr, ssim), (psnr_of_mean, ssim_of_mean) = ([found[name].value for name in LEARNT] for found in (made, mean))
        return [
            Caution(
                "The network has not learnt enough for rankings and maps to mean anything: from all other sequences it "
                f"reaches a PSNR of {psnr:.1f} dB and an SSIM of {ssim:.2f} in the {self.where}, the plain mean of the "
                f"others, without a network, {psnr_of_mean:.1f} dB and {ssim_of_mean:.2f}. Train it longer or on more "
                "studies, and see how it learnt."
            )
        ]

    @cached_property
    def below(self) -> dict[str, Below]:
        """Targets that are below the mean of the others in some study."""
        return known_below({} if self.evaluation is None else self.evaluation["about"])

    @property
    def by_target(self) -> list[Block]:
        """Caution about these targets; else nothing."""
        lines = [f"{name}: {one.words}." for name, one in self.below.items()]
        return [Caution(f"{' '.join(lines)} Their synthetic images carry this note.")] if lines else []

    def estimates(self, kind: str, source: str, target: str, region: str) -> dict[str, Estimate]:
        """Return quality by measure; empty where it was not measured."""
        if self.summary is None:
            return {}
        where = {"kind": kind, "source": source, "target": target, "region": region}
        rows = self.summary[np.logical_and.reduce([self.summary[name] == value for name, value in where.items()])]
        return {row["measure"]: estimate(row, row["patients"]) for row in rows.to_dict("records")}

    def named(self, target: str) -> str:
        """Name a target as a row of a table, with what is to be known of it."""
        if target == ANY:
            return "mean of all"
        below = self.below.get(target)
        return f"{target} (below the plain mean in {below.studies} of {below.of} studies)" if below else target

    def unmeasured(self, there: Iterable[str]) -> list[Block]:
        """Say of sequences that were learnt that no study showed them."""
        known = set(there)
        names = [name for name in self.plan.scans if name not in known]
        return [Text(f"{', '.join(names)}: in no study here, so not measured.")] if names else []


def write(page: RunPage, plan: Plan, path: str | Path | None = None) -> Path:
    """Write the report of a run from what its folder holds; what is absent is named with the command that makes it.

    Args:
        page: The page of the run.
        plan: Its preparation.
        path: The file; None: `report.html` in the run.
    """
    results = _Results(page, plan)
    return page.write(
        path,
        "Each sequence made from the others",
        f"Seq2Seq fitted to {', '.join(plan.scans)}: how well each is made from the others, and what each alone shows.",
        [
            Section("In short", "", [*results.caution, *results.by_target, *_in_words(results), _key_numbers(results)]),
            _cohort(page.run, plan),
            _preparation(plan),
            page.learning(METRICS),
            *page.results(SYNTHESIS, "evaluation", lambda folder, record: _synthesis(results, folder, record)),
            *page.results("How good it is", "evaluation", lambda _, __: _quality(results)),
            *page.results(RANKED, "ranking", lambda _, record: _ranking(results, record), "ranking.json"),
            *page.results(
                MAPPED,
                "explanation",
                lambda folder, record: _maps(results, folder, record),
                f"{EXPLANATION}.json",
            ),
        ],
        paper=PAPER,
        closing="Synthesised images are predictions, not acquisitions, and must not be read as such.",
    )


def _in_words(results: _Results) -> list[Block]:
    """Say how far the images are from real ones, how far the mean of the others is, and what that is worth."""
    made, mean = (results.estimates(kind, kind, ANY, "brain").get("psnr") for kind in (ALL, MEAN))
    lines = []
    if made is not None:
        beside = f"; the plain mean of the others, without a network, by {_error(mean)}" if mean is not None else ""
        lines.append(
            f"A sequence made from all others is off, in shares of its range, by {_error(made)} in the {results.where}"
            f"{beside}."
        )
        if made.n < LEAST_PATIENTS_FOR_INTERVAL:
            lines.append(f"Measured on {count(made.n, 'patient')}: too few to say how it does on others.")
    lines += _short_fit(results.run)
    return [Text(" ".join(lines))] if lines else []


def _error(psnr: Estimate) -> str:
    return f"about {100 * 10 ** (-psnr.value / 20):.0f} % (PSNR {psnr.value:.1f} dB)"


def _short_fit(run: Run) -> list[str]:
    """Say that a fit made fewer steps than its preset makes; nothing of one that made them, or that patience ended."""
    preset, step = PRESETS.get(str(run.config.get("preset"))), run.record.get("step")
    patient = run.config.get("training", {}).get("patience") is not None
    if preset is None or not isinstance(step, int) or patient or step >= preset.training.steps:
        return []
    return [
        f"The fit made {step:,} of the {preset.training.steps:,} steps of the preset {preset.preset}: take it as a "
        "first look."
    ]


def _key_numbers(results: _Results) -> KeyNumbers:
    items: list[tuple[str, Any, str]] = [("Sequences", len(results.plan.scans), "learnt together by one network")]
    about = _cohort_facts(results.run, results.plan)
    if about is not None:
        parts = about["parts"]
        items.append(("Training studies", parts["train"]["studies"], f"of {about['studies']} in the cohort"))
    quality = f"PSNR in the {results.where} [dB]"
    for kind, source, words in MADE[:2]:
        found = results.estimates(kind, source, ANY, "brain").get("psnr")
        if found is not None:
            items.append((quality, found, f"from {words}, {count(found.n, 'patient')}"))
    ranking = results.ranking
    if ranking is not None and not results.caution:
        best = min(zip(ranking["C_d"], ranking["sequences"], strict=True), key=lambda pair: pair[0]["rank"])
        share = best[0]["probability"][0]
        sure = share is not None and ranking["patients"] >= LEAST_PATIENTS_FOR_INTERVAL
        doubt = f"highest C_d in {share:.0%} of resamples" if sure else "highest C_d, too few patients to be sure"
        items.append(("Hardest to replace", best[1], f"{doubt}, {count(ranking['patients'], 'patient')}"))
    return KeyNumbers(items, {quality: "{:.1f}"})


def _cohort(run: Run, plan: Plan) -> Section:
    about = _cohort_facts(run, plan)
    if about is None:
        return Section("The cohort", "", [Text("The cohort of the fit no longer lies where it was.")])
    combinations = [(row["sequences"], row["studies"]) for row in about["combinations"]]
    counts = {name: sum(n for present, n in combinations if name in present) for name in plan.scans}
    described = ", ".join(f"{name} in {number}" for name, number in counts.items())
    parts = cohort_parts(about)
    lead = f"{count(about['studies'], 'study', 'studies')} of {count(about['patients'], 'patient')}"
    if len(combinations) == 1:
        names = ", ".join(combinations[0][0])
        return Section("The cohort", f"{lead}; the sequences are the same in all: {names}.", parts)
    figure = Figure(
        availability_plot(combinations, plan.scans),
        "Each column is a combination of sequences and the number of studies that hold it; each row is a sequence.",
        f"Availability of the sequences over {about['studies']} studies: {described}.",
        vector=True,
    )
    return Section("The cohort", f"{lead}; what was not acquired is absent, not zero.", [figure, *parts])


def _preparation(plan: Plan) -> Section:
    rows = []
    for reason in plan.reasons:
        what, _, why = reason.partition(": ") if ": " in reason else reason.partition(" ")
        rows.append({"what": what, "how and why": why})
    lead = "Learnt from training studies, the same for every study, inverted on output."
    return Section("How it was prepared", lead, [Table(rows, "The preparation of every study.")])


def _synthesis(results: _Results, folder: Path, record: dict[str, Any]) -> Section:
    summary = pd.DataFrame(record["rows"])
    blocks: list[Block] = []
    picture = result_picture(folder, GRID)
    if picture is not None:
        blocks.append(
            Figure(
                picture,
                f"{record['about']['picture']}: the real scans, and below them what each source makes of every target, "
                f"with the absolute error in shares of the target's range; at most {DRAWN} sources, and all others "
                f"together. The figures are the PSNR in the {results.where} of the whole volume."
                f"{_marked(results.below)}",
                "Real scans, predictions of every sequence from every other, and their errors.",
            )
        )
    blocks += _curves(results, folder, record)
    caption = "Mean over studies; darker is better. The last rows are made from all other sequences together."
    alt = f"Mean PSNR and SSIM in the {results.where} by source and target; the figures stand in the tables below."
    matrix = quality_matrix(summary, results.plan.scans, results.where)
    drawn = Figure(matrix, caption, alt, vector=True)
    return Section(SYNTHESIS, tried_on(record), [*blocks, drawn, *results.unmeasured(summary["target"])])


def _curves(results: _Results, folder: Path, record: dict[str, Any]) -> list[Block]:
    """Show the curves of the series of one study; nothing where there is none."""
    picture = result_picture(folder, CURVES) if results.plan.series else None
    if picture is None:
        return []
    names = ", ".join(results.plan.series)
    text = (
        f"{record['about']['picture']}, {names}: mean signal over the frames, real and made, by region. Images above "
        "and all measures of a series are means over its frames."
    )
    return [Figure(picture, text, f"Curves of {names}, real and made, by region.")]


def _marked(below: dict[str, Below]) -> str:
    names = ", ".join(f"{name} ({one.studies} of {one.of} studies)" for name, one in below.items())
    return f" Below the plain mean of the others in some: {names}." if names else ""


def _quality(results: _Results) -> Section:
    where, there = results.where, () if results.summary is None else results.summary["target"]
    by_target: dict[tuple[str, ...], dict[str, Estimate]] = {
        (results.named(target), words): estimates
        for target in [*results.plan.scans, ANY]
        for kind, source, words in MADE
        if (estimates := results.estimates(kind, source, target, "brain"))
    }
    by_region: dict[tuple[str, ...], dict[str, Estimate]] = {
        (where if region == "brain" else region, words): estimates
        for region in ("brain", "box", "volume")
        for kind, source, words in MADE
        if (estimates := results.estimates(kind, source, ANY, region))
    }
    lead = (
        "On the native grid, against the scan that was acquired. The range "
        f"of PSNR and SSIM is the 99.5th percentile of the real scan in the {where}. A prediction is given the "
        "intensity scale of the real scan, since MR intensities have no unit."
    )
    if where != "brain":
        lead += " Foreground is what the scans show, since not every study has a mask of the brain."
    sure = sureness(one.n for found in by_target.values() for one in found.values())
    regions = f"box is the smallest box around the {where}, volume the whole grid"
    return Section(
        "How good it is",
        lead,
        [
            metric_table(by_target, ("target", "made from"), f"In the {where}, by target. {sure}"),
            *results.unmeasured(there),
            metric_table(by_region, ("region", "made from"), f"All targets, by region: {regions}."),
        ],
    )


def _ranking(results: _Results, record: dict[str, Any]) -> Section:
    names, options, patients = record["sequences"], record["options"], record["patients"]
    measures = ranked_measures(record)
    rows = [
        {
            "sequence": name,
            "C_d": measures[0].scores[name],
            "rank by C_d": _place(hard, patients),
            "C_t": measures[1].scores[name],
            "rank by C_t": _place(good, patients),
        }
        for name, hard, good in zip(names, record["C_d"], record["C_t"], strict=True)
    ]
    rows.sort(key=lambda row: -row["C_d"].value)
    region = results.where if options["region"] == "brain" else options["region"]
    resamples = f", {options['repeats']} resamples" if patients >= LEAST_PATIENTS_FOR_INTERVAL else ""
    conventions = (
        f"Quality in the {region}, third index {record['third'].upper()}, z-scores over "
        f"{options['normalise_by']}, {DIAGONAL[options['diagonal']]}, divided by {options['divide_by']}; "
        f"{count(patients, 'patient')}{resamples}. The sums of C_t and of −C_d are equal, as "
        "they must be."
    )
    unseen = ", ".join(f"{a} → {b}" for a, b in record["unseen"])
    notes = [Text(f"Never seen together, so counted as average: {unseen}.")] if unseen else []
    lead = (
        "C_t: how well a sequence makes the others. C_d: how hard it is to make from the others, so how much it alone "
        "shows to this network; noise that nothing predicts counts as well."
    )
    alt = "Scores of the sequences by C_d and C_t; the figures stand in the table below."
    figure = Figure(ranking_plot(measures), conventions, alt, vector=True)
    caption = f"Rank 1 by C_d is the hardest to make, by C_t the best source. {sureness([patients])}"
    table = Table(rows, caption, {"C_d": "{:.2f}", "C_t": "{:.2f}"})
    return Section(RANKED, lead, [*results.caution, figure, *notes, *results.unmeasured(names), table])


def _maps(results: _Results, folder: Path, record: dict[str, Any]) -> Section:
    where = _brain(record)
    table = _map_table(record, where)
    blocks: list[Block] = [*results.caution]
    for case in record["about"]["pictures"][:1]:
        sheet = result_picture(folder, f"{case}/{SHEET}")
        if sheet is not None:
            blocks.append(
                Figure(
                    sheet,
                    f"{case}: real scans, and below them M_d in the {where}, on one scale; a line is the edge of a "
                    "lesion.",
                    f"Slices of all sequences of {case} with their imaging-differentiation maps.",
                )
            )
        blocks += _overlays(folder, case, record, where)
    lead = (
        "M_d is the mean absolute error over all single sources, voxel by voxel, scans in [−1, 1]: high where no other "
        "sequence tells what is there. It needs the real scan and says nothing about one that is absent."
    )
    blocks += _contributions(folder, record, where)
    missing = results.unmeasured(row["sequence"] for row in record["summary"])
    return Section(MAPPED, f"{lead} {tried_on(record)}", [*blocks, *missing, table])


def _contributions(folder: Path, record: dict[str, Any], where: str) -> list[Block]:
    """Show what is lost without each sequence where sources are fused; nothing of another run."""
    measured = [row for row in record.get("contributions", ()) if row["measure"] == "lost" and row["mean"] is not None]
    picture = result_picture(folder, MATRIX) if measured else None  # an earlier version drew shares
    if picture is None:
        return []
    text = (
        f"What a target (column) loses in PSNR in the {where} [dB] when one source (row) is left out of all others "
        "that it is made from. About 0: the others tell as much without it. It needs the real scan of the target."
    )
    return [Figure(picture, text, f"Loss of PSNR by source and target in the {where}.")]


def _map_table(record: dict[str, Any], where: str) -> Table:
    """Mean M_d by sequence, and how well it tells the lesion: of a single label that is the same as of all together."""
    measures = list(dict.fromkeys(row["measure"] for row in record["summary"]))
    labels = [name for name in measures if name.startswith("auroc_") and name != "auroc_any"]
    measures = [name for name in measures if [name] != labels]
    names = {"mean": "mean M_d"} | {name: _lesion_words(name) for name in measures if name != "mean"}
    found: dict[str, dict[str, Any]] = {}
    for row in record["summary"]:
        if row["measure"] in measures:
            found.setdefault(row["sequence"], {})[names[row["measure"]]] = estimate(row, row["patients"])
    rows = [
        {"sequence": name, **{names[m]: e.get(names[m]) for m in measures}, "patients": e[names["mean"]].n}
        for name, e in found.items()
    ]
    ill = max((row["patients"] for row in record["summary"] if row["measure"] == "auroc_any"), default=0)
    caption = f"Mean M_d in the {where}. {sureness(row['patients'] for row in record['summary'])}"
    if ill:
        caption += (
            f" AUROC (up to {count(ill, 'patient')} with a lesion): the chance that a voxel of the lesion has a "
            f"higher M_d than one elsewhere in the {where}; 0.5 is no better than guessing."
        )
    formats = {words: "{:.3f}" if words == names["mean"] else "{:.2f}" for words in names.values()}
    return Table(rows, caption, formats)


def _overlays(folder: Path, case: str, record: dict[str, Any], where: str) -> list[Block]:
    """Show maps of a study in three planes: those that tell its lesion best, or else those of the highest mean."""
    rows = [row for row in record["rows"] if row["study"] == case]
    rows.sort(key=lambda row: (max(_aurocs(row), default=0.0), row["mean"]), reverse=True)
    blocks: list[Block] = []
    for row in rows[:MAPS]:
        picture = result_picture(folder, f"{case}/{case}_{row['sequence']}_differentiation.png")
        if picture is not None:
            over = f"M_d in the {where} over {count(row['sources'], 'source')}"
            text = f"{case}, {row['sequence']}: the real scan, and {over}; a line is the edge of a lesion."
            blocks.append(Figure(picture, text, f"{text} Three planes."))
    return blocks


def _aurocs(row: dict[str, Any]) -> list[float]:
    return [value for name, value in row.items() if name.startswith("auroc_") and value is not None]


def _cohort_facts(run: Run, plan: Plan) -> dict[str, Any] | None:
    known = RunPage(run).cohort()
    if known is not None:
        return known
    folder = Path((run.record.get("cohort") or {}).get("path", ""))
    try:
        return describe_cohort(Cohort.open(folder), plan.scans, int(run.config.get("fold", 0)))
    except ScanweaveError:
        return None


def _brain(record: dict[str, Any] | None) -> str:
    """Name the region `brain`: it is the foreground where a study has no mask of the brain."""
    about = {} if record is None else record["about"]
    return "brain" if about.get("brain", "mask") == "mask" else "foreground"


def _place(row: dict[str, Any], patients: int) -> str | int:
    if row["rank_low"] is None or patients < LEAST_PATIENTS_FOR_INTERVAL:
        return int(row["rank"])
    return f"{row['rank']} [{row['rank_low']:.0f}–{row['rank_high']:.0f}]"


def _lesion_words(measure: str) -> str:
    label = measure.removeprefix("auroc_")
    return "AUROC lesion" if label == "any" else f"AUROC label {label}"
