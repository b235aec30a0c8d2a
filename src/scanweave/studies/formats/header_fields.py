"""Headers in text, as NRRD and MetaImage have them: fields as words, and words as what they must be."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from scanweave.errors import ScanweaveError
from scanweave.studies.formats.header_limits import ADVICE

LONGEST_HEADER = 2**20
"""Bytes in which a header must end."""
MOST_PARTS = 2**15
"""Files that the voxels of one image may lie in."""

_PATTERN = re.compile(r"%(0?\d{0,2})d")
MILLIMETRES: dict[str, float] = {
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1.0),
    **dict.fromkeys(
        ("um", "µm", "μm", "âµm", "î¼m", "micron", "microns", "micrometer", "micrometers", "micrometre"), 1e-3
    ),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 1e-6),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 10.0),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1e3),
}
"""Millimetres of a unit of length, as headers spell it, in lower case."""
SECONDS: dict[str, float] = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "µs", "μs", "âµs", "î¼s", "usec", "microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
}
"""Seconds of a unit of time, as headers spell it, in lower case."""


@dataclass
class Fields:
    """The fields of a header, by name in lower case.

    Attributes:
        path: The file.
        values: Text of each field.
        notes: Text of each key of the user (`key:=value`).
        rest: Lines after the field that names the data, where those are file names.
        end: Byte at which the header ends.
    """

    path: Path
    values: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    rest: list[str] = field(default_factory=list)
    end: int = 0

    def enter(self, name: str, value: str) -> None:
        """Enter a field.

        Raises:
            ScanweaveError: It was there already, with another value.
        """
        if self.values.setdefault(name, value) != value:
            raise ScanweaveError(self.path, f"its header gives {name} twice", ADVICE)

    def first(self, *names: str) -> str | None:
        """Return the text of the first of these fields that is there."""
        return next((self.values[name] for name in names if name in self.values), None)

    def needed(self, *names: str) -> str:
        """Return the text of the first of these fields that is there.

        Raises:
            ScanweaveError: None is.
        """
        text = self.first(*names)
        if not text:
            raise ScanweaveError(self.path, f"its header has no field '{names[0]}'", ADVICE)
        return text

    def numbers(self, name: str, text: str, count: int) -> list[float]:
        """Return `count` real numbers, which may be NaN.

        Raises:
            ScanweaveError: They are others, or more, or fewer.
        """
        try:
            numbers = [float(word) for word in re.split(r"[\s,]+", text.strip(" ,\t()"))] if len(text) < 4096 else []
        except ValueError:
            numbers = []
        if len(numbers) != count or "_" in text:
            raise ScanweaveError(self.path, f"field '{name}' is not {count} numbers: {_shown(text)}", ADVICE)
        return numbers

    def whole(self, name: str, text: str, least: int = 0) -> int:
        """Return a whole number.

        Raises:
            ScanweaveError: It is none, below `least` or beyond all reason.
        """
        if not re.fullmatch(r"[+-]?[0-9]{1,12}", text.strip()) or int(text) < least:
            raise ScanweaveError(self.path, f"field '{name}' is {_shown(text)}", ADVICE)
        return int(text)

    def sizes(self, name: str, text: str, axes: int) -> tuple[int, ...]:
        """Return the number of voxels along each axis.

        Raises:
            ScanweaveError: They are not whole numbers above 0, one an axis.
        """
        words = text.split() if len(text) < 4096 else []
        if len(words) != axes:
            raise ScanweaveError(self.path, f"field '{name}' is not {axes} sizes: {_shown(text)}", ADVICE)
        return tuple(self.whole(name, word, 1) for word in words)

    def flag(self, *names: str) -> bool | None:
        """Return a field that is true or false; None: it is not there.

        Raises:
            ScanweaveError: It is neither.
        """
        text = self.first(*names)
        if text is None:
            return None
        if text.strip().lower() not in ("true", "false", "t", "f", "1", "0"):
            raise ScanweaveError(self.path, f"field '{names[0]}' is {_shown(text)}, not True or False", ADVICE)
        return text.strip().lower() in ("true", "t", "1")

    def files(self, named: str, last: int | None = None) -> tuple[Path, ...]:
        """Return the files that a header says hold its voxels: one, a list or a pattern with its range.

        Args:
            named: What the header says.
            last: Number of the last file of a pattern without range, which begins at 1; None: it must have one.

        Raises:
            ScanweaveError: They lie out of the folder of the header, or their names are none.
        """
        pattern = _PATTERN.search(named.split()[0]) if named.strip() else None
        if pattern:
            names = self._series(named.split(), pattern, last)
        elif named.upper().startswith("LIST"):
            names = [line for line in self.rest if line]
        else:
            names = [named]
        if not 0 < len(names) <= MOST_PARTS or any("\0" in name or not name for name in names):
            raise ScanweaveError(self.path, f"names no files of voxels: {_shown(named)}", ADVICE)
        for name in names:
            if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
                raise ScanweaveError(
                    self.path, f"{_shown(name)}, where its voxels are, leads out of its folder", ADVICE
                )
        files = tuple(self.path.parent / name for name in names)
        absent = next((file.name for file in files if not file.is_file()), None)
        if absent is not None:
            raise ScanweaveError(self.path, f"its voxels lie in {_shown(absent)}, which is not there", ADVICE)
        return files

    def _series(self, words: Sequence[str], pattern: re.Match[str], default: int | None) -> list[str]:
        """Return the names that a pattern and its range (first, last, step) make."""
        form, width = words[0], pattern[1]
        if len(words) < 3 and default is None:
            raise ScanweaveError(self.path, f"the pattern {_shown(form)} has no range", ADVICE)
        first, last = (self.whole("data file", word) for word in words[1:3]) if len(words) > 2 else (1, default or 0)
        step = self.whole("data file", words[3], 1) if len(words) > 3 else 1
        numbers = range(first, min(last, first + step * MOST_PARTS) + 1, step)
        filled = [str(number).zfill(int(width)) if width else str(number) for number in numbers]
        return [form[: pattern.start()] + number + form[pattern.end() :] for number in filled]


def unit(fields: Fields, text: str, known: Mapping[str, float]) -> float:
    """Return what one of a declared unit is in millimetres, or seconds; 1 where none is declared.

    Raises:
        ScanweaveError: The unit is not known.
    """
    word = text.strip().strip('"').strip().lower()
    if word in ("", "?", "???", "none"):
        return 1.0
    if word not in known:
        raise ScanweaveError(fields.path, f"its unit {_shown(text)} is not known", "Convert it to mm (and s)")
    return known[word]


def all_finite(numbers: Sequence[float]) -> bool:
    """Tell whether all numbers are finite."""
    return all(math.isfinite(number) for number in numbers)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")
