"""Visits of one patient, told by the names of studies where the source does not say whose they are."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

SESSION = r"(?:study|ses|session|visit|tp|timepoint|time|followup|fu)[-_]?\d+"
"""Pattern of the names of files and folders of a session."""
_VISITS = (
    re.compile(r"(BraTS[-_][A-Za-z]+[-_]\d{4,6})[-_]\d{3}", re.IGNORECASE),
    re.compile(r"(UPENN-GBM-\d{5})_\d{2}", re.IGNORECASE),
    re.compile(r"(OAS\d{5})_.*d\d{4}", re.IGNORECASE),
    re.compile(r"(.*\d.*?)[-_ ]+(?:ses|session|visit|tp|timepoint|followup|fu)[-_]?\d+[a-z]?", re.IGNORECASE),
)
"""Names that end with the visit: BraTS since 2023, UPENN-GBM, OASIS-3, and words of sessions."""
_LAST_PART = re.compile(r"(.+)[-_. ]([^-_. ]+)")
BROTHERS = r"^(.+)[-_. ][^-_. ]+$"
"""Pattern for --patient where names of one patient differ in their last part."""


def patient_in(name: str) -> str | None:
    """Return the patient in the name of a study that ends with a visit (`BraTS-GLI-00005-001`); None if it has none."""
    return next((match[1] for pattern in _VISITS if (match := pattern.fullmatch(name))), None)


def longer_names(patients: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Return studies whose name goes on from that of another patient, with that patient: `P1_again` and `P1`.

    Args:
        patients: Study → its patient.
    """
    known = set(patients.values())
    for name, patient in sorted(patients.items()):
        ends = [match.start() for match in re.finditer(r"[_.-]", name)]
        other = next((name[:end] for end in reversed(ends) if name[:end] in known), None)
        if other is not None and patient != other:
            yield name, other


def brothers(patients: Mapping[str, str]) -> list[list[str]]:
    """Return groups of studies of several patients whose names differ in their last part: `P7-0` and `P7-1`.

    What they share must hold a digit, as the names of patients do: `case-1` and `case-2` are none.

    Args:
        patients: Study → its patient.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(patients):
        match = _LAST_PART.fullmatch(name)
        if match and re.search(r"\d", match[1]):
            groups[match[1]].append(name)
    several = [group for group in groups.values() if len({patients[name] for name in group}) > 1]
    return [] if len(several) == 1 and len(several[0]) == len(patients) else several
