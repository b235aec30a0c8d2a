"""Words for training, validation and test as people write them: in cells, names of folders, headings of columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from scanweave.errors import ScanweaveError
from scanweave.studies.splits import Part

PARTS: dict[str, Part] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
"""Words that say a part wherever they stand: names of folders, lists and arrays, cells under any heading."""
_CELLS: dict[str, Part] = {
    **PARTS,
    "tr": "train",
    "trn": "train",
    "derivation": "train",
    "va": "validation",
    "dev": "validation",
    "tune": "validation",
    "tuning": "validation",
    "ts": "test",
    "te": "test",
    "tst": "test",
    "holdout": "test",
    "heldout": "test",
    "externalvalidation": "test",
}
"""Words that say a part in a column that is headed as a split."""
_SUFFIX = re.compile(r"(?<=.)(?:set|data|cohort|split|samples?|patients?)$")
_HEADINGS = frozenset(
    {
        "split",
        "splits",
        "datasplit",
        "datasetsplit",
        "trainsplit",
        "traintest",
        "traintestsplit",
        "trainvaltest",
        "trainvaltestsplit",
        "partition",
        "datapartition",
        "subset",
    }
)
_FOLDS = frozenset({"fold", "folds", "kfold", "cvfold", "foldid", "foldno", "foldnumber"})
_FLAGS: dict[str, tuple[Part, Part]] = {
    **dict.fromkeys(("train", "istrain", "istraining", "intrain", "trainset", "trainflag"), ("train", "test")),
    **dict.fromkeys(("istest", "istesting", "intest", "testset", "testflag"), ("test", "train")),
    **dict.fromkeys(("isval", "isvalid", "isvalidation", "valset", "validationset"), ("validation", "train")),
}
"""Headings of columns of yes and no: the part of those who are, and of those who are not."""
MOST_WORDS = 12
"""Different cells above which a column is none of parts: they are few, in few spellings."""
_YES, _NO = frozenset({"1", "1.0", "true", "t", "yes", "y"}), frozenset({"0", "0.0", "false", "f", "no", "n"})
_STRICT = frozenset({"split", "splits", "datasplit", "datasetsplit", "traintest", "trainvaltest"})
"""Headings that can mean nothing else: a cell that is no part is refused, not taken for a category."""


def part_of_word(word: str) -> Part | None:
    """Return the part that a cell of a column of parts means, in any case (`"Test set"`); None if it is none."""
    bare = _bare(word)
    return _CELLS.get(bare) or _CELLS.get(_SUFFIX.sub("", bare))


def says_split(heading: str, cells: Iterable[str]) -> bool:
    """Tell whether a column says who trains and who tests, by its heading or by what is in it.

    Args:
        heading: Of the column.
        cells: Its cells that are not empty.
    """
    bare, there = _bare(heading), set(cells)
    if bare in _STRICT:
        return bool(there)
    if len(there) > MOST_WORDS:
        return False
    if bare in _FLAGS:
        return _are_flags(there)
    if bare in _HEADINGS:
        return bool(there) and all(part_of_word(cell) for cell in there)
    plain = {PARTS.get(cell.strip().casefold()) or PARTS.get(_SUFFIX.sub("", _bare(cell))) for cell in there}
    return None not in plain and "train" in plain and len(plain) > 1


def numbers_folds(heading: str) -> bool:
    """Tell whether a column is headed as one of numbers of folds, which are nothing to learn from."""
    return _bare(heading) in _FOLDS


def parts_of(where: str | Path, heading: str, cells: Sequence[str | None]) -> list[Part]:
    """Return the part of each row of a column that says who trains and who tests.

    Args:
        where: The table.
        heading: Of the column.
        cells: All of it.

    Raises:
        ScanweaveError: A cell is empty, or no word for a part.
    """
    flag = _FLAGS.get(_bare(heading))
    if flag is not None and _are_flags({cell for cell in cells if cell}):
        found: list[Part | None] = [None if not cell else flag[0 if _bare_flag(cell) in _YES else 1] for cell in cells]
    else:
        found = [part_of_word(cell) if cell else None for cell in cells]
    parts = [part for part in found if part is not None]
    if len(parts) < len(found):
        row = found.index(None)
        raise ScanweaveError(
            where,
            f"column '{heading}' says {cells[row] or 'nothing'} in row {row + 2}",
            f"Say train, validation or test in each row, or leave the column out: --columns '{heading}=-'",
        )
    return parts


def _are_flags(cells: set[str]) -> bool:
    return bool(cells) and {_bare_flag(cell) for cell in cells} <= _YES | _NO


def _bare_flag(cell: str) -> str:
    return cell.strip().casefold()


def _bare(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))
