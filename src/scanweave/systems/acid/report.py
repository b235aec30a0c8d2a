"""The report of a run: what was learnt, what the loop does with it, and how good it is."""

from __future__ import annotations

from pathlib import Path

from scanweave.engine.run import Run
from scanweave.engine.selection import find_output
from scanweave.errors import ScanweaveError
from scanweave.files import read_json
from scanweave.measures.bootstrap import Interval
from scanweave.report.blocks import Figure, KeyNumbers, Section, Table, Text
from scanweave.report.curves import learning_curve
from scanweave.report.page import write_report
from scanweave.report.provenance import run_provenance
from scanweave.report.values import duration
from scanweave.systems.acid.evaluation import MEASURES, SHEET, SUMMARY
from scanweave.systems.acid.figures import convergence_plot
from scanweave.systems.acid.tuning import Choices

CITATION = """\
@article{wu2022acid,
  author  = {Wu, Weiwen and others},
  title   = {Stabilizing deep tomographic reconstruction},
  journal = {Patterns},
  year    = {2022},
  note    = {arXiv:2008.01846}
}"""
METRICS = {"psnr": "higher", "loss": "lower", "residual": "lower"}
KINDS = {"truth": "true images", "errors": "the network's own errors"}


def write(run: Run, path: str | Path | None = None) -> Path:
    """Write the report of a run from what its folder holds.

    Args:
        run: The run.
        path: The file; None: `report.html` in the run.
    """
    chosen = Choices.load(run.folder)
    return write_report(
        path if path is not None else run.folder / "report.html",
        f"Reconstruction true to its data: {run.folder.resolve().name}",
        "ACID: a network's image, corrected by feeding what the data still disagree with through the network again.",
        [_short(chosen), _learning(run), _loop(chosen), _quality(run)],
        run_provenance(run.record, run.config),
        CITATION,
    )


def _short(chosen: Choices) -> Section:
    errors = chosen.bren["errors"]
    return Section(
        "In short",
        "",
        [
            KeyNumbers(
                [
                    ("BREN ratio", errors["mean"], f"on the network's own errors; largest {errors['worst']:.3g}"),
                    ("Feedback", chosen.feedback, chosen.reason),
                    ("Step", chosen.step, "chosen on validation images"),
                    ("Threshold", chosen.threshold, "in root mean squares of A†p, likewise"),
                ]
            )
        ],
    )


def _learning(run: Run) -> Section:
    try:
        figure = learning_curve(run.metrics(), METRICS)
    except ScanweaveError:
        return Section("How it learnt", "", [Text("The run has no metrics yet.")])
    caption = (
        "psnr: of the network alone on validation images; loss: ‖Φ(y) − f‖ / ‖f‖; residual: the same on the network's "
        "own residuals, its BREN ratio, where 1 is as bad as feeding nothing back."
    )
    time = duration(float(run.record.get("seconds") or 0))
    items = [("Steps", run.record.get("step"), ""), ("Time", time, f"on {run.record.get('device', 'unknown')}")]
    alt = "Learning curves of loss and validation PSNR over the steps."
    return Section("How it learnt", "", [KeyNumbers(items), Figure(figure, caption, alt, vector=True)])


def _loop(chosen: Choices) -> Section:
    rows = [
        {"images": KINDS.get(name, f"{name} of their size, smooth"), "mean ratio": ratio["mean"],
         "largest": ratio["worst"], "share at 1 or above": ratio["above"], "n": ratio["n"]}
        for name, ratio in chosen.bren.items()
    ]  # fmt: skip
    tried = [
        {**{name: value for name, value in r.items() if name != "psnr"}, "PSNR [dB]": r["psnr"]} for r in chosen.tried
    ]
    lead = "Convergence rests on a bounded relative error norm: ‖f − Φ(A f)‖ < ‖f‖ on what is fed back. Measured here."
    caption = "Mean over validation images, with no stop; in use the loop stops an image at the dashed line."
    blocks: list[Figure | Table] = [
        Table(rows, "‖f − Φ(A f)‖ / ‖f‖ by kind of image."),
        Figure(
            convergence_plot(chosen.curve, chosen.noise * chosen.discrepancy),
            caption,
            "Data residual falling over the rounds.",
            vector=True,
        ),
        Table(tried, "What was tried on validation images.", {"PSNR [dB]": "{:.2f}"}),
    ]
    return Section("The loop", lead, blocks)


def _quality(run: Run) -> Section:
    folder = find_output(run, "evaluation")
    if folder is None or not (folder / f"{SUMMARY}.json").is_file():
        text = f"Not made yet. This makes it: scanweave evaluate {run.folder.name} --cohort COHORT"
        return Section("How good it is", "", [Text(text)])
    found = read_json(folder / f"{SUMMARY}.json", "Evaluate again")
    rows: dict[str, dict[str, object]] = {}
    for row in found["rows"]:
        estimate = Interval(row["mean"], row["low"], row["high"], row["n"])
        rows.setdefault(row["method"], {"method": row["method"]})[MEASURES[row["measure"]]] = estimate
    lead = "Means with 95 % intervals over patients. TV: total variation, its weight tuned on the validation images."
    blocks: list[Figure | Table] = [Table(list(rows.values()), "Against the true images.", {"PSNR [dB]": "{:.2f}"})]
    if (folder / SHEET).is_file():
        caption = "True images, reconstructions, and their absolute errors on one scale a case."
        blocks.append(
            Figure((folder / SHEET).read_bytes(), caption, "Reconstructions by every method and their errors.")
        )
    return Section("How good it is", lead, blocks)
