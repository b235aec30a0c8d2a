"""A fitted MOME: its network, and a study through it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from scanweave.engine.run import Run
from scanweave.engine.saved_plan import EMBEDDING
from scanweave.errors import ScanweaveError
from scanweave.framework.classification.answers import told
from scanweave.framework.classification.operating_points import load_points
from scanweave.framework.cohort_fit import PLAN
from scanweave.framework.fitted_run import FittedRun
from scanweave.framework.network_memory import refuse_large_input
from scanweave.studies.preparing.plan import Plan
from scanweave.studies.preparing.preparation import PreparedStudy, prepare
from scanweave.studies.study import Study
from scanweave.systems.mome.config import MomeConfig
from scanweave.systems.mome.inference import Diagnoser
from scanweave.systems.mome.inputs import StudyInput, study_input
from scanweave.systems.mome.network import make_network
from scanweave.systems.mome.planning import FILE, MomePlan, variable_values
from scanweave.wording import listed


class FittedMome(FittedRun[MomeConfig]):
    """A fitted MOME; see `FittedRun`.

    Attributes:
        plan: The question and the modalities.
        preparation: How scans are made ready.
        points: Operating points by class or finding, frozen on validation studies.
        diagnoser: The network, ready to answer for whole studies.
    """

    config_class = MomeConfig
    plan_class: ClassVar[type[MomePlan]] = MomePlan
    plan_file = FILE
    plan: MomePlan

    def __init__(self, run: Run, device: str = "auto") -> None:
        super().__init__(run, device)
        self.preparation = Plan.load(run.folder / PLAN)
        self.points = load_points(run.folder)
        for image in self.plan.images:
            refuse_large_input(image.size, image.frames or 1, run.folder / FILE)
        network = self.loaded(lambda: make_network(self.plan, self.config.network))
        self.diagnoser = Diagnoser(network, self.plan, self.config.input)

    def prepared(self, study: Study) -> PreparedStudy | None:
        """Return the scans of a study made ready; None where it has none of the run's."""
        known = study.only([image.name for image in self.plan.images])
        return prepare(known, self.preparation) if known.scans else None

    def input(self, study: Study) -> StudyInput:
        """Return a study as the network takes it.

        Raises:
            ScanweaveError: It holds no modality of the run.
        """
        ready = self.prepared(study)
        volumes = {} if ready is None else ready.volumes
        times = {} if ready is None else {name: frames.times for name, frames in ready.series.items()}
        values = variable_values(study.table, self.plan.variables)
        found = study_input(volumes, values, self.plan, self.config.input, times)
        if not found.there:
            wanted = listed([*(image.name for image in self.plan.images), *(v.name for v in self.plan.variables)])
            raise ScanweaveError(study.id, "holds no modality of this run", f"Give at least one of {wanted}")
        return found

    def probabilities(self, study: Study) -> NDArray[np.float64]:
        """Return the probability of each class, or of each finding `(K,)`, from whatever modalities there are.

        Raises:
            ScanweaveError: It holds no modality of the run.
        """
        found: NDArray[np.float64] = self.diagnoser.probabilities([self.input(study)])[0]
        return found

    def predict(self, study: Study, targets: Sequence[str] | None = None) -> Study:
        """Answer for a study, from whatever modalities of the run it has.

        Args:
            study: Holds at least one modality that the run knows.
            targets: Labels, and `embedding`; None: all labels.

        Returns:
            A study with the labels, a table of probabilities, and the embedding if it is asked for. A finding is called
            by its operating point, of classes the most probable one.

        Raises:
            ScanweaveError: It holds no modality of the run, or a target is unknown.
        """
        wanted = self.wanted(targets, self.plan.labels)
        if not wanted:
            return study.answer()
        found = self.input(study)
        made: dict[str, Any] = {}
        if EMBEDDING in wanted:
            made["embeddings"] = {self.run.record["system"]: self.diagnoser.embedding(found)}
        labels = [name for name in wanted if name != EMBEDDING]
        if labels:
            made |= told(self, self.diagnoser.probabilities([found])[0], labels)
        return study.answer(**made)
