"""The pointing game of words: is the map of a finding's sentences highest in its boxes?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scanweave.framework.localisation.detections import of_classes
from scanweave.framework.localisation.evaluation import BEST_POINT, film_of, middle_hits, pointing_row
from scanweave.framework.reported.prompts import Prompts
from scanweave.framework.whole_images.maps import native_scan_of
from scanweave.measures.pointing import pointing_hit
from scanweave.studies.box_overlap import boxes_to_mask
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study
from scanweave.systems.mgca.config import EvaluateOptions
from scanweave.systems.mgca.fitted import FittedMgca
from scanweave.systems.mgca.inference import words_map

OTHER = "pointing game of another finding's words"


def sentences_map(fitted: FittedMgca, study: Study, name: str, sentences: tuple[str, ...]) -> Scan:
    """Return where the words of some sentences are looked for in a film, on its native grid.

    Args:
        fitted: The fitted run.
        study: Holds the film.
        name: Of the film.
        sentences: Each is read by itself.
    """
    prepared = fitted.prepared(study.only([name]))
    volume = prepared.volumes[name]
    shown = words_map(fitted.reader.word_maps(volume, name, [[sentence] for sentence in sentences]))
    crop = fitted.config.sampling.crop
    return native_scan_of(shown, prepared.frames[name], fitted.plan, fitted.preparation, crop)


def pointing_hits(fitted: FittedMgca, study: Study, prompts: Prompts) -> dict[str, dict[str, float]]:
    """Return of each finding with a box whether its map is highest in one, and whether the film's middle lies there.

    Beside it the map of another finding, one that has no box in the film, where there is such a one.

    Raises:
        ScanweaveError: The study has no film that its boxes belong to, or several.
    """
    truth = study.boxes
    if truth is None or not set(truth.labels) & set(prompts):
        return {}
    truth = truth if truth.ignored is None else truth.select(~truth.ignored)
    named, absent = ([name for name in prompts if (name in truth.labels) is there] for there in (True, False))
    known = study.only(fitted.plan.scans)
    film = film_of(known, truth)
    place = next(name for name, scan in known.scans.items() if scan is film)
    found = {}
    for name in named:
        mask = boxes_to_mask(of_classes(truth, [name]), {name: 1}) > 0
        if not mask.any():
            continue  # a box between the middles of pixels
        found[name] = {"middle": middle_hits(truth, name)}
        for what, of in ((BEST_POINT, name), *((OTHER, other) for other in absent[:1])):
            made = np.asarray(sentences_map(fitted, study, place, prompts[of].present).data)
            found[name][what] = pointing_hit(made.reshape(mask.shape), mask)
    return found


def pointing_rows(found: Mapping[str, dict[str, Any]], options: EvaluateOptions) -> list[dict[str, Any]]:
    """Return rows of the pointing game, with the middle of the film as control.

    Args:
        found: What was found of each study: `patient` and, where it has boxes, `hits`.
        options: Of the resampling.
    """
    rows = []
    settings = {"seed": options.seed, "repeats": options.repeats}
    for name in dict.fromkeys(name for one in found.values() for name in one.get("hits", {})):
        for what in (BEST_POINT, OTHER):
            own = [
                (one["hits"][name], one["patient"])
                for one in found.values()
                if what in one.get("hits", {}).get(name, {})
            ]
            if own:
                middles, patients = [hits["middle"] for hits, _ in own], [patient for _, patient in own]
                rows.append(pointing_row(name, what, [hits[what] for hits, _ in own], middles, patients, **settings))
    return rows
