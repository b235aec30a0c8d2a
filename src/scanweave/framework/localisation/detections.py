"""True boxes beside detections, a study each, in memory and as `detections.json`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from scanweave.errors import ScanweaveError
from scanweave.files import read_json, write_json
from scanweave.framework.run_outputs import AGAIN, result_file, shape_faults
from scanweave.measures.froc import Marks, mark_lesions
from scanweave.studies.boxes import Boxes
from scanweave.studies.formats.json_boxes import box_list

FILE = "detections.json"


@dataclass(frozen=True, eq=False)
class Detections:
    """Hold what is known and what was found of the studies of a trial.

    Attributes:
        classes: Names of the classes.
        studies: Names of the studies, N.
        patients: Whose they are, N.
        truths: True boxes of each; of a study without findings none.
        found: Detections in each, with scores.
        pictures: Words of each picture of some of them, by its file in the folder of the trial.
    """

    classes: tuple[str, ...]
    studies: list[str]
    patients: list[str]
    truths: list[Boxes]
    found: list[Boxes]
    pictures: Mapping[str, str] = field(default_factory=dict)

    def marks(self) -> dict[str, Marks]:
        """Return the marks of each class, see `froc.mark_lesions`."""
        return {name: mark_lesions(self.truths, self.found, name) for name in self.classes}

    def of(self, studies: Sequence[str]) -> Detections:
        """Return those of the named studies, in that order."""
        at = {name: place for place, name in enumerate(self.studies)}
        places = [at[name] for name in studies]
        return replace(
            self,
            studies=list(studies),
            patients=[self.patients[place] for place in places],
            truths=[self.truths[place] for place in places],
            found=[self.found[place] for place in places],
        )

    def save(self, folder: Path) -> None:
        """Write `detections.json` into a folder: of each study its name, its patient, and `plain_boxes`."""
        rows = [
            {"study": name, "patient": patient, **plain_boxes(truth, found)}
            for name, patient, truth, found in zip(self.studies, self.patients, self.truths, self.found, strict=True)
        ]
        about = {"format": 1, "classes": list(self.classes), "pictures": dict(self.pictures)}
        write_json(folder / FILE, {**about, "studies": rows})


def plain_boxes(truth: Boxes, found: Boxes) -> dict[str, Any]:
    """Return true boxes and detections of one image as plain values.

    These are `unit`, `size`, `truth` (boxes `label, start, stop`, and `ignored`) and `found` (likewise, with `score`).
    """
    size = None if truth.size is None else list(truth.size)
    return {"unit": truth.unit, "size": size, "truth": box_list(truth), "found": box_list(found)}


def read_boxes(plain: Mapping[str, Any]) -> tuple[Boxes, Boxes]:
    """Return the true boxes and the detections of what `plain_boxes` returned.

    Raises:
        KeyError, TypeError, ValueError, ScanweaveError: It is something else.
    """
    return _side(plain, "truth"), _side(plain, "found")


def of_classes(boxes: Boxes, classes: Sequence[str]) -> Boxes:
    """Return the boxes of some classes."""
    return boxes.select(np.array([label in classes for label in boxes.labels], dtype=bool))


def unmarked(truth: Boxes, positive: Collection[str]) -> bool:
    """Tell whether an image has a finding by its label, and no box of it: its boxes are then not all there.

    Args:
        truth: Its boxes.
        positive: Classes that it has by its labels.
    """
    return any(name not in truth.labels for name in positive)


def load_detections(folder: Path) -> Detections | None:
    """Return what `Detections.save` wrote into a folder; None where there is nothing.

    Raises:
        ScanweaveError: The file is not what this version writes, or lies elsewhere.
    """
    path = result_file(folder, FILE)
    if path is None:
        return None
    content = read_json(path, AGAIN)
    with shape_faults(path):
        rows = content["studies"]
        names = [str(row["study"]) for row in rows]
        if len(set(names)) < len(names):
            raise ScanweaveError(path, "names a study twice", AGAIN)
        both = [read_boxes(row) for row in rows]
        return Detections(
            tuple(map(str, content["classes"])),
            names,
            [str(row["patient"]) for row in rows],
            [truth for truth, _ in both],
            [found for _, found in both],
            {str(name): str(words) for name, words in content["pictures"].items()},
        )


def _side(plain: Mapping[str, Any], side: str) -> Boxes:
    listed = plain[side]
    corners = np.array([[one["start"], one["stop"]] for one in listed], dtype=np.float64)
    scores = np.array([one["score"] for one in listed], dtype=np.float64) if side == "found" else None
    if not np.isfinite(corners).all() or (scores is not None and not np.isfinite(scores).all()):
        raise ValueError("a corner or score is no number")
    return Boxes(
        corners,
        tuple(str(one["label"]) for one in listed),
        plain["unit"],
        scores=scores,
        ignored=np.array([one.get("ignored") is True for one in listed], dtype=bool),
        size=None if plain["size"] is None else tuple(plain["size"]),
    )
