"""Sentences by which findings are told without labels: of each some that say it is there, and some that deny it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from scanweave.errors import ScanweaveError
from scanweave.files import plain_size
from scanweave.framework.reported.settings import PromptSettings
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.text_files import MAX_TEXT_BYTES
from scanweave.studies.label_values import findings_matrix, summarise_label
from scanweave.wording import nearest

SAID: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "english": (
        ("{name}.", "There is {name}.", "{name} is present.", "{name} is seen."),
        ("No {name}.", "There is no {name}.", "No evidence of {name}.", "No {name} is seen."),
    ),
    "german": (
        ("{name}.", "Nachweis von {name}.", "{name} nachweisbar.", "Zeichen von {name}."),
        ("Kein {name}.", "Kein Nachweis von {name}.", "Keine Zeichen von {name}.", "{name} nicht nachweisbar."),
    ),
}
"""Sentences that are made of the name of a finding where no file names others, by language: present, and absent."""
_ADVICE = 'Below a line [effusion], write present = ["Pleural effusion."] and absent = ["No pleural effusion."]'


class Prompt(BaseModel):
    """The sentences of one finding.

    Attributes:
        present: Say that it is there.
        absent: Say that it is not.
        terms: Words that name it, by which drafted reports are read; none: its own name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    present: tuple[str, ...] = Field(min_length=1)
    absent: tuple[str, ...] = Field(min_length=1)
    terms: tuple[str, ...] = ()


Prompts = dict[str, Prompt]
"""Sentences by finding."""


def prompts_of(settings: PromptSettings, cohort: Cohort, language: str = "english") -> Prompts:
    """Return the findings that a run tells, with their sentences; none where nothing names any.

    Args:
        settings: What the user decided.
        cohort: Whose labels of two sides are findings where no file names any.
        language: Of the reports.

    Raises:
        ScanweaveError: The file is at fault, a finding is not there, or a label of its name is neither 0 nor 1.
    """
    found = _of_labels(cohort, language) if settings.file is None else read_prompts(settings.file)
    findings_matrix(cohort.frame, [name for name in found if name in cohort.names("label")])
    for name in settings.findings:
        if name not in found:
            raise ScanweaveError("prompts.findings", f"there are no sentences for '{name}'", nearest(name, list(found)))
    return {name: found[name] for name in settings.findings or found}


def read_prompts(path: Path, findings: Sequence[str] | None = None) -> Prompts:
    """Read sentences from a TOML file.

    Args:
        path: The file.
        findings: Those that must be there; None: any.

    Raises:
        ScanweaveError: It is absent, no TOML, or names no sentences for a finding.
    """
    if plain_size(path) > MAX_TEXT_BYTES:
        raise ScanweaveError(path, "is larger than a file of prompts", _ADVICE)
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScanweaveError(path, f"is no TOML file ({error})", _ADVICE) from error
    made: Prompts = {}
    for name in findings if findings is not None else content:
        try:
            made[name] = Prompt.model_validate(content.get(name))
        except ValueError as error:
            if name not in content:
                raise ScanweaveError(path, f"[{name}] is not there", nearest(name, list(content))) from error
            reason = f"[{name}] needs present and absent, lists of sentences"
            raise ScanweaveError(path, reason, _ADVICE) from error
        if not all(words.strip() for words in (*made[name].present, *made[name].absent, *made[name].terms)):
            raise ScanweaveError(path, f"[{name}] holds an empty sentence", _ADVICE)
    return made


def _of_labels(cohort: Cohort, language: str) -> Prompts:
    """Return sentences made of the names of the labels that are 0 or 1."""
    names = [name for name in cohort.names("label") if summarise_label(cohort.frame, name).classes == (0, 1)]
    return {name: _named(name.replace("_", " ").strip(), language) for name in names}


def _named(words: str, language: str) -> Prompt:
    made = ([one.replace("{name}", words) for one in several] for several in SAID[language])
    present, absent = ([one[:1].upper() + one[1:] for one in several] for several in made)
    return Prompt(present=tuple(present), absent=tuple(absent))
