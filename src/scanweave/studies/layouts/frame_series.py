"""Series that lie in a file a frame: which files those are, as the user says, and in which order their frames come."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from scanweave.errors import ScanweaveError
from scanweave.studies.formats.image_names import stem

OPTION = "--series"
_EXAMPLE = "Write: dce=*_dce_*, or dce=*/dce/* with folders"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+.-]{0,39}")
_NUMBER = re.compile(r"\d+")
_LITERAL = re.compile(r"\*([^*?\[]+)")
"""What follows the first * of a pattern and stands for itself."""


def parse_series(text: str | None) -> dict[str, str]:
    """Parse `"dce=*_dce_*,dwi=*_b[0-9]*"` to a mapping of names to patterns of a shell.

    Raises:
        ScanweaveError: Not of that form.
    """
    pairs = [item.strip().partition("=") for item in (text or "").split(",") if item.strip()]
    for name, equals, pattern in pairs:
        if not (equals and pattern.strip() and _NAME.fullmatch(name.strip())):
            raise ScanweaveError(OPTION, f"'{name}{equals}{pattern}' is not NAME=PATTERN", _EXAMPLE)
    names = [name.strip() for name, _, _ in pairs]
    if len(set(names)) != len(names):
        raise ScanweaveError(OPTION, "names one series twice", _EXAMPLE)
    return {name.strip(): pattern.strip() for name, _, pattern in pairs}


@dataclass
class SeriesPatterns:
    """Patterns of the files that are frames.

    Attributes:
        by_name: Name of a series → pattern of the names of its files, without their suffix; with a `/` of their paths.
        used: Names whose pattern fitted a file.
    """

    by_name: Mapping[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def of(self, path: str) -> str | None:
        """Return the series that a file is a frame of; None: of none.

        Raises:
            ScanweaveError: Two patterns fit it.
        """
        found = [name for name, pattern in self.by_name.items() if _fits(path, pattern)]
        if len(found) > 1:
            raise ScanweaveError(OPTION, f"{path} could be of {found[0]} and {found[1]}", "Tell their patterns apart")
        self.used.update(found)
        return found[0] if found else None

    def subject(self, path: str) -> str | None:
        """Return whose frame a file is by its name alone: what stands before that which follows the first `*`."""
        name = self.of(path)
        literal = _LITERAL.match(self.by_name[name].rpartition("/")[2]) if name is not None else None
        if literal is None:
            return None
        own = stem(PurePosixPath(path).name)
        return own[: max(0, own.lower().rfind(literal[1].lower()))] or None

    @property
    def idle(self) -> list[str]:
        """Patterns that fitted no file, as `NAME=PATTERN`."""
        return [f"{name}={pattern}" for name, pattern in self.by_name.items() if name not in self.used]


def in_order(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the frames of one series in the order of their numbers, and files that are none.

    Frames are named alike but for one number. Where several groups of files are, or two files have one number, none is
    a frame: which is meant is not known.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        groups[_NUMBER.sub("#", path.lower())].append(path)
    largest = max(groups.values(), key=len)
    if [len(group) for group in groups.values()].count(len(largest)) > 1:
        return [], list(paths)
    numbers = {path: [int(found) for found in _NUMBER.findall(path)] for path in largest}
    changing = [place for place, one in enumerate(zip(*numbers.values(), strict=True)) if len(set(one)) > 1]
    if len(largest) > 1 and (len(changing) != 1 or len({n[changing[0]] for n in numbers.values()}) < len(largest)):
        return [], list(paths)
    frames = sorted(largest, key=lambda path: numbers[path])
    return frames, [path for path in paths if path not in largest]


def suggestion(name: str, files: Iterable[str]) -> str | None:
    """Return the pattern that joins files of one study, if they look like the frames of a series; else None.

    Args:
        name: What all of them are called.
        files: Their names.
    """
    stems = [stem(file) for file in files]
    frames, others = in_order(stems)
    if others or len(frames) < 2 or "run" in stems[0].lower():
        return None
    words = [_NUMBER.split(one) for one in stems]
    numbers = [_NUMBER.findall(one) for one in stems]
    place = next(k for k, found in enumerate(zip(*numbers, strict=True)) if len(set(found)) > 1)
    before = re.split(r"(?=[_.-])", words[0][place])
    return f"{name}=*{''.join(before[-2:])}*"


def _fits(path: str, pattern: str) -> bool:
    pattern = stem(pattern.lower())
    whole = stem(path.lower())
    if "/" in pattern:
        return fnmatchcase(f"/{whole}", f"*/{pattern.lstrip('/')}")
    return fnmatchcase(PurePosixPath(whole).name, pattern)
