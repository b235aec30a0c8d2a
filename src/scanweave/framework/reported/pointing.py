"""The pointing game of words: is the map of a finding's sentences highest in its boxes, or its mask?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.framework.localisation.detections import of_classes
from scanweave.framework.localisation.evaluation import BEST_POINT, film_of, pointing_row
from scanweave.framework.reported.fitted_pairs import FittedPairs
from scanweave.framework.reported.pair_reader import words_map
from scanweave.framework.reported.prompts import Prompts
from scanweave.framework.reported.settings import EvaluateOptions, MapsOf
from scanweave.framework.reported.zero_shot import prompt_directions, unit
from scanweave.framework.whole_images.maps import native_scan_of
from scanweave.measures.pointing import pointing_hit
from scanweave.studies.box_overlap import boxes_to_mask
from scanweave.studies.mask_targets import Structure, structure_planes
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study

OTHER = "pointing game of another finding's words"
Mask = NDArray[np.bool_]


def sentences_map(
    fitted: FittedPairs[Any], study: Study, name: str, sentences: Sequence[str], made_of: MapsOf, prompts: Prompts
) -> Scan:
    """Return where some sentences are looked for in an image, on its native grid.

    Args:
        fitted: The fitted run.
        study: Holds the image.
        name: Of the image.
        sentences: Each is read by itself.
        made_of: As in `ExplainOptions`.
        prompts: Of one finding, whose sentences these are; empty: of none.
    """
    prepared = fitted.prepared(study.only([name]))
    volume = prepared.volumes[name]
    if made_of == "words":
        shown = words_map(fitted.reader.word_maps(volume, name, [[sentence] for sentence in sentences]))
    else:
        read = fitted.reader.sentences
        direction = prompt_directions(prompts, read)[0] if prompts else unit(read(list(sentences)).mean(axis=0))
        shown = fitted.reader.likeness_map(volume, name, direction)
    crop = fitted.config.sampling.crop
    return native_scan_of(shown, prepared.frames[name], fitted.plan, fitted.preparation, crop)


def finding_map(fitted: FittedPairs[Any], study: Study, name: str, of: str, prompts: Prompts, made_of: MapsOf) -> Scan:
    """Return where the sentences of a finding are looked for in an image; see `sentences_map`."""
    return sentences_map(fitted, study, name, prompts[of].present, made_of, {of: prompts[of]})


def pointing_hits(
    fitted: FittedPairs[Any], study: Study, prompts: Prompts, structures: Sequence[Structure], made_of: MapsOf
) -> dict[str, dict[str, float]]:
    """Return of each finding that is marked whether its map is highest there, and whether the image's middle is.

    Beside it the map of another finding, one that is not marked in the image, where there is such a one.

    Args:
        fitted: The fitted run.
        study: With boxes on a film, or with masks.
        prompts: Sentences of the findings.
        structures: Of the masks of the cohort, those that are named as findings are; none where boxes are.
        made_of: As in `ExplainOptions`.

    Raises:
        ScanweaveError: The study has no film that its boxes belong to, or several.
    """
    place, masks = _marked(fitted, study, prompts, structures)
    absent = [name for name in prompts if name not in masks]
    found = {}
    for name, mask in masks.items():
        found[name] = {"middle": float(mask[tuple(edge // 2 for edge in mask.shape)])}
        for what, of in ((BEST_POINT, name), *((OTHER, other) for other in absent[:1])):
            made = np.asarray(finding_map(fitted, study, place, of, prompts, made_of).data)
            found[name][what] = pointing_hit(made.reshape(mask.shape), mask)
    return found


def _marked(
    fitted: FittedPairs[Any], study: Study, prompts: Prompts, structures: Sequence[Structure]
) -> tuple[str, dict[str, Mask]]:
    """Return the image in which findings are marked, and where each of them is; without those that have no voxel."""
    known = study.only(fitted.plan.scans)
    truth = study.boxes
    if truth is not None and set(truth.labels) & set(prompts):
        truth = truth if truth.ignored is None else truth.select(~truth.ignored)
        film = film_of(known, truth)
        place = next(name for name, scan in known.scans.items() if scan is film)
        named = [name for name in prompts if name in truth.labels]
        made = {name: boxes_to_mask(of_classes(truth, [name]), {name: 1}) > 0 for name in named}
    elif structures and known.scans:
        place = next(iter(known.scans))
        planes, there = structure_planes(study, structures, known.scans[place].geometry)
        made = {one.name: plane for one, plane, seen in zip(structures, planes, there, strict=True) if seen}
    else:
        return "", {}
    return place, {name: mask for name, mask in made.items() if mask.any()}


def pointing_rows(found: Mapping[str, dict[str, Any]], options: EvaluateOptions) -> list[dict[str, Any]]:
    """Return rows of the pointing game, with the middle of the image as control.

    Args:
        found: What was found of each study: `patient` and, where something is marked, `hits`.
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
