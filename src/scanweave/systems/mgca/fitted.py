"""A fitted MGCA: its network, and a study through it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
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
from scanweave.framework.reported.prompts import Prompts
from scanweave.framework.reported.study_texts import StudyText, text_of
from scanweave.framework.reported.tokens import FILE as TOKENIZER
from scanweave.framework.reported.tokens import ReportTokenizer
from scanweave.framework.reported.zero_shot import prompt_directions, zero_shot_shares
from scanweave.framework.scan_preparation import known_scans
from scanweave.studies.preparing.plan import Plan
from scanweave.studies.preparing.preparation import PreparedStudy, prepare
from scanweave.studies.study import Study
from scanweave.systems.mgca.config import MgcaConfig
from scanweave.systems.mgca.network import make_network
from scanweave.systems.mgca.planning import FILE, MgcaPlan
from scanweave.systems.mgca.task import pair_reader


class FittedMgca(FittedRun[MgcaConfig]):
    """A fitted MGCA; see `FittedRun`.

    Attributes:
        plan: Findings, films and reports.
        preparation: How films are made ready.
        points: Operating points by finding, frozen on validation studies whose labels are known.
        reader: The network, ready to look at films and to read.
    """

    config_class = MgcaConfig
    plan_class: ClassVar[type[MgcaPlan]] = MgcaPlan
    plan_file = FILE
    plan: MgcaPlan

    def __init__(self, run: Run, device: str = "auto") -> None:
        super().__init__(run, device)
        self.preparation = Plan.load(run.folder / PLAN)
        self.points = load_points(run.folder)
        refuse_large_input(self.plan.size, 1, run.folder / FILE)
        tokenizer = ReportTokenizer.load(run.folder / TOKENIZER, self.plan.text.most_tokens)
        network = self.loaded(lambda: make_network(self.plan, self.config.network))
        self.reader = pair_reader(network, self.plan, tokenizer, self.config)

    @cached_property
    def directions(self) -> NDArray[np.float64]:
        """Directions that tell the findings of the plan `(K, d)`; see `prompt_directions`."""
        return self.directions_of(self.plan.prompts)

    def directions_of(self, prompts: Prompts) -> NDArray[np.float64]:
        """Return what tells findings by these sentences `(K, d)`."""
        return prompt_directions(prompts, self.reader.sentences)

    def prepared(self, study: Study) -> PreparedStudy:
        """Return the films of a study made ready.

        Raises:
            ScanweaveError: It holds no film of the run.
        """
        return prepare(known_scans(study, self.plan.scans), self.preparation)

    def image(self, study: Study) -> NDArray[np.float64]:
        """Return the vector of a study's films `(d,)`, of length 1.

        Raises:
            ScanweaveError: It holds no film of the run.
        """
        return self.reader.image(self.prepared(study).volumes)

    def text(self, study: Study) -> StudyText | None:
        """Return the report of a study as it is read; None where it has none.

        Raises:
            ScanweaveError: The report says nothing of what is seen, or has none of the sections.
        """
        settings = self.plan.text
        return None if study.report is None else text_of(study.report, settings.sections, settings.language)

    def shares(self, image: NDArray[np.float64], directions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of each finding of a study's vector `(K,)`."""
        found: NDArray[np.float64] = zero_shot_shares(image[None], directions, self.config.objective.temperature)[0]
        return found

    def probabilities(self, study: Study) -> NDArray[np.float64]:
        """Return the probability of each finding `(K,)`, told by sentences.

        Raises:
            ScanweaveError: It holds no film of the run.
        """
        return self.shares(self.image(study), self.directions)

    def predict(self, study: Study, targets: Sequence[str] | None = None) -> Study:
        """Tell what a study shows without having learnt from labels.

        Args:
            study: Holds at least one film that the run knows.
            targets: Findings, and `embedding`; None: all findings, or the embedding where the run tells none.

        Returns:
            A study with the findings as labels, a table of probabilities, and the embedding if it is asked for: the
            vector by which films and reports are compared.

        Raises:
            ScanweaveError: It holds no film of the run, or a target is unknown.
        """
        wanted = self.wanted(targets, self.plan.labels or (EMBEDDING,))
        if not wanted:
            return study.answer()
        image, made = self.image(study), dict[str, Any]()
        if EMBEDDING in wanted:
            made["embeddings"] = {self.run.record["system"]: image.astype(np.float32)}
        labels = [name for name in wanted if name != EMBEDDING]
        if labels:
            made |= told(self, self.shares(image, self.directions), labels)
        return study.answer(**made)
