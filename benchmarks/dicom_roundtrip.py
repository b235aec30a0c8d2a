"""DICOM in and out on real files: voxels, places, what is refused, and how long an import takes.

1. Series of the shared folder: voxels beside SimpleITK's, bit by bit, and corners [mm]. Bar: equal, 1e-3 mm.
2. Every file that comes with pydicom and with pydicom-data, each by itself: taken, or refused in one line. Whatever
   else counts as a crash. Bar: none. What became of each is printed, and stands in a table beside the result.
3. Real scans written as DICOM objects and imported again: numbers equal to what was stored, corners. Bar: 1e-3 mm.
4. The real glioblastoma study, in Orthanc on loopback: two commands (`predict --in`, `push`) make its FLAIR and store
   it. Bars: the archive has one new series, synthetic, in the same study. Without Orthanc it is left out.
5. Time of an import of many series beside `dcm2niix -z i` on the same files, one after the other, by turns. Bar of the
   issue: 2.5 times at most. Without dcm2niix on the path it is left out. Peak memory with a quarter of the series and
   with all: at most 1.25 times, since an import holds headers of all and voxels of one or two.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import ROOT, Claim, benchmark_arguments, in_child, peak_memory, silent, write_results
from numpy.typing import NDArray

import scanweave as sw
from scanweave.errors import ScanweaveError
from scanweave.spreadsheet_cells import write_csv
from scanweave.studies.columns import KINDS
from scanweave.studies.dicom.identities import Identities, OriginalScan
from scanweave.studies.dicom.image_objects import image_objects
from scanweave.studies.dicom.importing import import_dicom
from scanweave.studies.dicom.object_sources import Origin
from scanweave.studies.geometry import resample
from scanweave.studies.layouts.unread_files import has_preamble

FAR_MM, SLOWER, FLAT = 1e-3, 2.5, 1.25
NONE = (float("nan"), float("nan"))
BOTH = ("gbm_3", "ct_j2k")
WEIGHTINGS: tuple[dict[str, Any], ...] = (
    {"ScanningSequence": "SE", "RepetitionTime": 500, "EchoTime": 10},
    {"ScanningSequence": "SE", "RepetitionTime": 4000, "EchoTime": 90},
    {"ScanningSequence": "SE", "RepetitionTime": 3000, "EchoTime": 20},
    {"ScanningSequence": ["SE", "IR"], "RepetitionTime": 9000, "EchoTime": 100, "InversionTime": 2500},
)
"""T1, T2, proton density and FLAIR: every series has a name, so that all of them are written."""
SCANNER = "a scanner"
"""Maker of the files that are written here: an import leaves out what scanweave made."""
BATCH = 16
"""Files of a request to the archive."""
sys.path.append(str(ROOT / "tests" / "studies" / "dicom"))  # archive.py, which the tests start too
TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"series": ("gbm_3",), "files": 10, "scans": 1, "timed": 2, "planes": 5, "edge": 32, "rounds": 1,
              "archive": False},
    "proof": {"series": BOTH, "files": None, "scans": 4, "timed": 40, "planes": 200, "edge": 256, "rounds": 3,
              "archive": True},
    "study": {"series": BOTH, "files": None, "scans": 4, "timed": 40, "planes": 200, "edge": 512, "rounds": 5,
              "archive": True},
}  # fmt: skip


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = None if arguments.json is None else arguments.json.with_suffix(".files.csv")
        claims = [*read(folder, tier), *every_file(folder, tier, table), *written(folder, tier)]
        claims += [*filed(folder, tier), *times(folder, tier)]
    write_results("dicom_roundtrip", arguments, (0,), claims)


def data() -> Path:
    """Return the folder of real scans."""
    return Path(os.environ.get("SCANWEAVE_DATA", ROOT.parent / "shared" / "data"))


def corners(shape: tuple[int, ...], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the eight corners of a grid [mm]."""
    places = np.array(np.meshgrid(*[(0, size - 1) for size in shape[:3]])).reshape(3, -1)
    return (affine[:3, :3] @ places + affine[:3, 3:]).T


def read(folder: Path, tier: dict[str, Any]) -> Iterator[Claim]:
    """Yield how far series are from what SimpleITK reads."""
    import SimpleITK

    off, far, number = 0, 0.0, 0
    for name in tier["series"]:
        source = data() / "dicom" / name
        cohort = import_dicom([source], folder / name, say=silent)
        for series in sorted(path for path in (source, *source.iterdir()) if path.is_dir()):
            reader = SimpleITK.ImageSeriesReader()
            files = reader.GetGDCMSeriesFileNames(str(series))
            if not files:
                continue
            reader.SetFileNames(files)
            image = reader.Execute()
            theirs = SimpleITK.GetArrayFromImage(image).T
            turn = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
            affine = np.eye(4)
            affine[:3, :3], affine[:3, 3] = turn, image.GetOrigin()
            affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
            ours = _alike(cohort, theirs)
            off += 0 if ours is not None else 1
            number += 1
            if ours is not None:
                apart = corners(theirs.shape, affine) - corners(theirs.shape, ours.geometry.affine)
                far = max(far, float(np.abs(apart).max()))
    yield Claim("series whose voxels differ from SimpleITK's", off, *NONE, "", number, 0.0, "lower")
    yield Claim("farthest corner from SimpleITK's", far, *NONE, "mm", number, FAR_MM, "lower")


def _alike(cohort: sw.Cohort, values: NDArray[Any]) -> Any:
    """Return the scan of a cohort with exactly these voxels; None: there is none."""
    for study in cohort:
        for scan in study.scans.values():
            if scan.geometry.shape == values.shape and np.array_equal(scan.data, values):
                return scan
    return None


def every_file(folder: Path, tier: dict[str, Any], table: Path | None) -> Iterator[Claim]:
    """Yield how many of the files of pydicom are taken, are refused in one line, and end otherwise."""
    import data_store
    import pydicom.data

    roots = {"pydicom": Path(pydicom.data.__file__).parent / "test_files"}
    roots["pydicom-data"] = Path(data_store.__file__).parent / "data"
    found = [(name, path) for name, root in roots.items() for path in sorted(root.rglob("*")) if _may_be_dicom(path)]
    rows = []
    for number, (name, path) in enumerate(found[: tier["files"]]):
        own = folder / "each" / str(number)
        own.mkdir(parents=True)
        shutil.copy(path, own / path.name)
        end, told = _tried(own, folder / "each" / f"c{number}")
        rows.append({"from": name, "file": path.name, "end": end, "told": told})
        print(f"{path.name}: {end}: {told}", flush=True)
    if table is not None:
        write_csv(table, pd.DataFrame(rows))
    ends = Counter(row["end"] for row in rows)
    shown = {"taken": float(ends["taken"]), "refused in one line": float(ends["refused"])}
    yield Claim("files of pydicom that crash an import", ends["crashed"], *NONE, "", len(rows), 0.0, "lower", shown)


def _may_be_dicom(path: Path) -> bool:
    return path.is_file() and path.suffix in (".dcm", "")


def _tried(source: Path, out: Path) -> tuple[str, str]:
    """Return how the import of a file ends, and what is said of it."""
    lines: list[str] = []
    try:
        cohort = import_dicom([source], out, say=lines.append)
    except ScanweaveError as error:
        left = [line.partition("left out: ")[2] for line in lines if "left out: " in line]
        return "refused", left[0] if left else error.reason
    except Exception as error:  # whatever else comes is what is counted
        return "crashed", f"{type(error).__name__}: {error}"
    return "taken", ", ".join(cohort.names("scan") + cohort.names("mask"))


def written(folder: Path, tier: dict[str, Any]) -> Iterator[Claim]:
    """Yield how far real scans are from what they are after they were DICOM objects."""
    root = data() / "mri_multiseq" / "BraTS-GLI-00001-000"
    far, off, paths = 0.0, 0, sorted(root.glob("t*.nii.gz"))[: tier["scans"]]
    known = Identities(folder / "who.json")
    name = known.study(known.patient({"PatientID": "1"}), {"PatientID": "1", "StudyInstanceUID": "1.2.3"})
    known.note_scan(name, "source", OriginalScan(series="1.2.3.4", frame_of_reference="1.2.3.5"))
    for number, path in enumerate(paths):
        scan, own = KINDS["scan"].read(path), folder / "written" / str(number)
        own.mkdir(parents=True)
        for place, made in enumerate(image_objects("ct", scan, Origin(name, known), 1)):
            made.Manufacturer = SCANNER
            made.save_as(own / f"{place}.dcm", enforce_file_format=True)
        (study,) = list(import_dicom([own], folder / "written" / f"c{number}", say=silent))
        back = study.scans["ct"]
        there = resample(np.asarray(scan.data, np.float32), scan.geometry, back.geometry, "nearest", outside=-9999)
        off += int(not np.array_equal(np.rint(there), back.data))
        ends = [corners(one.geometry.shape, one.geometry.affine) for one in (scan, back)]
        far = max(far, float(np.abs(np.sort(ends[0], axis=0) - np.sort(ends[1], axis=0)).max()))
    yield Claim("check: real scans were there", len(paths), *NONE, "", len(paths), 1.0, "higher")
    yield Claim("real scans whose numbers differ after a round trip", off, *NONE, "", len(paths), 0.0, "lower")
    yield Claim("farthest corner after a round trip", far, *NONE, "mm", len(paths), FAR_MM, "lower")


def filed(folder: Path, tier: dict[str, Any]) -> Iterator[Claim]:
    """Yield what two commands leave in an archive: where the new series is filed, and that nothing else changed."""
    from archive import THERE, archive

    if not THERE or not tier["archive"]:
        print("Orthanc is not there, or not asked for: no series is stored", flush=True)
        return
    import pydicom

    from scanweave.studies.dicom.web import Server

    source, made = data() / "dicom" / "gbm_3", folder / "made"
    files = [pydicom.dcmread(path) for path in sorted(source.rglob("*")) if path.is_file() and has_preamble(path)]
    program, who = [sys.executable, "-m", "scanweave"], str(folder / "gbm.json")
    with archive(folder) as address:
        server = Server(address)
        for first in range(0, len(files), BATCH):
            server.store(files[first : first + BATCH])
        before = _series(server)
        predict = ["predict", "builtin:brain", "--in", str(source), "--out", str(made), "--targets", "flair"]
        began = time.perf_counter()
        subprocess.run([*program, *predict, "--dicom", who], check=True, capture_output=True)
        subprocess.run([*program, "push", str(made), "--to", address, "--identities", who], check=True)
        seconds = time.perf_counter() - began
        after = _series(server)
    new = {uid: about for uid, about in after.items() if uid not in before}
    right = sum(study in {own for own, _ in before.values()} and "SYNTHETIC" in told for study, told in new.values())
    yield Claim("new series in the study of their sources", right, *NONE, "", len(new), 1.0, "higher")
    wrong = len(new) - right + sum(uid not in after for uid in before)
    yield Claim("series that are elsewhere, lost or not marked", wrong, *NONE, "", len(after), 0.0, "lower")
    yield Claim("from a folder to the archive by two commands", seconds, *NONE, "s", 1, None, "lower")


def _series(server: Any) -> dict[str, tuple[str, str]]:
    """Return study and description of each series of an archive, by UID."""
    tags = ("0020000D", "0008103E")
    return {
        str(one["0020000E"]["Value"][0]): tuple(str(one.get(tag, {}).get("Value", [""])[0]) for tag in tags)
        for study in server.studies({})
        for one in server.client.search_for_series(study_instance_uid=study, fields=[tags[1]])
    }


def times(folder: Path, tier: dict[str, Any]) -> Iterator[Claim]:
    """Yield the time of an import over that of dcm2niix on the same files."""
    program = shutil.which("dcm2niix")
    if program is None:
        print("dcm2niix is not on the path: its time is left out", flush=True)
        return
    source = folder / "many"
    _write_many(source, tier)
    ours, theirs, written = [], [], 0
    for turn in range(tier["rounds"]):
        for whose in ("ours", "theirs") if turn % 2 == 0 else ("theirs", "ours"):
            began, out = time.perf_counter(), folder / f"{whose}-{turn}"
            if whose == "ours":
                import_dicom([source], out, workers=os.cpu_count() or 1, say=silent)
                ours.append(time.perf_counter() - began)
                written = len(list(out.rglob("*.nii.gz")))
            else:
                out.mkdir()
                subprocess.run([program, "-z", "i", "-o", str(out), str(source)], check=True, capture_output=True)
                theirs.append(time.perf_counter() - began)
            shutil.rmtree(out)
    ratios = np.array(ours) / np.array(theirs)
    shown = {"ours [s]": float(np.median(ours)), "dcm2niix [s]": float(np.median(theirs))}
    less, more = (in_child(_peak, source, folder / f"peak-{n}", n) for n in (tier["timed"] // 4 or 1, tier["timed"]))
    shown_memory = {f"{tier['timed'] // 4} series [MiB]": less, f"{tier['timed']} series [MiB]": more}
    yield Claim("check: timed series that were written", written, *NONE, "", tier["timed"], tier["timed"], "higher")
    yield Claim(
        "peak memory of the import of four times as many series", more / less, *NONE, "", 1, FLAT, "lower", shown_memory
    )
    name = f"time of {tier['timed']} series of {tier['planes']} planes over that of dcm2niix"
    ends = float(ratios.min()), float(ratios.max())
    yield Claim(name, float(np.median(ratios)), *ends, "", tier["rounds"], SLOWER, "lower", shown)


def _peak(source: Path, out: Path, series: int) -> float:
    """Return the most memory that an import of some series holds, here and in the largest of its processes [MiB]."""
    import_dicom(sorted(source.iterdir())[:series], out, workers=os.cpu_count() or 1, say=silent)
    shutil.rmtree(out)
    return peak_memory() + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def _write_many(source: Path, tier: dict[str, Any]) -> None:
    """Write many series of noise, a study of four series each, as a scanner would."""
    rng = np.random.default_rng(0)
    known = Identities(source.with_name("many.json"))
    volume = rng.integers(0, 1500, (tier["edge"], tier["edge"], tier["planes"])).astype(np.int16)
    scan = sw.Scan.of(volume, np.diag([-1.0, -1.0, 2.0, 1.0]))
    for number in range(tier["timed"]):
        identity = {"PatientID": str(number // 4), "StudyInstanceUID": f"1.2.3.{number // 4}"}
        study = known.study(known.patient(identity), identity)
        known.note_scan(study, "source", OriginalScan(series=f"1.2.4.{number}", frame_of_reference=f"1.2.5.{number}"))
        own = source / f"{number:03d}"
        own.mkdir(parents=True)
        for place, made in enumerate(image_objects("t1", scan, Origin(study, known), number + 1)):
            for keyword, value in WEIGHTINGS[number % len(WEIGHTINGS)].items():
                setattr(made, keyword, value)
            made.ImageType, made.Manufacturer = ["ORIGINAL", "PRIMARY", "M"], SCANNER
            made.save_as(own / f"{place:04d}.dcm", enforce_file_format=True)


if __name__ == "__main__":
    main()
