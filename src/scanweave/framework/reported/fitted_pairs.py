"""A fitted network of images and reports, and a study through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from scanweave.engine.run import Run
from scanweave.engine.saved_plan import EMBEDDING
from scanweave.errors import ScanweaveError
from scanweave.framework.classification.answers import told
from scanweave.framework.classification.operating_points import load_points
from scanweave.framework.cohort_fit import PLAN
from scanweave.framework.fitted_run import FittedRun
from scanweave.framework.network_memory import refuse_large_input
from scanweave.framework.predicting import known_scans
from scanweave.framework.reported.pair_plan import FILE, REPORT, PairPlan
from scanweave.framework.reported.pair_reader import PairReader
from scanweave.framework.reported.prompts import Prompts
from scanweave.framework.reported.settings import PairConfig
from scanweave.framework.reported.study_texts import StudyText, text_of
from scanweave.framework.reported.tokens import FILE as TOKENIZER
from scanweave.framework.reported.tokens import ReportTokenizer
from scanweave.framework.reported.zero_shot import prompt_directions, zero_shot_shares
from scanweave.studies.preparing.plan import Plan
from scanweave.studies.preparing.preparation import PreparedStudy, prepare
from scanweave.studies.reports import Report
from scanweave.studies.study import Study

C = TypeVar("C", bound=PairConfig)


class FittedPairs(FittedRun[C]):
    """A fitted network of images and reports; see `FittedRun`. A system says `new_network`.

    Attributes:
        plan: Findings, images and reports.
        preparation: How images are made ready.
        points: Operating points by finding, frozen on validation studies whose labels are known.
        reader: The network, ready to look at images and to read.
    """

    plan_class: ClassVar[type[PairPlan]] = PairPlan
    plan_file = FILE
    plan: PairPlan

    def __init__(self, run: Run, device: str = "auto") -> None:
        super().__init__(run, device)
        self.preparation = Plan.load(run.folder / PLAN)
        self.points = load_points(run.folder)
        refuse_large_input(self.plan.size, 1, run.folder / FILE)
        tokenizer = ReportTokenizer.load(run.folder / TOKENIZER, self.plan.text.most_tokens)
        self.reader = PairReader(self.loaded(self.new_network), self.plan, tokenizer, self.config.sampling.crop)

    def new_network(self) -> nn.Module:
        """Return the network of the run with random weights, a `PairNetwork`."""
        raise TypeError(f"{type(self).__name__} does not say 'new_network'")

    @cached_property
    def directions(self) -> NDArray[np.float64]:
        """Directions that tell the findings of the plan `(K, d)`; see `prompt_directions`."""
        return self.directions_of(self.plan.prompts)

    def directions_of(self, prompts: Prompts) -> NDArray[np.float64]:
        """Return what tells findings by these sentences `(K, d)`."""
        return prompt_directions(prompts, self.reader.sentences)

    def prepared(self, study: Study) -> PreparedStudy:
        """Return the images of a study made ready.

        Raises:
            ScanweaveError: It holds no image of the run.
        """
        return prepare(known_scans(study, self.plan.scans), self.preparation)

    def image(self, study: Study) -> NDArray[np.float64]:
        """Return the vector of a study's images `(d,)`, of length 1.

        Raises:
            ScanweaveError: It holds no image of the run.
        """
        return self.reader.image(self.prepared(study).volumes)

    def text(self, study: Study) -> StudyText | None:
        """Return the report of a study as it is read; None where it has none.

        Raises:
            ScanweaveError: The report says nothing of what is seen, or has none of the sections.
        """
        settings = self.plan.text
        return None if study.report is None else text_of(study.report, settings.sections, settings.language)

    def readable(self, study: Study, say: Callable[[str], None] = lambda why: None) -> StudyText | None:
        """Return the report of a study as it is read; None where none can be read, and why is told."""
        try:
            return self.text(study)
        except ScanweaveError as error:
            say(f"its report {error.reason}")
            return None

    @property
    def looks_for_words(self) -> bool:
        """Tell whether the run learnt where in an image the words of a report look."""
        return True

    def shares(self, image: NDArray[np.float64], directions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of each finding of a study's vector `(K,)`."""
        found: NDArray[np.float64] = zero_shot_shares(image[None], directions, self.config.objective.temperature)[0]
        return found

    def probabilities(self, study: Study) -> NDArray[np.float64]:
        """Return the probability of each finding `(K,)`, told by sentences.

        Raises:
            ScanweaveError: It holds no image of the run.
        """
        return self.shares(self.image(study), self.directions)

    def draft(self, study: Study) -> str:
        """Return a report on a study as the run would write it, to be read and mended by a person.

        Raises:
            ScanweaveError: It holds no image of the run, or the run did not learn to write.
        """
        if not self.plan.drafts:
            raise ScanweaveError("report", "this run did not learn to write reports", "Fit with --objective.draft 1")
        return self.reader.draft(self.prepared(study).volumes)

    def predict(self, study: Study, targets: Sequence[str] | None = None) -> Study:
        """Tell what a study shows without having learnt from labels.

        Args:
            study: Holds at least one image that the run knows.
            targets: Findings, `embedding`, and `report` where the run drafts; None: all findings, or the embedding
                where the run tells none.

        Returns:
            A study with the findings as labels, a table of probabilities, and, if they are asked for, the embedding
            (the vector by which images and reports are compared) and a drafted report.

        Raises:
            ScanweaveError: It holds no image of the run, or a target is unknown.
        """
        wanted = self.wanted(targets, self.plan.labels or (EMBEDDING,))
        if not wanted:
            return study.answer()
        image, made = self.image(study), dict[str, Any]()
        if REPORT in wanted:
            made["report"] = Report(self.draft(study))
        if EMBEDDING in wanted:
            made["embeddings"] = {self.run.record["system"]: image.astype(np.float32)}
        labels = [name for name in wanted if name not in (EMBEDDING, REPORT)]
        if labels:
            made |= told(self, self.shares(image, self.directions), labels)
        return study.answer(**made)
