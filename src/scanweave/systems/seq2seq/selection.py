"""Which studies of a cohort a fitted run is tried on, and where the results lie."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.files import read_json, write_json
from scanweave.studies.cohort import Cohort

Kind = Literal["evaluation", "ranking", "explanation"]
Choice = Literal["train", "validation", "test", "all"]
Say = Callable[[str], None]
OUTPUTS, COHORT = "outputs.json", "cohort.json"


@dataclass(frozen=True, eq=False)
class Selection:
    """Studies that were chosen.

    Attributes:
        cohort: They alone.
        about: Which they are and of which run, as plain values; equal for equal choices.
    """

    cohort: Cohort
    about: dict[str, Any]


def select_studies(run: Run, cohort: Cohort, part: Choice | None, say: Say) -> Selection:
    """Choose the studies to try a run on: of its own cohort the test part, of another one all.

    Args:
        run: The fitted run.
        cohort: Any cohort.
        part: Overrides the choice.
        say: Takes a line that names the choice.

    Raises:
        ScanweaveError: The part holds no study.
    """
    fitted_on = run.record.get("cohort") or {}
    own = cohort.digest == fitted_on.get("sha256")
    fold = int(run.config.get("fold", 0))
    chosen: Choice = part or ("test" if own else "all")
    if own and chosen != "all" and run.config.get("splits", "") != splits_digest(cohort):
        raise ScanweaveError(
            cohort.folder, "was split again after the fit: its test part may hold studies that trained the run",
            "Fit a new run, or restore splits.json",
        )  # fmt: skip
    studies = cohort if chosen == "all" else cohort.part(chosen, fold)
    whose = "the cohort of the fit" if own else "another cohort than that of the fit"
    if len(studies) == 0:
        raise ScanweaveError(
            cohort.folder, f"has no study in the {chosen} part of fold {fold}",
            "Split it with a test part, or name another: --part validation, train or all",
        )  # fmt: skip
    where = "all" if chosen == "all" else f"the {chosen} part of fold {fold}"
    say(f"studies: {len(studies)}, {where}, of {whose}")
    seen = _trained_on(cohort, studies, fold) if _same_folder(cohort, fitted_on) else 0
    if seen:
        say(f"note: the run was trained on {seen} of them")
    about = {
        "run": _digest(run.weights),
        "cohort": cohort.digest,
        "name": str(cohort.about.get("name", "")),
        "part": chosen,
        "fold": None if chosen == "all" else fold,
        "trained_on": seen,
    }
    return Selection(studies, about)


def splits_digest(cohort: Cohort) -> str:
    """Hash of the written splits, empty where there are none (the manifest then says who trains)."""
    splits = cohort.splits()
    return "" if splits is None else hashlib.sha256(repr(splits).encode()).hexdigest()[:16]


def note_output(run: Run, kind: Kind, folder: Path) -> None:
    """Record in the run where the newest results of a kind lie, for the report."""
    folder, home = folder.resolve(), run.folder.resolve()
    place = folder.relative_to(home) if folder.is_relative_to(home) else folder
    write_json(run.folder / OUTPUTS, {**_outputs(run), kind: str(place)})


def find_output(run: Run, kind: Kind) -> Path | None:
    """The folder of the newest results of a kind, if there are any."""
    folder = run.folder / str(_outputs(run).get(kind, kind))
    try:
        return folder if folder.is_dir() else None
    except (OSError, ValueError):  # a name that no folder can have
        return None


def describe_cohort(cohort: Cohort, sequences: Sequence[str], fold: int) -> dict[str, Any]:
    """What a report says about a cohort without opening it: studies by combination of sequences, and its parts."""
    present = cohort.frame.reindex(columns=[f"scan:{name}" for name in sequences]).notna().to_numpy()
    counts = Counter(tuple(name for name, there in zip(sequences, row, strict=True) if there) for row in present)
    parts = {part: cohort.part(part, fold) for part in ("train", "validation", "test")}
    return {
        "format": 1,
        "name": str(cohort.about.get("name", "")),
        "studies": len(cohort),
        "patients": len(cohort.patients),
        "fold": fold,
        "parts": {name: {"studies": len(part), "patients": len(part.patients)} for name, part in parts.items()},
        "combinations": [{"sequences": list(names), "studies": count} for names, count in counts.most_common()],
    }


def _outputs(run: Run) -> dict[str, Any]:
    path = run.folder / OUTPUTS
    found = read_json(path, "Remove it, and evaluate again") if path.exists() else {}
    return found if isinstance(found, dict) else {}


def _same_folder(cohort: Cohort, fitted_on: dict[str, Any]) -> bool:
    return cohort.folder.resolve() == Path(fitted_on.get("path", "")).resolve()


def _trained_on(cohort: Cohort, studies: Cohort, fold: int) -> int:
    return len(set(studies.studies) & set(cohort.part("train", fold).studies))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
