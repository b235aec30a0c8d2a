"""Evaluation of making each sequence from each other: a table of pairs, its means with intervals, and figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanweave.engine.progress import in_parts
from scanweave.framework.run_outputs import newest_output, result_table
from scanweave.framework.trial import Trial
from scanweave.measures.image import image_quality
from scanweave.measures.summary import summarise as summary_of
from scanweave.report.grids import synthesis_grid
from scanweave.report.saving import read_summary, save_figure, save_table
from scanweave.report.slices import telling_slice
from scanweave.studies.cohort import Cohort
from scanweave.studies.preparing.preparation import PreparedStudy
from scanweave.studies.study import Study
from scanweave.systems.seq2seq.config import EvaluateOptions
from scanweave.systems.seq2seq.curve_quality import CURVE_MEASURES, type_orders
from scanweave.systems.seq2seq.figures import quality_matrix
from scanweave.systems.seq2seq.fitted import FittedSeq2Seq
from scanweave.systems.seq2seq.native_grid import NativeStudy, Volume, native_study
from scanweave.systems.seq2seq.perceptual_quality import region_lpips
from scanweave.systems.seq2seq.plain_mean import BELOW, LEARNT, below_in_words, count_below, noted_below
from scanweave.systems.seq2seq.series_curves import SeriesCurves
from scanweave.systems.seq2seq.synthesis import ALL, MEAN, Made, frames_of, mean_frame, means_of_others, predictions

ANY = "any"
"""In summaries, the mean over single sources or targets."""
MEASURES = ("psnr", "ssim", "nmse", "gmsd", "lpips", *CURVE_MEASURES)
PAIRS, MATRIX, GRID = "pairs.csv", "matrix.png", "grid.png"
LESIONS, CURVES = "lesion_curves.csv", "curves.png"
"""Of series: types of curves of each lesion, and mean curves by region."""
DRAWN = 4
"""Single sources in the figure of pairs: with more it is longer than a page. The tables and the matrix hold all."""
KEYS = ["kind", "source", "target", "region"]
BRAIN_IS = "brain_is"
"""Column that says what the region `brain` is, in which `box` lies: the "mask" brain, or the "foreground"."""


@dataclass
class _Picture:
    """Slices of one study, in shares of each target's range, for the figure of pairs."""

    native: NativeStudy
    index: int
    predictions: dict[tuple[str, str], Any] = field(default_factory=dict)
    psnr: dict[tuple[str, str], float] = field(default_factory=dict)

    @classmethod
    def of(cls, native: NativeStudy) -> _Picture:
        weight = native.brain if native.lesion is None or not native.lesion.any() else native.lesion > 0
        return cls(native, telling_slice(native.ras(weight), "axial"))

    def slab(self, volume: Volume, target: str) -> Any:
        low, span = self.native.limits[target][0], self.native.span(target)
        return (self.native.ras(mean_frame(volume))[:, :, self.index : self.index + 1] - low) / span

    def add(self, made: Made, volume: Volume, psnr: float) -> None:
        if made.kind in ("pair", "all"):
            key = ("all others" if made.kind == "all" else made.source, made.target)
            self.predictions[key], self.psnr[key] = self.slab(volume, made.target), psnr

    def save(self, path: Path) -> None:
        real = {name: self.slab(volume, name) for name, volume in self.native.real.items()}
        sources = [*list(real)[:DRAWN], "all others"]
        shown = {(s, t): self.predictions[s, t] for s in sources for t in real if (s, t) in self.predictions}
        spacing = self.native.grid.oriented("RAS").spacing
        save_figure(synthesis_grid(real, shown, spacing, 0, self.psnr, list(real)), path)


def evaluate(fitted: FittedSeq2Seq, trial: Trial, options: EvaluateOptions) -> pd.DataFrame:
    """Predict every present sequence from every other and from all others, and compare on the native grid.

    The prediction is restored with the intensity scale of the real target: MR intensities have no unit, so the scale
    is no finding.

    Args:
        fitted: The fitted run.
        trial: The studies, and where the results go.
        options: What else is measured.

    Returns:
        One row a study, source, target and region, as in `pairs.csv`.

    Raises:
        ScanweaveError: No study holds two sequences that the run knows.
    """
    drawn = _fullest(trial.cohort, fitted.sequences)
    rows: list[dict[str, Any]] = []
    lesions: list[dict[str, Any]] = []
    masked = True
    measure = partial(_measured, fitted=fitted, options=options, drawn=drawn, folder=trial.folder)
    for name, found in trial.each(measure, options):
        rows += found["rows"]
        lesions += found.get("lesions", [])  # a trial that an older version began has none
        masked = masked and found["masked"]
        trial.say(f"{name}: {found['in words']}")
    pairs = pd.DataFrame(rows)
    below = count_below(pairs)
    for line in (f"{_against_control(pairs)}; {below_in_words(below)}", *notes(pairs, fitted.sequences)):
        trial.say(line)
    brain = "mask" if masked else "foreground"
    summary = summarise(pairs, options.seed)
    save_table(pairs, trial.folder / PAIRS)
    if lesions:
        save_table(pd.DataFrame(lesions), trial.folder / LESIONS)
        summary = pd.concat([summary, type_orders(pd.DataFrame(lesions))], ignore_index=True)
    save_figure(quality_matrix(summary, fitted.sequences, "brain" if masked else "foreground"), trial.folder / MATRIX)
    told = {"include_self": options.include_self, "picture": drawn, "brain": brain, BELOW: noted_below(below)}
    trial.conclude(summary, **told)
    return pairs


def notes(pairs: pd.DataFrame, sequences: Sequence[str]) -> list[str]:
    """Say what a reader must know before the figures: whether the network has learnt, and what is not measured."""
    there = {*pairs["target"]}
    lines = [f"note: {name} is in no study here, so it is not measured" for name in sequences if name not in there]
    reached, control = _reached(pairs)
    if not (reached > control).all():
        lines.append(
            "note: the network does not beat the mean of the others in both PSNR and SSIM: it has learnt too little "
            "for rankings and maps to mean anything. Train longer, and look at its learning curve"
        )
    return lines


def _against_control(pairs: pd.DataFrame) -> str:
    (psnr, ssim), (psnr_of_mean, ssim_of_mean) = _reached(pairs)
    return (
        f"from all others {psnr:.1f} dB, SSIM {ssim:.2f}; the mean of the others, without the network, "
        f"{psnr_of_mean:.1f} dB, SSIM {ssim_of_mean:.2f}"
    )


def _reached(pairs: pd.DataFrame) -> NDArray[np.float64]:
    """Return what shows learning, in the brain, from all others and of the control: rows of PSNR [dB] and SSIM."""
    brain = pairs[pairs["region"] == "brain"]
    return np.stack([brain.loc[brain["kind"] == kind, list(LEARNT)].mean().to_numpy(float) for kind in (ALL, MEAN)])


def summarise(pairs: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Return means with 95 % intervals over patients, for every pair and over all of a kind.

    Returns:
        Rows `kind, source, target, region, brain_is, measure, mean, low, high, patients, studies`; `any` stands for
        the mean over all single sources, or all targets, `brain_is` for what the region `brain` is in these studies.
    """
    single = pairs["kind"] == "pair"
    groups = pd.concat(
        [
            pairs,
            pairs[single].assign(source=ANY),
            pairs[single].assign(source=ANY, target=ANY),
            pairs[~single].assign(target=ANY),
        ]
    )
    summary = summary_of(groups, KEYS, MEASURES, seed)
    if BRAIN_IS in pairs:  # not in what an earlier version measured
        summary.insert(len(KEYS), BRAIN_IS, " or ".join(sorted(pairs[BRAIN_IS].dropna().unique())))
    return summary


def evaluated(
    fitted: FittedSeq2Seq, trial: Trial, *, include_self: bool, fresh: Path
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the table of pairs of a trial's studies and what it is about: the newest one if it fits, else a new one.

    Args:
        fitted: The fitted run.
        trial: The studies.
        include_self: Whether reconstructions of a sequence from itself are needed.
        fresh: Folder for a new evaluation.
    """
    folder = newest_output(trial.run, "evaluation")
    record = read_summary(folder)
    if folder is not None and (folder / PAIRS).is_file() and record is not None:
        known = record["about"]
        same = all(known.get(name) == value for name, value in trial.about.items())
        same = same and known.get("slices", 1) == trial.slices
        if same and (known["include_self"] or not include_self):
            trial.say(f"evaluation: that in {folder} is used")
            pairs = read_pairs(folder)
            for line in notes(pairs, fitted.sequences):
                trial.say(line)
            return pairs, known
    measuring = replace(trial, kind="evaluation", folder=fresh)
    pairs = evaluate(fitted, measuring, EvaluateOptions(include_self=include_self))
    return pairs, {**trial.about, "include_self": include_self}


def read_pairs(folder: Path) -> pd.DataFrame:
    """Read the table that `evaluate` wrote."""
    return result_table(folder, PAIRS, dtype=dict.fromkeys(["study", "patient", *KEYS], str), na_filter=True)


def _measured(
    study: Study, fitted: FittedSeq2Seq, *, options: EvaluateOptions, drawn: str, folder: Path
) -> dict[str, Any]:
    """Return the rows of a study as plain values, and draw it if it is the one that is drawn."""
    prepared = fitted.prepare_several(study)
    native = native_study(study, prepared, fitted.plan)
    picture = _Picture.of(native) if study.id == drawn else None
    curves = SeriesCurves(native, prepared.series)
    rows = list(_rows(fitted, prepared, native, options, picture, curves))
    if picture is not None:
        picture.save(folder / GRID)
        curves.save(folder / CURVES)
    found = {"rows": rows, "masked": native.masked, "in words": _psnr_in_words(rows, native)}
    return found | ({"lesions": curves.lesions} if curves.lesions else {})


def _rows(
    fitted: FittedSeq2Seq,
    prepared: PreparedStudy,
    native: NativeStudy,
    options: EvaluateOptions,
    picture: _Picture | None,
    curves: SeriesCurves,
) -> Iterator[dict[str, Any]]:
    volumes, brain = dict(prepared.volumes), native.ras(native.brain)
    regions = {name: native.ras(region) for name, region in native.regions.items()}
    targets = list(native.real)
    made_by_network = predictions(fitted.synthesizer_of(prepared), volumes, targets, include_self=options.include_self)
    sources, several = len(volumes), len(volumes) > 1
    number = sources * (sources - 1 + options.include_self) + 2 * sources * several
    for made in in_parts(chain(made_by_network, means_of_others(volumes, targets)), number):
        volume = np.asarray(fitted.native(made.volume, prepared, made.target).data)
        found = []
        for image, real in zip(frames_of(volume), frames_of(native.real[made.target]), strict=True):
            # Measures by slices are of axial ones, whatever the order of the file's axes; where the real scan does not
            # reach, no error may leak in through their windows.
            both = (native.ras(np.where(native.covered, image, real)), native.ras(real))
            quality = image_quality(*both, regions, native.span(made.target))
            if options.lpips is not None:
                lpips = region_lpips(*both, brain, native.limits[made.target], options.lpips)
                quality = {region: {**values, "lpips": lpips[region]} for region, values in quality.items()}
            found.append(quality)
        quality = found[0] if len(found) == 1 else _mean_quality(found)
        if picture is not None:
            picture.add(made, volume, quality["brain"]["psnr"])
        who = {"study": native.id, "patient": native.patient, **made._asdict()}
        del who["volume"]
        for region, values in curves.measured(who, volume).items():
            quality[region] = quality.get(region, {}) | values
        for region, values in quality.items():
            yield {**who, "region": region, BRAIN_IS: "mask" if native.masked else "foreground", **values}


def _mean_quality(frames: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Return means over frames, by region and measure."""
    first = frames[0]
    return {
        region: {name: float(np.mean([frame[region][name] for frame in frames])) for name in values}
        for region, values in first.items()
    }


def _fullest(cohort: Cohort, sequences: Sequence[str]) -> str:
    columns = [f"scan:{name}" for name in sequences if f"scan:{name}" in cohort.frame]
    counts = cohort.frame[columns].notna().sum(axis=1).to_numpy()
    return cohort.studies[int(counts.argmax())]


def _psnr_in_words(rows: list[dict[str, Any]], native: NativeStudy) -> str:
    means, count = [], 0
    for kind, words in (("pair", "from one"), (ALL, "from all others")):
        values = [row["psnr"] for row in rows if row["kind"] == kind and row["region"] == "brain"]
        means.append(f"{np.mean(values):.1f} dB {words}")
        count += len(values)
    where = "brain" if native.masked else "foreground, since there is no mask 'brain'"
    return f"{', '.join(means)} (PSNR of {count} predictions in the {where})"
