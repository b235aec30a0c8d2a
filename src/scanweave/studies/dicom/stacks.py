"""Frames of a series as volumes: sorted by where they lie, not by their names or numbers, and checked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scanweave.studies.dicom.headers import DAY_SECONDS, FILMS, MOSAIC, SECONDARY, Frame, Series
from scanweave.wording import count

SAME_PLACE_MM = 1e-2
"""Planes within this distance along their normal lie in one place."""
UNEVEN_SHARE, UNEVEN_MM = 0.02, 0.05
"""Steps between planes may differ by so much: rounding in headers, the larger of the two."""
WHOLE_STEPS = 0.05
"""Share of a step by which a gap may miss a whole number of steps and still count as missing planes."""
LEAST_TILT = 1e-3
"""Sine of the angle between the normal and the way from plane to plane above which a stack is sheared."""
DIGITS = 3
"""Of directions that are compared."""
MAPS = {"ADC", "EADC", "FA", "TRACEW", "TTP", "RCBV", "RCBF", "MTT"}
"""Words of ImageType that name a map which the scanner computed; `FIELD_MAP` and the like end so."""
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Stack:
    """A volume, or a series of volumes, in one grid.

    Attributes:
        series: That it comes from.
        frames: Planes by time point and place, `[T][Z]`.
        affine: `(4, 4)`, voxel (column, row, plane) → RAS [mm].
        times: Of the time points [s after the first]; None: one volume, or not told.
        b_values: Of the time points [s/mm²]; None: not told.
        notes: What was peculiar.
    """

    series: Series
    frames: tuple[tuple[Frame, ...], ...]
    affine: Array
    times: tuple[float, ...] | None = None
    b_values: tuple[float, ...] | None = None
    notes: tuple[str, ...] = ()

    @property
    def first(self) -> Frame:
        """The first plane."""
        return self.frames[0][0]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along columns, rows and planes `(X, Y, Z)`."""
        return self.first.columns, self.first.rows, len(self.frames[0])

    @property
    def is_derived(self) -> bool:
        """Tell whether it was computed from other images."""
        return bool(self.first.type) and self.first.type[0].upper() == "DERIVED"


def stacks_of(series: Series) -> tuple[list[Stack], list[str]]:
    """Return the volumes of a series, and why some of its planes are left out.

    Planes are told apart by size, direction, component (magnitude, phase) and echo; those that lie in one place are
    time points. A stack with a gap, an uneven step or a place with too few time points is not mended but left out.
    """
    if series.modality in FILMS:
        return [], []
    if series.sop_class.startswith(SECONDARY):
        return [], ["a secondary capture, which no scanner made"]
    kept, reasons = _placed(series)
    groups: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
    for frame in kept:
        groups[_kind(frame)].append(frame)
    made: list[Stack] = []
    for frames in groups.values():
        found = _stack(series, frames)
        if isinstance(found, Stack):
            made.append(found)
        else:
            reasons.append(found)
    return made, reasons


def _placed(series: Series) -> tuple[list[Frame], list[str]]:
    """Return the planes of which place and size are told, and why others are left out."""
    kept: list[Frame] = []
    lost: dict[str, int] = defaultdict(int)
    for frame in series.frames:
        kinds = {word.upper() for word in frame.type}
        if "LOCALIZER" in kinds:
            lost["a localiser"] += 1
        elif MOSAIC in kinds and frame.tile is None:
            lost["a mosaic whose header does not tell its planes: convert it by dcm2niix first"] += 1
        elif frame.position is None or frame.orientation is None or frame.spacing is None:
            lost["its place in the patient is not told"] += 1
        elif not _is_right(frame.orientation) or min(frame.spacing) <= 0:
            lost["its directions are no right angle, or its pixels have no size"] += 1
        else:
            kept.append(frame)
    return kept, [f"{count(number, 'image')}: {reason}" for reason, number in lost.items()]


def _is_right(orientation: Sequence[float]) -> bool:
    across, down = np.array(orientation[:3]), np.array(orientation[3:])
    lengths = np.linalg.norm(across), np.linalg.norm(down)
    return bool(max(abs(length - 1) for length in lengths) < 1e-2 and abs(across @ down) < 1e-2)


def _kind(frame: Frame) -> tuple[object, ...]:
    """Return what planes of one stack have in common."""
    words = {word.upper() for word in frame.type}
    component = next((one for one in ("P", "PHASE", "R", "REAL", "I", "IMAGINARY") if one in words), "M")
    maps = tuple(sorted(word for word in words if word in MAPS or word.endswith("MAP")))
    directions = tuple(round(value, DIGITS) + 0.0 for value in frame.orientation or ())
    sizes = tuple(round(value, DIGITS) for value in frame.spacing or ())
    echo = None if frame.echo is None else round(frame.echo, 1)
    return frame.rows, frame.columns, directions, sizes, component, maps, echo


def _stack(series: Series, frames: Sequence[Frame]) -> Stack | str:
    """Return planes as a stack, or why they are none."""
    orientation = np.array(frames[0].orientation)
    across, down = orientation[:3], orientation[3:]
    normal = np.cross(across, down)
    places = np.array([frame.position for frame in frames]) @ normal
    order = np.argsort(places, kind="stable")
    breaks = np.flatnonzero(np.diff(places[order]) > SAME_PLACE_MM) + 1
    groups = [[frames[k] for k in part] for part in np.split(order, breaks)]
    if len(groups) == 1:
        return f"{count(len(frames), 'image')}: a single plane, which is no volume"
    counts = [len(group) for group in groups]
    if min(counts) != max(counts):
        few = sum(number < max(counts) for number in counts)
        return (
            f"{count(few, 'place')} of {len(groups)} with fewer than {max(counts)} images: planes are missing or double"
        )
    steps = np.diff([float(places[part].mean()) for part in np.split(order, breaks)])
    if fault := _uneven(steps):
        return fault
    planes = [sorted(_over_midnight(group), key=_moment) for group in groups]
    moments = [tuple(group[number] for group in planes) for number in range(counts[0])]
    first, last = (np.array(moments[0][place].position) for place in (0, -1))
    step = (last - first) / (len(groups) - 1)
    spacing = frames[0].spacing or (1.0, 1.0)
    columns = np.column_stack([across * spacing[1], down * spacing[0], step])
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = LPS_TO_RAS @ columns, LPS_TO_RAS @ first
    notes: tuple[str, ...] = ()
    sine = float(np.linalg.norm(np.cross(step / np.linalg.norm(step), normal)))
    if sine > LEAST_TILT:
        notes = (
            f"planes are shifted from one to the next by {np.degrees(np.arcsin(min(sine, 1))):.1f}° (gantry tilt)",
        )
    return Stack(series, tuple(moments), affine, *_times(moments), notes)


def _over_midnight(frames: Sequence[Frame]) -> list[Frame]:
    """Return frames with their times of day after midnight put behind those before it, where no day is told."""
    times = [frame.time for frame in frames if frame.time is not None]
    if len(times) < len(frames) or max(times) - min(times) < DAY_SECONDS / 2 or max(times) >= DAY_SECONDS:
        return list(frames)
    late = DAY_SECONDS / 2
    return [
        replace(frame, time=frame.time + DAY_SECONDS) if frame.time is not None and frame.time < late else frame
        for frame in frames
    ]


def _moment(frame: Frame) -> tuple[float, ...]:
    """Return what orders planes of one place: time point, b-value, time, place in a cycle, number."""
    unknown = -1.0
    return (
        unknown if frame.temporal is None else float(frame.temporal),
        unknown if frame.b_value is None else frame.b_value,
        unknown if frame.time is None else frame.time,
        unknown if frame.trigger is None else frame.trigger,
        *map(float, frame.instance),
    )


def _uneven(steps: Array) -> str | None:
    """Return why planes do not lie evenly; None if they do."""
    usual = float(np.median(steps))
    off = np.abs(steps - usual) > max(UNEVEN_SHARE * usual, UNEVEN_MM)
    if not off.any():
        return None
    times = steps[off] / usual
    whole = np.abs(times - np.rint(times)) < WHOLE_STEPS
    if whole.all() and (np.rint(times) > 1).all():
        return f"{int((np.rint(times) - 1).sum())} of its planes are missing"
    return f"its planes lie unevenly, {steps.min():.2f} to {steps.max():.2f} mm apart"


def _times(moments: Sequence[Sequence[Frame]]) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Return times [s after the first] and b-values of time points, where all their planes tell them."""
    if len(moments) == 1:
        own = [frame.b_value for frame in moments[0]]
        return None, (float(own[0]),) if own[0] else None
    b_values = [[frame.b_value for frame in planes] for planes in moments]
    weighted = all(value is not None for planes in b_values for value in planes)
    told = tuple(float(planes[0] or 0.0) for planes in b_values) if weighted else None
    clocks = [[frame.time for frame in planes if frame.time is not None] for planes in moments]
    if not all(clocks):
        return None, told
    at = np.array([min(clock) for clock in clocks])
    rising = bool((np.diff(at) > 0).all())
    return (tuple((at - at[0]).tolist()) if rising else None), told
