"""A fitted Classify: its network, and a study through it."""

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
from scanweave.studies.preparing.preparation import PreparedStudy, prepare
from scanweave.studies.study import Study
from scanweave.systems.classify.config import ClassifyConfig
from scanweave.systems.classify.inference import Classifier
from scanweave.systems.classify.network import make_network
from scanweave.systems.classify.planning import FILE, ClassifyPlan


class FittedClassify(FittedRun[ClassifyConfig]):
    """A fitted Classify; see `FittedRun`.

    Attributes:
        plan: The question and the input.
        preparation: How studies are made ready.
        points: Operating points by class or finding, frozen on validation studies.
        classifier: The network, ready to classify whole studies.
    """

    config_class = ClassifyConfig
    plan_class: ClassVar[type[ClassifyPlan]] = ClassifyPlan
    plan_file = FILE
    plan: ClassifyPlan

    def __init__(self, run: Run, device: str = "auto") -> None:
        super().__init__(run, device)
        self.preparation = Plan.load(run.folder / PLAN)
        self.points = load_points(run.folder)
        refuse_large_input(self.plan.size, len(self.plan.scans), run.folder / FILE)
        network = self.loaded(lambda: make_network(self.plan, self.config.network))
        self.classifier = Classifier(network, self.plan, self.config.sampling.crop)

    def prepared(self, study: Study) -> PreparedStudy:
        """Return a study made ready.

        Raises:
            ScanweaveError: It holds no scan of the run.
        """
        return prepare(known_scans(study, self.plan.scans), self.preparation)

    def probabilities(self, study: Study) -> NDArray[np.float64]:
        """Return the probability of each class, or of each finding `(K,)`.

        Raises:
            ScanweaveError: It holds no scan of the run.
        """
        found: NDArray[np.float64] = self.classifier.probabilities([dict(self.prepared(study).volumes)])[0]
        return found

    def predict(self, study: Study, targets: Sequence[str] | None = None) -> Study:
        """Tell what a study shows, from whatever scans of the run it has.

        Args:
            study: Holds at least one scan that the run knows.
            targets: Labels, and `embedding`; None: all labels.

        Returns:
            A study with the labels, a table of probabilities, and the embedding if it is asked for. A finding is called
            by its operating point, of classes the most probable one.

        Raises:
            ScanweaveError: It holds no scan of the run, or a target is unknown.
        """
        wanted = self.wanted(targets, self.plan.labels)
        if not wanted:
            return study.answer()
        volumes = dict(self.prepared(study).volumes)
        made: dict[str, Any] = {}
        if EMBEDDING in wanted:
            made["embeddings"] = {self.run.record["system"]: self.classifier.embedding(volumes)}
        labels = [name for name in wanted if name != EMBEDDING]
        if labels:
            made |= told(self, self.classifier.probabilities([volumes])[0], labels)
        return study.answer(**made)
