"""Plan of a run from its training studies: findings, images, reports. Imports no torch."""

from __future__ import annotations

from scanweave.framework.reported.prompts import Prompt
from scanweave.framework.reported.text_plan import TextPlan
from scanweave.framework.whole_images.planning import WholeImagePlan

FILE = "question.json"
REPORT = "report"
"""Name of the target that is a drafted report."""


class PairPlan(WholeImagePlan):
    """The findings that are told by sentences, and the input of a run; saved as `question.json`. See `WholeImagePlan`.

    `shares` are those of the training studies whose labels are known, one half of others: nothing is learnt from them.

    Attributes:
        text: How reports are read.
        prompts: Sentences of each finding.
        drafts: Whether reports are drafted.
    """

    text: TextPlan
    prompts: dict[str, Prompt]
    drafts: bool = False

    @property
    def targets(self) -> tuple[str, ...]:
        """The findings, and what is made only when it is asked for: the embedding, and a report."""
        return (*super().targets, *((REPORT,) if self.drafts else ()))
