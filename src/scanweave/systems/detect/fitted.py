"""A fitted Detect: its network, and a film through it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from scanweave.engine.run import Run
from scanweave.engine.saved_plan import EMBEDDING
from scanweave.framework.classification.answers import told
from scanweave.framework.classification.operating_points import load_points
from scanweave.framework.cohort_fit import PLAN
from scanweave.framework.fitted_run import FittedRun
from scanweave.framework.network_memory import refuse_large_input
from scanweave.framework.predicting import known_scans
from scanweave.studies.preparing.plan import Plan
from scanweave.studies.preparing.preparation import prepare
from scanweave.studies.study import Study
from scanweave.systems.detect.box_points import FILE as BOX_POINTS
from scanweave.systems.detect.box_points import reported
from scanweave.systems.detect.config import DetectConfig
from scanweave.systems.detect.inference import Film, FilmReader, Reading
from scanweave.systems.detect.make_network import make_network
from scanweave.systems.detect.planning import BOXES, FILE, DetectPlan


class FittedDetect(FittedRun[DetectConfig]):
    """A fitted Detect; see `FittedRun`.

    Attributes:
        plan: The question and the input.
        preparation: How films are made ready.
        points: Operating points by class, frozen on validation films.
        box_points: Likewise of single boxes.
        reader: The network, ready to read whole films.
    """

    config_class = DetectConfig
    plan_class: ClassVar[type[DetectPlan]] = DetectPlan
    plan_file = FILE
    plan: DetectPlan

    def __init__(self, run: Run, device: str = "auto") -> None:
        super().__init__(run, device)
        self.preparation = Plan.load(run.folder / PLAN)
        self.points, self.box_points = load_points(run.folder), load_points(run.folder, BOX_POINTS)
        refuse_large_input(self.plan.size, self.plan.channels, run.folder / FILE)
        network = self.loaded(lambda: make_network(self.plan, self.config.network))
        self.reader = FilmReader(network, self.plan)

    def film(self, study: Study) -> Film:
        """Return the film of a study made ready.

        Raises:
            ScanweaveError: It holds no film of the run.
        """
        prepared = prepare(known_scans(study, [self.plan.scan]), self.preparation)
        width, height, _ = prepared.frames[self.plan.scan].native.shape
        return Film(prepared.volumes[self.plan.scan], (width, height))

    def read(self, study: Study) -> Reading:
        """Return the boxes found in the film of a study, and its score for each class.

        Raises:
            ScanweaveError: It holds no film of the run.
        """
        return self.reader.read([self.film(study)])[0]

    def probabilities(self, study: Study) -> NDArray[np.float64]:
        """Return the score of the film for each class `(K,)`.

        Raises:
            ScanweaveError: It holds no film of the run.
        """
        return self.read(study).shares

    def predict(self, study: Study, targets: Sequence[str] | None = None) -> Study:
        """Find boxes in a film, and tell which findings it has.

        Args:
            study: Holds the film that the run knows.
            targets: `boxes`, classes, and `embedding`; None: boxes and all classes.

        Returns:
            A study with the boxes that reach the frozen score of their class, in pixels of the film; the findings, each
            called by its operating point; a table of their scores; and the embedding if it is asked for.

        Raises:
            ScanweaveError: It holds no film of the run, or a target is unknown.
        """
        wanted = self.wanted(targets, (BOXES, *self.plan.labels))
        if not wanted:
            return study.answer()
        film, made = self.film(study), dict[str, Any]()
        if EMBEDDING in wanted:
            made["embeddings"] = {self.run.record["system"]: self.reader.embedding(film)}
        if any(name != EMBEDDING for name in wanted):
            read = self.reader.read([film])[0]
            made |= {"boxes": reported(read.boxes, self.box_points)} if BOXES in wanted else {}
            labels = [name for name in wanted if name in self.plan.labels]
            made |= told(self, read.shares, labels) if labels else {}
        return study.answer(**made)
