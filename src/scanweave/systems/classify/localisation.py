"""Boxes from Grad-CAMs of films beside true boxes, so that a classifier is measured as a detector is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from scanweave.errors import ScanweaveError
from scanweave.framework.classification import evaluation
from scanweave.framework.classification.question import text_of
from scanweave.framework.classification.tried import Tried
from scanweave.framework.localisation.compared import compare_localisation, other_detections
from scanweave.framework.localisation.detections import of_classes, plain_boxes, read_boxes, unmarked
from scanweave.framework.localisation.evaluation import (
    BEST_POINT,
    MIDDLE,
    Row,
    film_of,
    forget_localisation,
    measure_localisation,
    middle_hits,
    pointing_row,
)
from scanweave.framework.told_rows import outcome_lines
from scanweave.framework.trial import Trial
from scanweave.measures.map_boxes import map_boxes
from scanweave.measures.pointing import pointing_hit
from scanweave.studies.box_overlap import boxes_to_mask
from scanweave.studies.boxes import Boxes, join
from scanweave.studies.study import Study
from scanweave.systems.classify.config import EvaluateOptions, ExplainOptions
from scanweave.systems.classify.explanation import input_maps, native_map
from scanweave.systems.classify.fitted import FittedClassify
from scanweave.wording import listed


def try_studies(fitted: FittedClassify, trial: Trial, options: EvaluateOptions) -> tuple[list[Row], Tried]:
    """Predict the studies of a trial, and measure the boxes of their Grad-CAMs if that is asked for.

    Studies that nobody annotated, whose boxes are absent, take no part in it; those without a finding do.

    Args:
        fitted: The fitted run.
        trial: The studies, and where the results go.
        options: Whether boxes are asked for, and the other run to compare them with.

    Returns:
        Rows of the summary, see `measure_localisation`, with the pointing game of the map; and what is predicted.

    Raises:
        ScanweaveError: The run is of volumes, no box is of a class or finding that the run tells, or the other run
            holds no boxes of the same studies.
    """
    if not options.localise:
        tried = evaluation.try_studies(fitted, trial)
        forget_localisation(trial.folder)
        return [], tried
    outputs = box_outputs(fitted, trial)
    if options.against is not None:
        other_detections(trial, Path(options.against))
    tried = evaluation.try_studies(fitted, trial, lambda study: located(fitted, study, outputs), localise=outputs)
    places = [place for place, one in enumerate(tried.more) if one is not None]
    if not places:
        raise ScanweaveError("localise", "no study that could be tried has boxes", "Leave it out")
    studies, patients = ([names[place] for place in places] for names in (tried.studies, tried.patients))
    both = [read_boxes(tried.more[place]) for place in places]
    truths, found = [truth for truth, _ in both], [one for _, one in both]
    settings = {"seed": options.seed, "repeats": options.repeats}
    rows = measure_localisation(
        trial, studies, patients, truths, found, tuple(outputs), scans=fitted.plan.scans, **settings
    )
    hits = [tried.more[place]["hits"] for place in places]
    pointing = list(_pointing(outputs, hits, truths, patients, settings))
    for line in outcome_lines(pointing, MIDDLE):
        trial.say(line)
    rows += pointing
    if options.against is not None:
        compare_localisation(trial, Path(options.against), **settings)
    return rows, tried


def box_outputs(fitted: FittedClassify, trial: Trial) -> dict[str, int]:
    """Return the classes of the boxes of a trial that the run tells, and the number of the output of each.

    A class of boxes has the name of a class or finding; or, of a label that is 0 or 1, that of the label.

    Raises:
        ScanweaveError: The run is of volumes, the studies have no boxes, or none of a name that the run tells.
    """
    plan, cohort = fitted.plan, trial.cohort
    if plan.dimensions != 2:
        raise ScanweaveError("localise", "takes films, and this run is of volumes", "Leave it out")
    named: set[str] = set()
    for name in cohort.studies if "boxes" in cohort.frame else ():
        with suppress(ScanweaveError):  # a study that cannot be read is left out, and named, when it is tried
            boxes = cohort[name].boxes
            named |= set() if boxes is None else set(boxes.labels)
    if not named:
        raise ScanweaveError(
            cohort.folder, "has no boxes in the studies that are tried", "Import them, or leave it out"
        )
    told = {name: number for number, name in enumerate(plan.outputs)}
    told |= {name: plan.outputs.index(output) for name, output in plan.findings.items()}
    found = {name: told[name] for name in sorted(named) if name in told}
    if not found:
        reason = f"the boxes are of {listed(sorted(named))}, and the run tells {listed(sorted(told))}"
        raise ScanweaveError("localise", reason, "Give findings and boxes the same names")
    return found


def located(fitted: FittedClassify, study: Study, outputs: Mapping[str, int]) -> dict[str, Any] | None:
    """Return the boxes of a film's Grad-CAMs beside the true ones, as plain values; None where these are not all there.

    So it is where nobody annotated the film, or its label says that it has a finding of which it has no box.

    Args:
        fitted: The fitted run.
        study: The study.
        outputs: Number of the output of each class of boxes.

    Returns:
        What `plain_boxes` returns, and `hits`: by class whether the map is highest on a true box, where there is one.

    Raises:
        ScanweaveError: It has no film of the run that the boxes belong to, or several.
    """
    truth = study.boxes
    if truth is None or unmarked(truth, _positive(fitted, study, outputs)):
        return None
    prepared = fitted.prepared(study)
    films = [name for name in fitted.plan.scans if name in prepared.volumes]
    known = study.only(films if fitted.plan.views else films[:1])  # channels lie on one grid
    film = film_of(known, truth)
    place = next(name for name, scan in known.scans.items() if scan is film)
    shares = fitted.classifier.probabilities([prepared.volumes])[0]
    found, hits = [], {}
    for name, number in outputs.items():
        maps = input_maps(fitted, prepared, number, ExplainOptions())
        heat = np.asarray(native_map(fitted, prepared, place, maps[place]).data)[..., 0]
        found.append(map_boxes(heat, name, float(shares[number])))
        mask = boxes_to_mask(of_classes(truth, [name]), {name: 1})
        if mask.any():
            hits[name] = pointing_hit(heat, mask > 0)
    return {**plain_boxes(of_classes(truth, list(outputs)), join(found)), "hits": hits}


def _positive(fitted: FittedClassify, study: Study, outputs: Mapping[str, int]) -> list[str]:
    """Return the classes of boxes that a study has by its labels."""
    plan = fitted.plan
    if plan.kind == "findings":
        return [name for name in outputs if study.labels.get(name) == 1]
    known = study.labels.get(plan.labels[0])
    return [name for name, number in outputs.items() if known is not None and text_of(known) == plan.outputs[number]]


def _pointing(
    outputs: Mapping[str, int],
    hits: Sequence[Mapping[str, float]],
    truths: Sequence[Boxes],
    patients: Sequence[str],
    settings: Mapping[str, int],
) -> Iterator[Row]:
    """Yield how often the map of a film with a lesion is highest on it, beside the middle of the image."""
    for name in outputs:
        places = [place for place, one in enumerate(hits) if name in one]
        if places:
            own, middles = [hits[p][name] for p in places], [middle_hits(truths[p], name) for p in places]
            people = [patients[place] for place in places]
            yield pointing_row(name, BEST_POINT, own, middles, people, **settings)
