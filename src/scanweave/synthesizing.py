"""The verb `synthesize` in Python: tumours put into a scan, or into the scans of a cohort."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

import scanweave
from scanweave.api import named_studies, open_run, system_of
from scanweave.engine.weight_sources import find_run
from scanweave.errors import ScanweaveError
from scanweave.files import atomic_folder, file_sha256, read_json, write_json
from scanweave.framework.tumour_synthesis import (
    RuleMaker,
    Synthetic,
    TumourMaker,
    put_series,
    put_tumours,
    rules_for,
)
from scanweave.simulate.writing import REQUEST, STUDIES, claim, in_processes
from scanweave.studies.cohort import ABOUT as COHORT
from scanweave.studies.cohort import Cohort
from scanweave.studies.columns import KINDS
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.mask_targets import structures_of
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study
from scanweave.systems import registry
from scanweave.tumours.request import TumourRequest, Unit
from scanweave.wording import nearest

Say = Callable[[str], None]
ABOUT, MASK = "synthesis.json", "tumours"
DRAWN = ("tumour", "tumor", "lesion")
"""Masks, without an s, that say where tumours are drawn."""
_AGAIN = "Choose another --out"


def synthesize(
    scan: Scan | str | Path,
    organ: Scan | str | Path | NDArray[np.bool_],
    *,
    run: Any = None,
    rules: bool = False,
    organs: Sequence[int] = (),
    count: int = 1,
    seed: int | Sequence[int] = 0,
    unit: Unit = "hu",
    device: str = "auto",
    maker: TumourMaker | None = None,
    **request: Any,
) -> Synthetic:
    """Put tumours into a scan, on its own grid: voxels outside of their soft borders keep every bit.

    Args:
        scan: A volume in HU, or its file.
        organ: Where tumours may lie: a mask on the grid of the scan, its file, or an array of it.
        run: A FreeTumor run whose generator makes and whose judge accepts them, or its folder; None: by rules.
        rules: By rules though a run is given, with the contrasts of its labelled tumours.
        organs: Numbers in the mask that are meant; none: all but 0.
        count: How many.
        seed: Same seed, same bits.
        unit: "hu", or "percent" for scans without units, whose contrast is in percent of their range.
        device: Where a run folder computes.
        maker: In place of a run, one that is opened already.
        **request: Fields of `tumours.request.TumourRequest`: `diameter_mm`, `centre`, `shape`, `contrast` …

    Returns:
        The scan with tumours, their mask, and what is known of each.

    Raises:
        ScanweaveError: A request is wrong or cannot be met, or the files are at fault.
    """
    image = KINDS["scan"].read(Path(scan)) if isinstance(scan, str | Path) else scan
    requests = checked_requests(count, **request)
    numbers = [seed] if isinstance(seed, int) else list(seed)
    _check_least(seed=min(numbers))
    where = str(image.path.name) if image.path is not None else "scan"
    inside = _organ(organ, image, organs, where)
    maker = maker or _maker(run, rules=rules, unit=unit, device=device)
    return put_tumours(image, inside, requests, maker, numbers, unit=unit, where=where)


def checked_requests(count: int = 1, **request: Any) -> list[TumourRequest]:
    """Return the same request so many times.

    Raises:
        ScanweaveError: There is no such field, a value is wrong, or several tumours have one centre.
    """
    if count < 1:
        raise ScanweaveError("count", f"{count} is too small", "Give 1 or more")
    if count > 1 and request.get("centre") is not None:
        raise ScanweaveError("centre", f"{count} tumours cannot have one centre", "Give --count 1, or no centre")
    try:
        return [TumourRequest(**request)] * count
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "request"
        raise ScanweaveError(field, first["msg"], "See: scanweave synthesize --help") from error


def synthesize_cohort(
    cohort: Cohort | str | Path,
    out: str | Path,
    *,
    organ_mask: str,
    organ: Sequence[str] = (),
    scan: str | None = None,
    run: str | Path | None = None,
    rules: bool = False,
    studies: Sequence[str] | None = None,
    growth: Sequence[float] = (),
    count: int = 1,
    seed: int = 0,
    unit: Unit = "hu",
    workers: int = 1,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
    say: Say = print,
    **request: Any,
) -> Cohort:
    """Put tumours into the scans of a cohort; `out` becomes a cohort of them, with masks of tumours and organs.

    A study that fails is told, and the rest goes on. The same call goes on where one was stopped.

    Args:
        cohort: Scans with a mask of organs, or its folder.
        out: A new folder, or that of the same call.
        organ_mask: Name of the mask of organs.
        organ: Structures in it, by name; none: all.
        scan: Name of the scan; None: the only one.
        run: Folder of a FreeTumor run; None: by rules.
        rules: By rules though a run is given.
        studies: Which studies; None: all that have scan and mask.
        growth: Diameters of a series [mm]: each study once at each, the smaller tumours within the larger.
        count: Tumours of a scan.
        seed: Same seed, same bits, whatever the workers.
        unit: As in `synthesize`.
        workers: Processes.
        device: Where a run computes.
        progress: Called with the number of studies done and of all.
        say: Takes a line for each study that fails.
        **request: As in `synthesize`.

    Raises:
        ScanweaveError: A request is wrong, `out` holds something else, or no study could be done.
    """
    _check_least(seed, workers)
    whole = Cohort.open(cohort) if isinstance(cohort, str | Path) else cohort
    name = _scan_name(whole, scan)
    numbers = _numbers(whole, organ_mask, organ)
    there = whole.frame[[f"scan:{name}", f"mask:{organ_mask}"]].notna().all(axis=1)
    chosen = named_studies(whole.where(there), studies)
    if not len(chosen):
        raise ScanweaveError(whole.folder, f"no study has scan {name} and mask {organ_mask}", "Name others")
    points = _points(growth, request, count)
    for point in points:
        checked_requests(count, **point)
    asked = {"cohort": chosen.digest, "seed": seed, "count": count, "unit": unit, "points": points, "organs": numbers}
    asked |= {"run": None if run is None else _weights(run), "rules": rules, "scan": name}
    out = Path(out)
    claim(out, asked)
    job = _Job(chosen, out, name, organ_mask, tuple(numbers), tuple(points), count, seed, unit, run, rules, device)
    return job.cohort_of(job.rows(workers, progress, say), whole)


def synthesize_file(
    source: Path,
    organ_mask: Path,
    out: Path,
    *,
    organ: Sequence[str] = (),
    centre: tuple[int, int, int] | None = None,
    centre_mm: tuple[float, float, float] | None = None,
    growth: Sequence[float] = (),
    run: Any = None,
    **options: Any,
) -> Iterator[Path]:
    """Put tumours into the scan of a file, and write it with a mask and a record into a new folder; yield the paths.

    Args:
        source: The scan.
        organ_mask: Mask on its grid.
        out: The folder; new or empty.
        organ: Numbers in the mask.
        centre: Voxel, or
        centre_mm: place in RAS millimetres, of the tumour.
        growth: Diameters of a series [mm].
        run: As in `synthesize`.
        **options: Of `synthesize`.

    Raises:
        ScanweaveError: As `synthesize`; or `out` holds something.
    """
    if strange := [name for name in organ if not name.isdecimal()]:
        raise ScanweaveError("organ", f"'{strange[0]}' is no number, and a file knows no names", "Give numbers")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ScanweaveError(out, "is not empty", _AGAIN)
    if centre is not None and centre_mm is not None:
        raise ScanweaveError("centre_mm", "there is a centre already", "Give --centre or --centre-mm")
    scan, mask = KINDS["scan"].read(source), KINDS["mask"].read(organ_mask)
    if centre_mm is not None:
        centre = _voxel_at(scan, centre_mm)
    stem = source.name.removesuffix(".gz").rpartition(".")[0] or source.name
    maker = _maker(
        run, rules=options.get("rules", False), unit=options.get("unit", "hu"), device=options.get("device", "auto")
    )
    request = {name: options.pop(name) for name in list(options) if name in TumourRequest.model_fields}
    count, seed, unit = options.get("count", 1), options.get("seed", 0), options.get("unit", "hu")
    _check_least(seed=seed)
    points = [{**point, "centre": centre} for point in _points(growth, request, count)]
    inside = _organ(mask, scan, [int(name) for name in organ], source.name)
    about = {**maker.about, "seed": seed, "source": source.name}
    told: dict[str, Any] = {"unit": unit, "where": source.name}
    if len(points) > 1:
        series = [checked_requests(1, **point)[0] for point in points]
        names = [f"{stem}-{point['diameter_mm']:g}mm" for point in points]
        found = put_series(scan, inside, series, maker, [seed], **told)
    else:
        names = [stem]
        found = [put_tumours(scan, inside, checked_requests(count, **points[0]), maker, [seed], **told)]
    for name, made in zip(names, found, strict=True):  # all are made before any is written
        yield from write_synthetic(out, name, made, about)
        write_json(out / f"{name}_{ABOUT}", {**about, "tumours": made.tumours})


def _voxel_at(scan: Scan, place: tuple[float, float, float]) -> tuple[int, int, int]:
    """Return the voxel at a place in RAS millimetres.

    Raises:
        ScanweaveError: It lies outside of the scan.
    """
    i, j, k = (round(float(one)) for one in np.linalg.solve(scan.geometry.affine, [*place, 1.0])[:3])
    if not all(0 <= at < size for at, size in zip((i, j, k), scan.geometry.shape, strict=True)):
        corners = scan.geometry.corners()
        reach = ", ".join(f"{low:.0f} to {high:.0f}" for low, high in zip(corners.min(0), corners.max(0), strict=True))
        told = " ".join(f"{one:g}" for one in place)
        raise ScanweaveError(
            "centre_mm", f"{told} lies outside of the scan, which reaches {reach} mm", "Give a place in it"
        )
    return i, j, k


def write_synthetic(folder: Path, stem: str, made: Synthetic, about: Mapping[str, Any]) -> tuple[Path, Path]:
    """Write a scan with tumours and their mask, both marked as synthetic in their headers; return the paths."""
    told = {"scanweave": scanweave.__version__, **about, "tumours": made.tumours}
    scan = write_scan(folder / f"{stem}_synthetic.nii.gz", made.scan, told)
    return scan, write_scan(folder / f"{stem}_{MASK}.nii.gz", made.mask, told)


def _points(growth: Sequence[float], request: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """Return what is asked at each size of a series, or once."""
    if not growth:
        return [dict(request)]
    if count != 1:
        raise ScanweaveError("count", "one tumour grows in a series", "Give --count 1, or no --growth")
    if request.get("diameter_mm") is not None:
        raise ScanweaveError("growth", "says the diameters already", "Leave --diameter-mm out")
    return [{**request, "diameter_mm": float(one), "grows_to_mm": float(max(growth))} for one in growth]


@dataclass(frozen=True, eq=False)
class _Job:
    """Hold what a call asks of every study."""

    cohort: Cohort
    out: Path
    scan: str
    organ_mask: str
    organs: tuple[int, ...]
    points: tuple[dict[str, Any], ...]
    count: int
    seed: int
    unit: Unit
    run: str | Path | None
    rules: bool
    device: str

    def rows(self, workers: int, progress: Callable[[int, int], None] | None, say: Say) -> list[dict[str, Any]]:
        """Write all studies, and return their rows.

        Raises:
            ScanweaveError: None could be done; nothing is left behind.
        """
        rows, failed = list[dict[str, Any]](), 0
        for done, found in enumerate(in_processes(self.write, range(len(self.cohort)), workers), start=1):
            if isinstance(found, str):
                failed += 1
                say(f"error: {found}")
            else:
                rows += found
            if progress is not None:
                progress(done, len(self.cohort))
        if not rows:
            _unclaim(self.out)
            raise ScanweaveError(self.out, f"no tumour could be made in {failed} studies", "See the lines above")
        return rows

    def cohort_of(self, rows: list[dict[str, Any]], whole: Cohort) -> Cohort:
        """Return what was written as a cohort."""
        (self.out / COHORT).unlink(missing_ok=True)
        named = whole.about.get("structures", {}).get(self.organ_mask)
        return Cohort.create(
            self.out,
            rows,
            root=".",
            name=f"{whole.about.get('name', 'cohort')} (synthetic tumours)",
            source="scanweave synthesize",
            layout="synthetic",
            structures={self.organ_mask: named} if named else None,
        )

    def write(self, number: int) -> list[dict[str, Any]] | str:
        """Write the scans of one study, each whole or not at all; return their rows, or why there are none."""
        study = self.cohort[self.cohort.studies[number]]
        several = len(self.points) > 1
        names = [f"{study.id}-{one['diameter_mm']:g}mm" if several else study.id for one in self.points]
        folders = [self.out / STUDIES / name for name in names]
        try:
            if not all(folder.exists() for folder in folders):
                self._write_points(folders, study)
        except ScanweaveError as error:
            return str(error)
        return [self._row(folder, study) for folder in folders]

    def _write_points(self, folders: Sequence[Path], study: Study) -> None:
        scan, mask = study.scans[self.scan], study.masks[self.organ_mask]
        where, seed = f"{study.id}: {self.scan}", [self.seed, zlib.crc32(study.id.encode())]
        maker = _cached_maker(self.run, self.rules, self.unit, self.device)
        self._refuse_drawn(study, where)
        inside = _organ(mask, scan, self.organs, where)
        options: dict[str, Any] = {"unit": self.unit, "where": where}
        if len(self.points) > 1:
            series = [checked_requests(1, **point)[0] for point in self.points]
            found = put_series(scan, inside, series, maker, seed, **options)
        else:
            found = [put_tumours(scan, inside, checked_requests(self.count, **self.points[0]), maker, seed, **options)]
        about = {**maker.about, "seed": seed, "source": study.id}
        organ = Scan.of(np.asarray(mask.data), mask.geometry.affine)
        for folder, made in zip(folders, found, strict=True):
            if folder.exists():
                continue
            with atomic_folder(folder) as whole:
                write_synthetic(whole, f"{study.id}_{self.scan}", made, about)
                write_scan(whole / f"{study.id}_{self.organ_mask}.nii.gz", organ)
                write_json(whole / ABOUT, {**about, "tumours": made.tumours})

    def _refuse_drawn(self, study: Study, where: str) -> None:
        """Refuse a study in which tumours are drawn: the new mask would say that there are none but the made ones."""
        for name, mask in study.masks.items():
            drawn = name != self.organ_mask and name.rstrip("s") in DRAWN
            if drawn and bool((np.asarray(mask.released().data) != 0).any()):
                reason = f"tumours are drawn in its mask '{name}', beside which made ones would be called the only ones"
                raise ScanweaveError(where, reason, "Leave it out by --studies: take scans without tumours")

    def _row(self, folder: Path, study: Study) -> dict[str, Any]:
        facts = read_json(folder / ABOUT, _AGAIN)["tumours"]
        inside = folder.relative_to(self.out)
        return {
            "study": folder.name,
            "patient": study.patient,
            f"scan:{self.scan}": str(inside / f"{study.id}_{self.scan}_synthetic.nii.gz"),
            f"mask:{MASK}": str(inside / f"{study.id}_{self.scan}_{MASK}.nii.gz"),
            f"mask:{self.organ_mask}": str(inside / f"{study.id}_{self.organ_mask}.nii.gz"),
            "table:tumours": len(facts),
            "table:largest_mm": max(one["diameter_mm"] for one in facts),
        }


@lru_cache(maxsize=1)
def _cached_maker(run: str | Path | None, rules: bool, unit: Unit, device: str) -> TumourMaker:
    """Open a run once in each process."""
    return _maker(run, rules=rules, unit=unit, device=device)


def _maker(run: Any, *, rules: bool, unit: Unit, device: str) -> TumourMaker:
    if run is None:
        return RuleMaker(rules_for(unit))
    if unit != "hu":
        raise ScanweaveError("unit", "a run makes tumours in HU alone", "Give --rules without --run, or a CT in HU")
    system: Any = open_run(run, device, "synthesize") if isinstance(run, str | Path) else run
    if "synthesize" not in registry.entry(system.name).verbs:
        raise ScanweaveError("run", f"{system.name} makes no tumours", "Name a run of freetumor, or give --rules")
    made: TumourMaker = system.tumour_maker(rules=rules)
    return made


def _weights(run: str | Path) -> str:
    """Return the hash of a run's weights, after trying that its system makes tumours."""
    system_of(run, "synthesize")
    return file_sha256(find_run(run).weights)


def _unclaim(out: Path) -> None:
    """Leave a folder as it was before a call in which nothing could be made."""
    (out / REQUEST).unlink(missing_ok=True)
    for folder in (out / STUDIES, out):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _organ(organ: Scan | str | Path | NDArray[np.bool_], scan: Scan, organs: Sequence[int], where: str) -> Any:
    """Return where tumours may lie, on the grid of the scan.

    Raises:
        ScanweaveError: The mask lies on another grid, or does not hold the numbers.
    """
    if isinstance(organ, np.ndarray):
        return _chosen(organ, organs, where)
    mask = KINDS["mask"].read(Path(organ)) if isinstance(organ, str | Path) else organ
    if not mask.geometry.matches(scan.geometry):
        reason = "lies on another grid than its organ mask"
        raise ScanweaveError(where, reason, "Resample the mask to the grid of the scan, by the nearest voxel")
    return _chosen(np.asarray(mask.data), organs, where)


def _chosen(labels: NDArray[Any], organs: Sequence[int], where: str) -> NDArray[np.bool_]:
    inside = np.isin(labels, list(organs)) if len(organs) else labels != 0
    if not inside.any():
        told = f"the numbers {', '.join(map(str, organs))}" if len(organs) else "anything"
        raise ScanweaveError(where, f"its organ mask does not hold {told}", "Name another mask or organ")
    return np.asarray(inside)


def _check_least(seed: int = 0, workers: int = 1) -> None:
    for name, value, least in (("seed", seed, 0), ("workers", workers, 1)):
        if value < least:
            raise ScanweaveError(name, f"{value} is too small", f"Give {least} or more")


def _scan_name(cohort: Cohort, scan: str | None) -> str:
    there = cohort.names("scan")
    if scan is not None and scan not in there:
        raise ScanweaveError("scan", f"'{scan}' is not in the cohort", nearest(scan, there))
    if scan is None and len(there) != 1:
        raise ScanweaveError("scan", f"the cohort has {', '.join(there) or 'none'}", "Name one by --scan")
    return scan or there[0]


def _numbers(cohort: Cohort, organ_mask: str, organ: Sequence[str]) -> list[int]:
    """Return the numbers of structures of a mask, by name or as they are; none: all."""
    if organ_mask not in cohort.names("mask"):
        raise ScanweaveError(
            "organ_mask", f"'{organ_mask}' is not in the cohort", nearest(organ_mask, cohort.names("mask"))
        )
    plain = [name for name in organ if name.isdecimal()]
    named = [name for name in organ if name not in plain]
    found = [int(name) for name in plain]
    if named:
        known = {one.name: one.numbers for one in structures_of(cohort, [organ_mask])}
        for name in named:
            if name not in known:
                raise ScanweaveError("organ", f"'{name}' is no structure of {organ_mask}", nearest(name, known))
            found += [int(number) for number in known[name]]
    return sorted(set(found))
