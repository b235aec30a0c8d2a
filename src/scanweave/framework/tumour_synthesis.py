"""Tumours put into a study on its native grid: by rules, or by a fitted run that makes and judges them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.checks.hounsfield_check import hounsfield_findings
from scanweave.studies.scan import Scan
from scanweave.tumours.appearance import OF_RANGE, Appearance, Rules
from scanweave.tumours.insertion import Insertion, insert_tumour
from scanweave.tumours.request import TumourRequest, Unit

TRIES = 8
"""Tumours that are tried where a judge refuses, before that is an error."""
_PERCENTILES = (0.5, 99.5)
_MOST = 2**15 - 1
"""Tumours of a mask, whose numbers have 16 bits."""
Mask = NDArray[np.bool_]


class Verdict(NamedTuple):
    """Hold a judge's word on a tumour.

    Attributes:
        value: What it measures, from 0 to 1.
        accepted: Whether the tumour counts.
    """

    value: float
    accepted: bool


class TumourMaker(Protocol):
    """Maker of tumours for a scan."""

    @property
    def about(self) -> Mapping[str, Any]:
        """Facts of it, for the record."""
        ...

    def appearance(self, scan: Scan) -> Appearance:
        """Return how tumours look in this scan."""
        ...

    def judge(self, scan: Scan, insertion: Insertion) -> Verdict | None:
        """Return what a judge says of a tumour in this scan; None: there is no judge."""
        ...


@dataclass(frozen=True)
class RuleMaker:
    """Make tumours by rules, and judge none.

    Attributes:
        rules: How they look.
    """

    rules: Rules = field(default_factory=Rules)

    @property
    def about(self) -> Mapping[str, Any]:
        """The rules."""
        contrasts = [min(self.rules.contrasts), max(self.rules.contrasts)]
        told = "mean_contrasts" if self.rules.mean else "contrasts_where_texture_is_1"
        return {"maker": "rules", told: contrasts}

    def appearance(self, scan: Scan) -> Appearance:
        """Return the rules."""
        return self.rules

    def judge(self, scan: Scan, insertion: Insertion) -> Verdict | None:
        """Judge nothing."""
        return None


def rules_for(unit: Unit) -> Rules:
    """Return the rules for scans in HU, or for others."""
    return Rules() if unit == "hu" else Rules(OF_RANGE)


class JudgeRefusedError(ScanweaveError):
    """A judge refused every tumour that was tried."""


class Synthetic(NamedTuple):
    """Hold a scan with tumours.

    Attributes:
        scan: The scan.
        mask: Its tumours by number, from 1, int16.
        tumours: What is known of each, plain values.
    """

    scan: Scan
    mask: Scan
    tumours: list[dict[str, Any]]


def put_tumours(
    scan: Scan,
    organ: Mask,
    requests: Sequence[TumourRequest],
    maker: TumourMaker,
    seed: Sequence[int],
    *,
    unit: Unit = "hu",
    attempts: Sequence[int] = range(TRIES),
    where: str = "scan",
) -> Synthetic:
    """Put tumours into a scan, one after the other, none upon another.

    Args:
        scan: A volume.
        organ: Where they may lie, on its grid.
        requests: One a tumour.
        maker: Makes and judges them.
        seed: Numbers; the same ones give the same bits.
        unit: Units of the scan: HU, or none, so that contrast is in percent of its range.
        attempts: Numbers of the tries, where the judge refuses: each gives another tumour.
        where: Name of the scan in errors.

    Raises:
        ScanweaveError: The scan is no volume or not in these units, the organ is elsewhere or too small, or the judge
            refuses every try.
    """
    data = checked_volume(scan, organ, unit, where)
    made, free = data.copy(), organ.copy()
    numbers, told = np.zeros(data.shape, np.int16), list[dict[str, Any]]()
    scale = _unit(data, unit)
    appearance, spacing, affine = maker.appearance(scan), scan.geometry.spacing, scan.geometry.affine
    if len(requests) > _MOST:
        raise ScanweaveError("count", f"{len(requests)} tumours are more than a mask holds", f"Give {_MOST} at most")
    for number, request in enumerate(requests, start=1):
        if number > 1 and not free.any():
            raise ScanweaveError(where, f"no room is left for tumour {number}", "Give fewer, or smaller ones")

        def insert(attempt: int, number: int = number, request: TumourRequest = request) -> Insertion:
            return insert_tumour(made, free, spacing, request, appearance, [*seed, number, attempt], unit=scale)

        insertion, verdict, attempt = _judged(insert, lambda one: maker.judge(scan, one), attempts, where)
        insertion.into(made)
        numbers[insertion.box][insertion.tumour.mask] = number
        free[insertion.box] &= ~insertion.tumour.mask
        centre = affine[:3, :3] @ np.array(insertion.facts["centre_voxel"]) + affine[:3, 3]
        about = {"number": number, "tries": attempt + 1, "centre_mm": [round(float(c), 2) for c in centre]}
        about |= {} if verdict is None else {"judged": round(verdict.value, 4)}
        told.append(about | insertion.facts)
    geometry = scan.geometry
    return Synthetic(
        Scan.of(made, geometry.affine, synthetic=True, space=geometry.space),
        Scan.of(numbers, geometry.affine, synthetic=True, space=geometry.space),
        told,
    )


def checked_volume(scan: Scan, organ: Mask, unit: Unit, where: str) -> NDArray[Any]:
    """Return the voxels of a scan that tumours can be put into.

    Raises:
        ScanweaveError: It is a series or in colour, another size than the organ, holds no numbers, or is not in HU.
    """
    data = np.asarray(scan.data)
    if data.ndim != 3:
        raise ScanweaveError(where, f"has {data.ndim} axes where one volume is needed", "Give one frame of it")
    if organ.shape != data.shape:
        sizes = [" × ".join(map(str, one.shape)) for one in (data, organ)]
        reason = f"is of {sizes[0]} voxels and its organ mask of {sizes[1]}: they lie on different grids"
        raise ScanweaveError(where, reason, "Resample the mask to the grid of the scan")
    if not np.isfinite(data).all():
        raise ScanweaveError(where, "holds voxels that are no numbers", "Mend it, see: scanweave cohort check")
    found = [one for one in hounsfield_findings(data) if one.status == "suspect"] if unit == "hu" else []
    if found:
        raise ScanweaveError(where, found[0].words, "Convert it to HU; of MR give --unit percent")
    return data


def _unit(data: NDArray[Any], unit: Unit) -> float:
    """Return what 1 HU, or 1 percent of the range of the scan, is."""
    if unit == "hu":
        return 1.0
    low, high = np.percentile(data[data != data.min()] if (data != data.min()).any() else data, _PERCENTILES)
    return max(float(high - low), 1e-6) / 100


def _judged(
    insert: Callable[[int], Insertion],
    judge: Callable[[Insertion], Verdict | None],
    attempts: Sequence[int],
    where: str,
) -> tuple[Insertion, Verdict | None, int]:
    """Return the first tumour that a judge accepts, and the number of the try.

    Raises:
        JudgeRefusedError: It refuses every try.
    """
    verdict: Verdict | None = None
    for attempt in attempts:
        insertion = insert(attempt)
        verdict = judge(insertion)
        if verdict is None or verdict.accepted:
            return insertion, verdict, attempt
    value = verdict.value if verdict is not None else float("nan")
    reason = f"the judge refused {len(attempts)} tumours (the last: {value:.2f})"
    raise JudgeRefusedError(where, reason, "Give another --seed, size or contrast, or --rules, which judge none")


def put_series(
    scan: Scan,
    organ: Mask,
    requests: Sequence[TumourRequest],
    maker: TumourMaker,
    seed: Sequence[int],
    *,
    unit: Unit = "hu",
    where: str = "scan",
) -> list[Synthetic]:
    """Put one tumour into a scan at each of several sizes: one scan each, the smaller tumours within the larger.

    They are accepted or refused together, so that a judge's refusal of one does not move it away from the others.

    Args:
        scan: As in `put_tumours`, and so are the others.
        organ: Where it may lie.
        requests: The sizes, with `grows_to_mm` the largest.
        maker: Makes and judges them.
        seed: Numbers.
        unit: Units of the scan.
        where: Name of the scan in errors.

    Raises:
        ScanweaveError: As `put_tumours`.
    """
    refused: JudgeRefusedError | None = None
    for attempt in range(TRIES):
        try:
            options: dict[str, Any] = {"unit": unit, "attempts": (attempt,), "where": where}
            return [put_tumours(scan, organ, [one], maker, seed, **options) for one in requests]
        except JudgeRefusedError as error:
            refused = error
    reason = f"the judge refused {TRIES} series, each at one size at least"
    raise JudgeRefusedError(where, reason, "Give another --seed, sizes or contrast, or --rules") from refused
