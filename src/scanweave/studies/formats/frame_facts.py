"""Times and b-values of the frames of a series, from the files beside it: BIDS's JSON and FSL's `.bval`.

Fields are those of BIDS: `VolumeTiming` and, of PET, `FrameTimesStart` say each time; `RepetitionTimePreparation` of
ASL and `RepetitionTime` say the step, the latter only of such images whose repetition is a whole volume.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.files import read_json
from scanweave.studies.findings import Finding
from scanweave.studies.formats.image_names import frame_files, split_part
from scanweave.studies.formats.sidecar_files import sidecar_path, sidecars
from scanweave.studies.formats.text_files import read_text
from scanweave.studies.scan import Scan
from scanweave.wording import count

B_VALUES, FACTS = ".bval", ".json"
EACH_TIME = ("VolumeTiming", "FrameTimesStart")
"""Fields that list a time a frame [s]."""
STEPS = "RepetitionTimePreparation"
"""Field of the time from one frame to the next [s], or of a list of them."""
STEP = "RepetitionTime"
WHOLE_VOLUMES = frozenset({"bold", "cbv", "asl", "dsc", "perf", "dwi"})
"""Last words of names whose repetition time is that of a volume: in a 3D gradient echo it is that of one excitation."""
ANEW = "it is not used: mend it, one value a frame"
_CLOCK = re.compile(r"(\d{1,2}):(\d{2}):(\d{2}(?:\.\d+)?)")
_B_IN_NAME = re.compile(r"(?<![a-z0-9])b(?:val(?:ue)?)?[-_=]?(\d{1,5})(?![a-z0-9])", re.IGNORECASE)

Numbers = NDArray[np.floating]


@dataclass(frozen=True)
class FrameFacts:
    """Facts that the files beside a series tell.

    Attributes:
        times: Time of each frame [s], `(T,)`; None: not told.
        b_values: Its diffusion weighting [s/mm²], `(T,)`; None: not told.
        notes: What of it is at fault, and so not used.
    """

    times: Numbers | None = None
    b_values: Numbers | None = None
    notes: tuple[Finding, ...] = ()


def with_frame_facts(scan: Scan) -> Scan:
    """Return a series with what the files beside it tell; any other scan as it is.

    A time in a file beside it comes before that of its own header.
    """
    if scan.frames is None or scan.path is None:
        return scan
    told = _beside(scan.path, scan.frames)
    times = scan.times if told.times is None else told.times
    b_values = scan.b_values if told.b_values is None else told.b_values
    return replace(scan, times=times, b_values=b_values, notes=(*scan.notes, *told.notes))


def frame_sidecars(path: Path) -> list[Path]:
    """Return the files that may tell of the frames of a series: those beside its files, there or not, and shared ones.

    Args:
        path: Its file, or `FILE;FILE;…`.
    """
    found: dict[Path, None] = {}
    for file in frame_files(path):
        image = split_part(file)[0]
        for ending in (B_VALUES, FACTS):
            own = sidecar_path(image, ending)
            found |= dict.fromkeys([*([] if own is None else [own]), *sidecars(image, ending)])
    return list(found)


def facts_of_files(paths: Sequence[Path]) -> FrameFacts:
    """Return what is told of a series with a file a frame.

    The file beside the first may list all, one beside each may tell its own: `FrameTimesStart`, or `AcquisitionTime`
    as dcm2niix writes it, of which the first is 0; one b-value. Else b-values are those in the names, as `dwi_b800`.
    """
    first = _beside(paths[0], len(paths), alone=False)
    times, b_values, notes = first.times, first.b_values, [*first.notes]
    try:
        times = _own_times(paths) if times is None else times
    except ScanweaveError as error:
        notes.append(_unused("times", error))
    try:
        b_values = _own_b_values(paths) if b_values is None else b_values
    except ScanweaveError as error:
        notes.append(_unused("b-values", error))
    return FrameFacts(times, b_values, tuple(dict.fromkeys(notes)))


def _unused(kind: str, error: ScanweaveError) -> Finding:
    return Finding(kind, "suspect", f"{Path(error.where).name}: {error.reason}", ANEW)


def _beside(path: Path, frames: int, alone: bool = True) -> FrameFacts:
    """Return what the files beside a series tell; if it is not `alone`, one value may be that of the first file."""
    notes: list[Finding] = []
    b_values = times = None
    try:
        for file in sidecars(path, B_VALUES)[:1]:
            b_values = _one_a_frame(_b_values(file), frames, file.name, "b-value", alone)
    except ScanweaveError as error:
        notes.append(_unused("b-values", error))
    try:
        times = _times(_facts(path), frames, _last_word(path), alone)
    except ScanweaveError as error:
        notes.append(_unused("times", error))
    return FrameFacts(times, b_values, tuple(notes))


def _facts(path: Path) -> dict[str, Any]:
    """Return what the JSON files of an image say of times, with the file that says it: the nearest one."""
    facts: dict[str, Any] = {}
    for file in reversed(sidecars(path, FACTS)):
        content = _json(file)
        facts |= {name: (file.name, content[name]) for name in (*EACH_TIME, STEPS, STEP) if name in content}
    return facts


def _json(file: Path) -> dict[str, Any]:
    content = read_json(file, ANEW)
    return content if isinstance(content, dict) else {}


def _b_values(file: Path) -> Numbers:
    try:
        return _numbers(read_text(file).split(), least=0.0)
    except ScanweaveError as error:
        raise ScanweaveError(file, error.reason, ANEW) from error


def _times(facts: Mapping[str, Any], frames: int, word: str, alone: bool) -> Numbers | None:
    """Return the times of the frames [s], where the facts tell them."""
    for name in EACH_TIME:
        if name in facts:
            file, value = facts[name]
            return _one_a_frame(_listed(file, name, value), frames, f"{name} of {file}", "time", alone)
    if STEPS in facts:
        file, value = facts[STEPS]
        steps = _listed(file, STEPS, value, least=0.0)
        if len(steps) == 1:
            steps = np.repeat(steps, frames)
        each = _one_a_frame(steps, frames, f"{STEPS} of {file}", "time", alone)
        return None if each is None else np.concatenate([[0.0], np.cumsum(each[:-1])])
    if STEP in facts and word in WHOLE_VOLUMES:
        file, value = facts[STEP]
        (step,) = _listed(file, STEP, [value], least=0.0)
        return np.arange(frames) * step if step > 0 else None
    return None


def _listed(file: str, name: str, value: Any, least: float = -math.inf) -> Numbers:
    try:
        return _numbers(value if isinstance(value, list) else [value], least)
    except ScanweaveError as error:
        raise ScanweaveError(file, f"{name} {error.reason}", ANEW) from error


def _numbers(values: Sequence[Any], least: float) -> Numbers:
    """Return values as numbers, not below `least`."""
    try:
        found = np.array([float(value) for value in values if not isinstance(value, bool)], dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ScanweaveError("values", "holds a value that cannot be", ANEW) from error
    if len(found) < len(values) or not np.isfinite(found).all() or (found < least).any():
        raise ScanweaveError("values", "holds a value that cannot be", ANEW)
    return found


def _one_a_frame(found: Numbers, frames: int, where: str, what: str, alone: bool) -> Numbers | None:
    """Return the values if there is one a frame."""
    if len(found) == frames:
        return found
    if len(found) == 1 and not alone:
        return None
    raise ScanweaveError(where, f"tells {count(len(found), what)} for {count(frames, 'frame')}", ANEW)


def _own_times(paths: Sequence[Path]) -> Numbers | None:
    """Return the times that the JSON beside each file tells, the first as 0 where they are those of a clock."""
    found = [_own_time(path) for path in paths]
    if any(time is None for time in found):
        return None
    times = np.array(found, dtype=np.float64)
    return times - times[0]


def _own_time(path: Path) -> float | None:
    beside = sidecar_path(path, FACTS)
    content = _json(beside) if beside is not None and beside.is_file() else {}
    if EACH_TIME[1] in content:
        found = _listed(path.name, EACH_TIME[1], content[EACH_TIME[1]])
        return float(found[0]) if len(found) == 1 else None
    clock = _CLOCK.fullmatch(str(content.get("AcquisitionTime", "")))
    return None if clock is None else 3600 * int(clock[1]) + 60 * int(clock[2]) + float(clock[3])


def _own_b_values(paths: Sequence[Path]) -> Numbers | None:
    """Return the b-value beside each file, else those in their names, if each tells one and not all the same."""
    beside = [_own_b_value(path) for path in paths]
    named = [_B_IN_NAME.findall(path.name) for path in paths]
    if all(value is not None for value in beside):
        return np.array(beside, dtype=np.float64)
    if all(len(found) == 1 for found in named) and len({found[0] for found in named}) > 1:
        return np.array([float(found[0]) for found in named])
    return None


def _own_b_value(path: Path) -> float | None:
    beside = sidecar_path(path, B_VALUES)
    found = _b_values(beside) if beside is not None and beside.is_file() else np.zeros(0)
    return float(found[0]) if len(found) == 1 else None


def _last_word(path: Path) -> str:
    own = sidecar_path(path, "")
    return "" if own is None else own.name.rpartition("_")[2].lower()
