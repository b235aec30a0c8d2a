"""Classify from an exported file. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.framework.classification.answers import told
from scanweave.framework.exporting.exported_run import ExportedRun
from scanweave.framework.exporting.model_file import About, ModelFile
from scanweave.framework.predicting import known_scans
from scanweave.measures.operating_points import OperatingPoint
from scanweave.studies.preparing.plan import Plan
from scanweave.studies.preparing.preparation import prepare
from scanweave.studies.study import Study
from scanweave.systems.classify.planning import FILE, ClassifyPlan

PRESENT, SHARES = "present", "probabilities"
PREPARATION = "plan.json"
ABSENT_VOXELS = 2
"""Voxels of each axis of what stands for an absent scan, none of which is looked at."""


def feeds_of(volumes: Mapping[str, NDArray[np.float32]], plan: ClassifyPlan) -> dict[str, NDArray[Any]]:
    """Return the inputs of the file that a study gives.

    Args:
        volumes: Its prepared scans `(X, Y, Z)`.
        plan: The scans of the run.
    """
    none = np.zeros([1 if axis == plan.thin else ABSENT_VOXELS for axis in range(3)], np.float32)
    made: dict[str, NDArray[Any]] = {PRESENT: np.array([name in volumes for name in plan.scans])}
    return made | {name: np.ascontiguousarray(volumes.get(name, none), np.float32) for name in plan.scans}


class ExportedClassify(ExportedRun):
    """A Classify in a file; see `ExportedRun`.

    Attributes:
        preparation: How studies are made ready.
        points: Operating points by class or finding, frozen on validation studies.
    """

    plan: ClassifyPlan

    def __init__(self, file: ModelFile, about: About) -> None:
        super().__init__(file, about)
        self.plan = file.plan(FILE, ClassifyPlan.model_validate)
        self.preparation = file.plan(PREPARATION, Plan.model_validate)
        self.points = {name: OperatingPoint(**point) for name, point in about.points.items()}

    def probabilities(self, study: Study) -> NDArray[np.float64]:
        """Return the probability of each class, or of each finding `(K,)`.

        Raises:
            ScanweaveError: It holds no scan of the run.
        """
        prepared = prepare(known_scans(study, self.plan.scans), self.preparation)
        return self.file.computed(feeds_of(dict(prepared.volumes), self.plan))[0].astype(np.float64)

    def predict(self, study: Study, targets: Sequence[str] | None = None) -> Study:
        """Tell what a study shows; see `FittedClassify.predict`."""
        wanted = self.wanted(targets)
        return study.answer(**told(self, self.probabilities(study), wanted)) if wanted else study.answer()
