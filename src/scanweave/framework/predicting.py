"""Studies of a cohort predicted one by one, and from what a run knows. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.studies.study import Study
from scanweave.wording import nearest


class Predicted(NamedTuple):
    """The outcome for one study of a cohort: a prediction, or an error.

    Attributes:
        name: Of the study.
        study: What it was made of.
        made: What was made.
        error: Why nothing was made.
    """

    name: str
    study: Study | None = None
    made: Study | None = None
    error: ScanweaveError | None = None


def predicted_studies(
    predict: Callable[[Study, Sequence[str] | None], Study],
    cohort: Cohort,
    targets: Sequence[str] | None,
    done: Collection[str] = (),
) -> Iterator[Predicted]:
    """Yield the outcome for each study; one that fails does not end the rest.

    Args:
        predict: Makes targets of a study.
        cohort: The studies.
        targets: What to make; None: what is made unasked.
        done: Names of studies that need no prediction.
    """
    for name in cohort.studies:
        if name in done:
            continue
        try:
            study = cohort[name]
            yield Predicted(name, study, predict(study, targets))
        except ScanweaveError as error:
            yield Predicted(name, error=error)


def known_scans(study: Study, names: Sequence[str]) -> Study:
    """Return a study with the scans that a run knows, and nothing else.

    Args:
        study: Any study.
        names: The scans of the run.

    Raises:
        ScanweaveError: It holds none of them.
    """
    known = study.only(names).scans
    if not known:
        raise ScanweaveError(study.id, "holds no scan of this run", f"Give at least one of {', '.join(names)}")
    return study.answer(scans=known)


def wanted_targets(asked: Sequence[str] | None, unasked: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the targets that are asked for, or those that are made unasked.

    Args:
        asked: Names; None: nothing is asked for.
        unasked: Names that are made then.
        known: All names that can be made.

    Raises:
        ScanweaveError: One of them cannot.
    """
    for name in asked or ():
        if name not in known:
            raise ScanweaveError("targets", f"the run does not know '{name}'", nearest(name, known))
    return list(unasked if asked is None else asked)
