"""The unit of a PET scan, from the JSON beside it, and what makes it SUV by body weight.

SUVbw = activity [Bq/mL] · weight [g] / dose [Bq], the dose decayed from the injection to the time that the image is
corrected to (Boellaard et al., Eur J Nucl Med Mol Imaging 42, 2015: EANM guideline 2.0). Fields are those of PET-BIDS;
the weight, which BIDS does not have in this file, is `PatientWeight` [kg] as dcm2niix writes it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
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
    "RadionuclideHalfLife",
    "TracerRadionuclide",
)
"""Fields that are read of a sidecar."""
NEEDED = {
    "PatientWeight": "[kg] (dcm2niix -ba n writes it)",
    "InjectedRadioactivity": "(RadionuclideTotalDose in DICOM)",
    "InjectedRadioactivityUnits": "such as MBq",
    "ImageDecayCorrected": "true",
    "ImageDecayCorrectionTime": "[s after TimeZero]",
    "InjectionStart": "[s after TimeZero, before it negative] (of RadiopharmaceuticalStartTime in DICOM)",
}
"""Fields that an activity needs to become SUV, and a hint where each comes from."""
SUV_UNITS = {"suv", "suvbw", "gml"}
ACTIVITY_BQ_PER_ML = {"bqml": 1.0, "kbqml": 1e3, "mbqml": 1e6}
DOSE_BQ = {"bq": 1.0, "kbq": 1e3, "mbq": 1e6, "gbq": 1e9}
HALF_LIFE_SECONDS = {
    ("fluorine", 18): 6586.2,
    ("carbon", 11): 1221.8,
    ("nitrogen", 13): 597.9,
    ("oxygen", 15): 122.2,
    ("gallium", 68): 4062.6,
    ("copper", 64): 45721.0,
    ("rubidium", 82): 76.4,
    ("zirconium", 89): 282276.0,
    ("iodine", 124): 360806.0,
}
"""Half-lives to within 0.2 %; the tracers of almost all PET."""
SYMBOLS = {
    "f": "fluorine",
    "c": "carbon",
    "n": "nitrogen",
    "o": "oxygen",
    "ga": "gallium",
    "cu": "copper",
    "rb": "rubidium",
    "zr": "zirconium",
    "i": "iodine",
}
HALF_LIFE_TOLERANCE = 0.05
"""Share by which a stated half-life may differ from the nuclide's: values in use differ by 1 % (Rb-82), not by more."""
MOST_HALF_LIVES = 20
"""Between injection and correction: a millionth of the dose is left, so a time or its unit is wrong."""
HEAVIEST_KG = 700.0
DOSE_RANGE_BQ = (1e4, 1e11)
"""From a mouse's to far above a bolus of O-15 or Rb-82."""
TOLD = 40
"""Letters of a value that an error shows."""
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
    return suv_factor_of(facts, find_sidecar(scan.path) or Path("PET"))


def suv_factor_of(facts: Mapping[str, Any], where: Path) -> float:
    """Return what the numbers of a PET scan are multiplied by to be SUV.

    Args:
        facts: Fields of PET-BIDS, with `Units`.
        where: The file that says so.

    Raises:
        ScanweaveError: They are an activity, and what makes it SUV is absent or impossible.
    """
    unit = _plain(facts.get("Units", ""))
    if unit in SUV_UNITS:
        return 1.0
    if unit not in ACTIVITY_BQ_PER_ML:
        raise ScanweaveError(where, f"its unit is {_told(facts.get('Units'))}, of which no SUV can be made", ADVICE)
    absent = [name for name in NEEDED if facts.get(name) in (None, "", "n/a")]
    if absent:
        where_from = "; ".join(f"{name} {NEEDED[name]}" for name in absent)
        step = f"Write into it {where_from}. Or write the scan in SUV and say so: --preparation.suv NAME"
        raise ScanweaveError(where, f"{' and '.join(absent)} {'are' if absent[1:] else 'is'} absent", step)
    weight = _number(facts, "PatientWeight", where, most=HEAVIEST_KG)
    return ACTIVITY_BQ_PER_ML[unit] * weight * 1000 / (_dose(facts, where) * _left(facts, where))


def _dose(facts: Mapping[str, Any], where: Path) -> float:
    """Injected dose [Bq]."""
    unit, (least, most) = facts["InjectedRadioactivityUnits"], DOSE_RANGE_BQ
    if _plain(unit) not in DOSE_BQ:
        raise ScanweaveError(where, f"InjectedRadioactivityUnits is {_told(unit)}", ADVICE)
    dose = _number(facts, "InjectedRadioactivity", where) * DOSE_BQ[_plain(unit)]
    if not least <= dose <= most:
        raise ScanweaveError(where, f"InjectedRadioactivity is {dose:.3g} Bq, which is no dose of PET", ADVICE)
    return dose


def _left(facts: Mapping[str, Any], where: Path) -> float:
    """Share of the injected dose that is left at the time that the image is corrected to."""
    if facts["ImageDecayCorrected"] is not True:
        raise ScanweaveError(where, "ImageDecayCorrected is not true", ADVICE)
    later = _number(facts, "ImageDecayCorrectionTime", where, least=-math.inf)
    seconds = later - _number(facts, "InjectionStart", where, least=-math.inf)
    if seconds == 0:
        return 1.0
    half_life = _half_life(facts, where)
    if abs(seconds) > MOST_HALF_LIVES * half_life:
        reason = f"InjectionStart and ImageDecayCorrectionTime lie {abs(seconds / half_life):.3g} half-lives apart"
        raise ScanweaveError(where, reason, ADVICE)
    return float(2 ** (-seconds / half_life))


def _half_life(facts: Mapping[str, Any], where: Path) -> float:
    """Half-life [s] as the file states it, else that of the nuclide it names."""
    named = facts.get("TracerRadionuclide", "absent")
    known = HALF_LIFE_SECONDS.get(_nuclide(named))
    if facts.get("RadionuclideHalfLife") in (None, "", "n/a"):
        if known is None:
            step = f"Write into it RadionuclideHalfLife [s], or mend the name. {ADVICE}"
            raise ScanweaveError(where, f"TracerRadionuclide is {_told(named)}, whose half-life is not known", step)
        return known
    stated = _number(facts, "RadionuclideHalfLife", where)
    if known is not None and abs(stated - known) > HALF_LIFE_TOLERANCE * known:
        reason = f"RadionuclideHalfLife is {stated:g} s, that of {_told(named)} {known:g} s"
        raise ScanweaveError(where, reason, ADVICE)
    return stated


def _nuclide(named: object) -> tuple[str, int]:
    """Return element and mass number, however they are written: F18, 18F, F-18, Fluorine-18, ^18^Fluorine."""
    found = re.fullmatch(r"([a-z]*)(\d{1,3})([a-z]*)", _plain(named))
    before, mass, after = found.groups() if found else ("", "0", "")
    element = before + after if not (before and after) else ""
    return SYMBOLS.get(element, element), int(mass)


def _number(facts: Mapping[str, Any], name: str, where: Path, least: float = 0.0, most: float = math.inf) -> float:
    value, number = facts[name], math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(OverflowError):  # a whole number of 400 digits
            number = float(value)
    if not (math.isfinite(number) and least < number <= most):
        raise ScanweaveError(where, f"{name} is {_told(value)}", ADVICE)
    return number


def _plain(text: object) -> str:
    return re.sub(r"[^a-z0-9]", "", str(text).lower())


def _told(value: object) -> str:
    text = repr(value)
    return text if len(text) <= TOLD else f"{text[:TOLD]}…"
