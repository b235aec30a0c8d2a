"""Detect as a user meets it: fit, predict, evaluate, report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanweave.engine.run import Run
from scanweave.engine.weights import with_weights
from scanweave.errors import ScanweaveError
from scanweave.framework.classification import operating_points
from scanweave.framework.classification.answer_plan import answer_fields
from scanweave.framework.classification.question import Question
from scanweave.framework.classification.settings import EvaluateOptions, LossSettings
from scanweave.framework.cohort_fit import CohortFit, ensure_splits
from scanweave.framework.run_page import RunPage
from scanweave.framework.scan_preparation import PreparedParts, chosen_scans, prepare_parts
from scanweave.framework.system import Material, System
from scanweave.framework.trial import Trial
from scanweave.studies.cohort import Cohort
from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.systems.detect import box_points, evaluation, report
from scanweave.systems.detect.config import OPTIONS, DetectConfig
from scanweave.systems.detect.fitted import FittedDetect
from scanweave.systems.detect.inference import FilmReader
from scanweave.systems.detect.planning import FILE, DetectPlan, plan_anchors, plan_size
from scanweave.systems.detect.samples import input_boxes
from scanweave.systems.detect.task import DetectTask, cached_film
from scanweave.systems.detect.truth import FilmTruth, chosen_classes, film_boxes, read_truths
from scanweave.wording import count, studies

Say = Callable[[str], None]
Known = tuple[list[CachedStudy], list[FilmTruth]]


class Detect(FittedDetect, System[DetectConfig]):
    """A fitted Detect with its verbs."""

    name: ClassVar[str] = "detect"
    options = OPTIONS

    @classmethod
    def material(cls, cohort: Cohort, config: DetectConfig, fold: int, say: Say) -> Material:
        """Choose the films that were annotated, and those of which a label of a class is known."""
        scan = _scan(cohort, config)
        ensure_splits(cohort, say)
        classes, _ = chosen_classes(cohort.part("train", fold), config.classes)
        labels = [f"label:{name}" for name in classes if f"label:{name}" in cohort.frame]
        told = cohort.frame["boxes"].notna() | cohort.frame[labels].notna().any(axis=1)
        holding = cohort.where(cohort.frame[f"scan:{scan}"].notna() & told)
        if len(holding) < len(cohort):
            say(f"left out: {studies(len(cohort) - len(holding))} without film, or of which nothing is known")
        return Material(holding, [f"scan:{scan}", "boxes"])

    @classmethod
    def learn(cls, fit: CohortFit[DetectConfig]) -> None:
        """Learn to find the boxes of the classes."""
        config, scan = fit.config, _scan(fit.cohort, fit.config)
        with fit.one_first():
            classes, why = chosen_classes(fit.cohort.part("train", fit.fold), config.classes)
            seed = config.training.seed
            parts = prepare_parts(
                fit, fit.sound(), [scan], config.preparation, seed, standard=True, own_grids=True, colours=True
            )
            used = [film.id for part in (parts.training, parts.validation) for film in part]
            truths = read_truths(fit.cohort.select(used), classes)
            training, validation = (_known(part, truths, scan) for part in (parts.training, parts.validation))
            plan = fit.plan(DetectPlan.load, lambda: _plan(config, parts, training, scan, classes, why), FILE)
            fit.note_cohort([scan])
        task = DetectTask(config, plan, training, validation)
        fit.train(task)
        with fit.one_first():
            _freeze_points(fit, task, plan, validation)

    @classmethod
    def is_done(cls, run: Run) -> bool:
        """Tell whether the network is trained and its operating points are chosen."""
        return run.finished and (run.folder / operating_points.FILE).is_file()

    def measure(self, trial: Trial, options: EvaluateOptions) -> pd.DataFrame:
        """Compare what is found with what is known; see `evaluation.evaluate`."""
        return evaluation.evaluate(self, trial, options)

    def write_page(self, page: RunPage, path: str | Path | None) -> Path:
        """Write the page of the run; see `report.write`."""
        return report.write(self, page, path)


def _scan(cohort: Cohort, config: DetectConfig) -> str:
    """Return the name of the scan that boxes lie on."""
    if "boxes" not in cohort.frame:
        step = "Import boxes with the films: see docs/how-to/boxes.md; without boxes: scanweave fit classify"
        raise ScanweaveError(cohort.folder, "has no boxes", step)
    names = chosen_scans(cohort, [config.scan] if config.scan else [], "scan")
    if len(names) > 1:
        raise ScanweaveError("scan", f"the cohort has several ({', '.join(names)})", "Name the film by --scan")
    return names[0]


def _known(part: Sequence[CachedStudy], truths: Mapping[str, FilmTruth], scan: str) -> Known:
    """Return the prepared films of which anything is known, and what it is, with boxes as they lie on the film.

    Raises:
        ScanweaveError: A scan is no film, or boxes are not in its pixels.
    """
    known = [film for film in part if truths[film.id].is_known]
    made = []
    for film in known:
        native, truth = film.frames[scan].native, truths[film.id]
        if native.is_placed or native.shape[2] != 1:
            shape = "×".join(map(str, native.shape))
            raise ScanweaveError(film.id, f"{scan} is a volume or slice of {shape}, no film", "Name films by --scan")
        made.append(truth._replace(boxes=film_boxes(truth.boxes, native.shape[:2], film.id)))
    return known, made


def _answers(truths: Sequence[FilmTruth], classes: int) -> NDArray[np.float64]:
    return np.array([truth.answers for truth in truths], dtype=np.float64).reshape(len(truths), classes)


def _plan(
    config: DetectConfig, parts: PreparedParts, training: Known, scan: str, classes: tuple[str, ...], why: str
) -> DetectPlan:
    """Return the question and the input that the training films settle."""
    films, truths = training
    shapes = [film.frames[scan].native.shape for film in films]
    size, sized = plan_size(shapes, config.network)
    question = Question("findings", classes, classes, "ignore")
    fields, asked = answer_fields(question, _answers(truths, len(classes)), LossSettings())
    looked = sum(truth.is_complete for truth in truths)
    bare = sum(truth.is_complete and not len(truth.findings) for truth in truths)
    by_label = f", {count(len(films) - looked, 'film')} by labels" if looked < len(films) else ""
    base = dict(fields, scan=scan, channels=3 if scan in parts.plan.colours else 1, size=size)
    draft = DetectPlan(**base, anchor_scale=1.0, anchor_ratios=(1.0,), most_targets=1, reasons=())
    drawn = [input_boxes(truth.findings, shape, draft) for truth, shape in zip(truths, shapes, strict=True)]
    boxes = np.concatenate(drawn)
    scale, ratios, fitted = plan_anchors(boxes[:, 2:] - boxes[:, :2])
    told = f"films: {count(looked, 'film')} by boxes, of which {bare} have none{by_label}"
    return draft.model_copy(
        update={
            "anchor_scale": scale,
            "anchor_ratios": ratios,
            "most_targets": max(1, *(len(one) for one in drawn)),
            "reasons": (why, told, asked, sized, *([] if config.network.detector != "chexdet" else [fitted])),
        }
    )


def _freeze_points(fit: CohortFit[DetectConfig], task: DetectTask, plan: DetectPlan, validation: Known) -> None:
    """Choose on the validation films, by the weights that were kept, from where boxes and findings are called; once."""
    if (fit.run.folder / operating_points.FILE).exists() or not fit.run.main:
        return
    films, truths = validation
    reader = FilmReader(with_weights(task.network.cpu(), fit.run.weights), plan)
    read = reader.read(cached_film(film, plan) for film in films)
    points = box_points.choose_box_points(truths, read, plan.outputs)
    operating_points.save_points(fit.run.folder, points, box_points.FILE)
    for name, point in points.items():
        fit.say(f"boxes: {name} reported from {point.threshold:.3g} on, {point.rule}")
    shares = np.array([one.shares for one in read], dtype=np.float64).reshape(len(films), len(plan.outputs))
    answers = _answers(truths, len(plan.outputs))
    operating_points.freeze_points(fit, plan, [film.id for film in films], answers, lambda: shares)
