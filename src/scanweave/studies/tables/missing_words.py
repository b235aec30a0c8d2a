"""Words that stand for a missing value: one vocabulary for every reader of tables."""

from __future__ import annotations

VOID = frozenset(
    {
        "",
        "na",
        "n/a",
        "n.a.",
        "nan",
        "null",
        "<na>",
        "nat",
        ".",
        "-",
        "--",
        "?",
        "missing",
        "#n/a",
        "#null!",
        "#num!",
        "#div/0!",
        "#value!",
        "#ref!",
        "#name?",
    }
)
"""Words that are no value in any column, in any case; those with # are what a spreadsheet writes for an error."""
ABSENT = frozenset({"none", "nil"})
"""Words that are no number, date or file, but a category beside other words: no oedema, no recurrence."""


def is_void(cell: str | None) -> bool:
    """Tell whether a cell is no value, whatever its column holds."""
    return cell is None or " ".join(cell.split()).lower() in VOID


def is_absent(cell: str | None) -> bool:
    """Tell whether a cell is no value of a column of numbers, dates or files."""
    return is_void(cell) or str(cell).strip().lower() in ABSENT
