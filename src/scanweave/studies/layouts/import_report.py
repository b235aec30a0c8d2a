"""An import in words: how names were understood, what was left out, and what is doubtful."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from scanweave.studies.layouts.frame_series import suggestion
from scanweave.studies.layouts.names import UNKNOWN, display_order
from scanweave.studies.layouts.visit_names import BROTHERS, brothers, longer_names
from scanweave.wording import count, listed

SHOWN = 5
"""Files, studies or questions of a kind that are named, at most."""
SPELLINGS_SHOWN = 12
"""Names of a kind that are shown as they stand in the source, at most."""
COLUMNS_SHOWN = 20
"""Columns of a table of which is said what became of them."""
VARIABLE = "variable"
"""Name of the role of a table's column that has no other."""
OF_FRAMES = ("dce", "dsc", "dwi")
"""Sequences whose frames often lie in a file each."""
_RUNNING = re.compile(r"(?<![A-Za-z0-9])\d{3,}|\d{4,}(?![A-Za-z0-9])")
"""Numbers in names that go on from file to file, but for those of templates such as MNI152."""


def mapping_lines(mapping: Mapping[str, Counter[str]], there: set[str]) -> Iterator[str]:
    """Yield how the names of the columns that are there stand in the source, the most frequent first."""
    for column in sorted(there & set(mapping), key=lambda c: (c.startswith("mask:"), display_order(c))):
        alike: Counter[str] = Counter()
        for spelling, number in mapping[column].items():
            alike[_RUNNING.sub("…", spelling)] += number
        shown = ", ".join(spelling for spelling, _ in alike.most_common(SPELLINGS_SHOWN))
        more = f" and {len(alike) - SPELLINGS_SHOWN} more names" if len(alike) > SPELLINGS_SHOWN else ""
        yield f"  {column} ← {shown}{more}"


def column_lines(columns: Mapping[str, str]) -> Iterator[str]:
    """Yield what became of the columns of a table, and how to name a label where none is."""
    if columns:
        yield f"  columns: {listed((f'{heading} → {what}' for heading, what in columns.items()), COLUMNS_SHOWN)}"
    variables = [heading for heading, what in columns.items() if what == VARIABLE]
    if variables and not any(what.startswith("label") for what in columns.values()):
        yield f"  no label: to learn to tell one, such as {variables[0]}, say --columns '{variables[0]}=label'"


def split_lines(parts: Iterable[str | None]) -> Iterator[str]:
    """Yield how many studies are in which part, if the source says it of any."""
    numbers = Counter(part for part in parts if part)
    if numbers:
        shown = " · ".join(f"{part} {number}" for part, number in numbers.most_common())
        yield f"  split, as the source has it: {shown}"


def clash_lines(clashes: Mapping[str, Mapping[str, Sequence[str]]]) -> Iterator[str]:
    """Yield which files are left out since several of one study have one name."""
    by_column: dict[str, list[tuple[str, list[str]]]] = defaultdict(list)
    for study, columns in clashes.items():
        for column, files in columns.items():
            by_column[column].append((study, [PurePosixPath(file).name for file in files]))
    for column in sorted(by_column, key=display_order):
        (study, files), *others = by_column[column]
        more = f" and {len(files) - 2} more" if len(files) > 2 else ""
        also = f", and so in {count(len(others), 'more study', 'more studies')}" if others else ""
        name = column.partition(":")[2] or column
        yield f"  left out, several of one study are {name}: {study} has {files[0]}, {files[1]}{more}{also}"
    for column, found in by_column.items():
        name = column.removeprefix("scan:")
        pattern = suggestion(name, found[0][1]) if name in OF_FRAMES else None
        if pattern:
            yield f"  if these are the frames of one series, join them: --series '{pattern}'"
    if by_column:
        yield "  keep one of such files by --rename 'WORDS OF ITS NAME=name', with '…=-' for the others"


def left_out_lines(skipped: Mapping[str, Sequence[str]], called: Mapping[str, str]) -> Iterator[str]:
    """Yield what is left out for which reason, files with the same name in many studies as one."""
    for reason, files in sorted(skipped.items()):
        groups: dict[str, list[str]] = defaultdict(list)
        for file in files:
            groups[called.get(file, file)].append(file)
        shown = [f"{name} ({len(group)} files)" if len(group) > 1 else group[0] for name, group in groups.items()]
        more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
        yield f"  left out, {reason}: {', '.join(shown[:SHOWN])}{more}"


def patient_lines(patients: Mapping[str, str], doubts: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield what must be asked of who is who.

    Args:
        patients: Study → its patient.
        doubts: Patient → folders that were taken for sessions and are not named as such.
    """
    namesakes = list(longer_names(patients))
    for name, patient in namesakes[:SHOWN]:
        ending = re.escape(name.removeprefix(patient))
        told = f"--patient '(.+?)({ending})?$'" if name.startswith(patient) else "--patient REGEX"
        yield f"  note: is {name} of the patient {patient} too? Splits may part them; if so, say {told}"
    if len(namesakes) > SHOWN:
        yield f"  note: the same question for {count(len(namesakes) - SHOWN, 'more study', 'more studies')}"
    groups = brothers(patients)
    if groups:
        some = " and ".join(groups[0][:2])
        also = f" (and so in {count(len(groups) - 1, 'more group')})" if len(groups) > 1 else ""
        yield (
            f"  note: are {some} of one patient{also}? Splits may part them; "
            f"if what stands before the last part is the patient, say --patient '{BROTHERS}'"
        )
    for patient, sessions in list(doubts.items())[:SHOWN]:
        some = ", ".join(sessions[:3]) + (" …" if len(sessions) > 3 else "")
        yield (
            f"  note: {some} are taken for sessions of one patient, {patient}. If they are patients, import the "
            f"folder {patient} itself, or say who is who by --patient REGEX"
        )


def may_be_renamed(reasons: Sequence[str]) -> bool:
    """Return whether files were left out for a name that the user can explain."""
    return any(reason.startswith((UNKNOWN, "could be", "'")) for reason in reasons)
