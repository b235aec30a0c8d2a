"""The unit of a PET scan, from the JSON beside it, and what makes it SUV by body weight.

SUVbw = activity [Bq/mL] · weight [g] / dose [Bq], the dose decayed from the injection to the time that the image is
corrected to (Boellaard et al., Eur J Nucl Med Mol Imaging 42, 2015: EANM guideline 2.0). Fields are those of PET-BIDS;
the weight, which BIDS does not have in this file, is `PatientWeight` [kg] as dcm2niix writes it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.files import read_json
from scanweave.studies.formats.image_names import suffix
from scanweave.studies.scan import Scan

PET_WORDS = {"pet", "fdg", "suv"}
"""Words by which a scan is called PET."""
FIELDS = (
    "Units",
    "PatientWeight",
    "InjectedRadioactivity",
    "InjectedRadioactivityUnits",
    "ImageDecayCorrected",
    "ImageDecayCorrectionTime",
    "InjectionStart",
    "TracerRadionuclide",
)
"""What is read of a sidecar."""
SUV_UNITS = {"suv", "suvbw", "gml"}
ACTIVITY_BQ_PER_ML = {"bqml": 1.0, "kbqml": 1e3, "mbqml": 1e6}
DOSE_BQ = {"bq": 1.0, "kbq": 1e3, "mbq": 1e6, "gbq": 1e9}
HALF_LIFE_SECONDS = {
    "f18": 6586.2,
    "c11": 1221.8,
    "n13": 597.9,
    "o15": 122.2,
    "ga68": 4062.6,
    "cu64": 45721.0,
    "rb82": 76.4,
    "zr89": 282276.0,
    "i124": 360806.0,
}
"""Half-lives by mass number, to within 0.2 %; the tracers of almost all PET."""
ADVICE = "Mend the file, or write the scan in SUV and say so: --preparation.suv NAME"


def is_pet(name: str) -> bool:
    """Tell whether a scan is called PET."""
    return bool(PET_WORDS & set(re.split(r"[^a-z0-9]+", name.lower())))


def find_sidecar(path: Path | None) -> Path | None:
    """Return the JSON beside an image, `scan.json` of `scan.nii.gz`; None: there is none."""
    kind = suffix(path) if path is not None else None
    if path is None or kind is None:
        return None
    beside = path.with_name(path.name[: -len(kind)] + ".json")
    return beside if beside.is_file() else None


def pet_facts(path: Path | None) -> dict[str, Any]:
    """Return what the sidecar of an image says of the unit of a PET scan, and nothing else; empty where it says none.

    Raises:
        ScanweaveError: The sidecar is damaged.
    """
    sidecar = find_sidecar(path)
    content = {} if sidecar is None else read_json(sidecar, ADVICE)
    named = isinstance(content, dict) and "Units" in content
    return {name: content[name] for name in FIELDS if name in content} if named else {}


def suv_factor(scan: Scan) -> float | None:
    """Return what the numbers of a PET scan are multiplied by to be SUV; None: nothing says their unit.

    A file called SUV, as those of AutoPET, holds SUV.

    Raises:
        ScanweaveError: They are an activity, and what makes it SUV is absent or impossible.
    """
    facts = pet_facts(scan.path)
    if not facts:
        return 1.0 if scan.path is not None and "suv" in re.split(r"[^a-z0-9]+", scan.path.name.lower()) else None
    unit = _plain(facts["Units"])
    if unit in SUV_UNITS:
        return 1.0
    where = find_sidecar(scan.path)
    if unit not in ACTIVITY_BQ_PER_ML:
        raise ScanweaveError(where or "PET", f"its unit is {facts['Units']!r}, of which no SUV can be made", ADVICE)
    dose_unit = _plain(facts.get("InjectedRadioactivityUnits"))
    if dose_unit not in DOSE_BQ:
        named = facts.get("InjectedRadioactivityUnits", "absent")
        raise ScanweaveError(where or "PET", f"InjectedRadioactivityUnits is {named!r}", ADVICE)
    dose = _number(facts, "InjectedRadioactivity", where) * DOSE_BQ[dose_unit] * _decay(facts, where)
    return ACTIVITY_BQ_PER_ML[unit] * _number(facts, "PatientWeight", where) * 1000 / dose


def _decay(facts: Mapping[str, Any], where: Path | None) -> float:
    """Share of the injected dose that is left at the time that the image is corrected to."""
    if facts.get("ImageDecayCorrected") is not True:
        raise ScanweaveError(where or "PET", "ImageDecayCorrected is not true", ADVICE)
    later = _number(facts, "ImageDecayCorrectionTime", where, least=-math.inf)
    seconds = later - _number(facts, "InjectionStart", where, least=-math.inf)
    if seconds == 0:
        return 1.0
    nuclide = _plain(facts.get("TracerRadionuclide"))
    swapped = re.sub(r"^(\d+)([a-z]+)$", r"\2\1", nuclide)  # 18F is F18
    if swapped not in HALF_LIFE_SECONDS:
        named = facts.get("TracerRadionuclide", "absent")
        raise ScanweaveError(where or "PET", f"TracerRadionuclide is {named!r}, whose half-life is not known", ADVICE)
    return float(2 ** (-seconds / HALF_LIFE_SECONDS[swapped]))


def _number(facts: Mapping[str, Any], name: str, where: Path | None, least: float = 0.0) -> float:
    value = facts.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= least:
        raise ScanweaveError(where or "PET", f"{name} is {'absent' if value is None else repr(value)}", ADVICE)
    return float(value)


def _plain(text: object) -> str:
    return re.sub(r"[^a-z0-9]", "", str(text).lower())
