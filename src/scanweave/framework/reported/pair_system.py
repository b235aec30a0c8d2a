"""The verbs that all systems of images and reports have in the same words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pandas as pd

from scanweave.engine.run import Run
from scanweave.framework.classification import operating_points
from scanweave.framework.reported.explanation import explain_words
from scanweave.framework.reported.pair_fit import choose_pairs
from scanweave.framework.reported.settings import ExplainOptions, PairConfig
from scanweave.framework.system import Material, System
from scanweave.framework.trial import Trial
from scanweave.studies.cohort import Cohort

C = TypeVar("C", bound=PairConfig)


class PairSystem(System[C]):
    """A system whose runs are `FittedPairs`; it says what is learnt, measured and written."""

    @classmethod
    def material(cls, cohort: Cohort, config: C, fold: int, say: Callable[[str], None]) -> Material:
        """Choose the studies with an image and a report that says something."""
        return choose_pairs(cohort, config, say)

    @classmethod
    def is_done(cls, run: Run) -> bool:
        """Tell whether the network is trained and its operating points are chosen."""
        return run.finished and (run.folder / operating_points.FILE).is_file()

    def account(self, trial: Trial, options: ExplainOptions) -> pd.DataFrame:
        """Map where words are looked for; see `explain_words`."""
        fitted: Any = self
        return explain_words(fitted, trial, options)
