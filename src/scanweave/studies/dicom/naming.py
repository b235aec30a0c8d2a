"""Names of stacks by their tags, with the evidence: rules that are written down and can be overruled by `--rename`.

MR, in this order: maps and weights told by ImageType or b-values; series by time points and contrast agent; then
timing. Times in ms, for 1.5 and 3 T: fluid is dark where an inversion of 1,400 or more meets an echo of 60 or more; an
echo of 60 or more after a repetition of 1,800 or more is T2; a short echo after as long a repetition is proton
density; a gradient echo of 12 or more is T2*; a short repetition, or an inversion of 300 to 1,400, and a short echo is
T1. A contrast agent makes a T1 a T1 after contrast, unless its description says that it was before. Where timing says
nothing, the words of the description count, by the table of file names.
"""

from __future__ import annotations

from typing import NamedTuple

from scanweave.studies.dicom.headers import Frame, Series
from scanweave.studies.dicom.stacks import MAPS, Stack
from scanweave.studies.layouts.names import Named, Names, words

LONG_INVERSION, SHORT_INVERSION = 1400.0, 300.0
LONG_ECHO, SHORT_ECHO, DEPHASED_ECHO = 60.0, 40.0, 12.0
LONG_REPETITION, SHORT_REPETITION = 1800.0, 1200.0
NO_WEIGHT = {"tof", "angio", "angiography", "mra", "mrv", "venogram", "fieldmap", "field", "b0", "b1", "venc", "scout"}
"""Words of a description, or of the name of a sequence, of images that are no weighting: vessels, fields, scouts."""
STEADY, SPOILED = {"SS"}, {"SP", "MP"}
"""Variants of a gradient echo in steady state, whose contrast is that of T2 over T1, and of a spoiled one."""
BEFORE = {"pre", "native", "nativ", "without", "ohne", "unenhanced", "plain", "prereg"}
"""Words of a description that deny a contrast agent."""
NO_AGENT = {"", "none", "no", "n", "nein", "0"}
WEIGHTED = "TRACEW"
"""Word of ImageType of images weighted by diffusion, the mean over directions."""
FILM_VIEWS = {"PA": "frontal", "AP": "frontal", "LL": "lateral", "RL": "lateral", "LATERAL": "lateral"}
BREAST_VIEWS = {"CC", "MLO", "ML", "LM", "LMO", "XCCL", "XCCM", "AT", "CV", "SIO", "FB", "SPECIMEN"}
SUGAR = ("fdg", "fluorodeoxyglucose", "fludeoxyglucose")


class Shown(NamedTuple):
    """A name, and why.

    Attributes:
        name: Such as t1c; None: there is none.
        because: In words that tell no free text of the file.
        agreed: Whether the description says the same.
    """

    name: str | None
    because: str
    agreed: bool = False


def name_of(stack: Stack, names: Names) -> Shown:
    """Return what a stack shows.

    Args:
        stack: The volume.
        names: The table of names, with what the user says.
    """
    series = stack.series
    said = _said(series, names)
    if said is not None and names.is_own(_description(series)):
        return Shown(said, "by --rename")
    if series.modality == "CT":
        return Shown("cta" if said == "cta" else "ct", "modality CT")
    if series.modality == "PT":
        return _pet(series)
    if series.modality == "MR":
        return _mr(stack, said)
    return Shown(said, f"modality {series.modality or 'not told'}")


def film_name(series: Series, frame: Frame, names: Names) -> Shown:
    """Return what a film is called: by its view, of a breast by side and view.

    Args:
        series: That it is of.
        frame: The film.
        names: As in `name_of`.
    """
    said = _said(series, names)
    if said is not None and names.is_own(_description(series)):
        return Shown(said, "by --rename")
    if series.modality == "MG" and frame.view in BREAST_VIEWS and frame.side in ("L", "R"):
        return Shown(f"{frame.side.lower()}_{frame.view.lower()}", f"mammogram, {frame.side}, view {frame.view}")
    known = FILM_VIEWS.get(frame.view)
    return Shown(known or "film", f"modality {series.modality}, view {frame.view if known else 'not known'}")


def _description(series: Series) -> str:
    return str(series.facts.get("SeriesDescription") or series.facts.get("ProtocolName") or "")


def _said(series: Series, names: Names) -> str | None:
    """Return the scan that the description names; None where it names none."""
    text = _description(series)
    found = names.of(text) if words(text) else ""
    if not isinstance(found, Named) or found.column is None or not found.column.startswith("scan:"):
        return None
    return found.column.removeprefix("scan:")


def _pet(series: Series) -> Shown:
    corrected = {str(word).upper() for word in _several(series.facts.get("CorrectedImage"))}
    if corrected and "ATTN" not in corrected:
        return Shown(None, "PET without correction of attenuation")
    tracer = str(series.pet.get("TracerName", "")).lower()
    if any(word in tracer for word in SUGAR):
        return Shown("pet_fdg", "modality PT, tracer FDG")
    return Shown("pet", "modality PT")


def _mr(stack: Stack, said: str | None) -> Shown:
    kinds = {word.upper() for word in stack.first.type}
    for word in sorted(kinds):
        if (word in MAPS or word.endswith("MAP")) and word != WEIGHTED:
            return Shown("adc" if word == "ADC" else None, f"ImageType {word}")
    if kinds & {"P", "PHASE", "R", "REAL", "I", "IMAGINARY"}:
        return Shown(None, "phase, real or imaginary part")
    if stack.b_values and max(stack.b_values) > 0:
        shown = " ".join(f"{value:g}" for value in sorted(set(stack.b_values)))
        return Shown("dwi", f"b-values {shown}")
    if kinds & {"DIFFUSION", WEIGHTED}:
        return Shown("dwi", "ImageType says diffusion")
    if str(stack.series.facts.get("AngioFlag", "")).upper() == "Y" or _words(stack.series) & NO_WEIGHT:
        return Shown(None, "shows vessels, a field or a scout, by its description or flag")
    if len(stack.frames) > 1:
        return _series_name(stack, said)
    return _timed(stack, said)


def _words(series: Series) -> set[str]:
    told = (series.facts.get(name) for name in ("SeriesDescription", "ProtocolName", "SequenceName"))
    return {word.text for text in told if isinstance(text, str) for word in words(text.replace("_", " "))}


def _series_name(stack: Stack, said: str | None) -> Shown:
    facts, number = stack.series.facts, len(stack.frames)
    planar = "EP" in {str(word) for word in _several(facts.get("ScanningSequence"))}
    agent = _agent(facts.get("ContrastBolusAgent"))
    if said in ("dce", "dsc", "asl", "bold", "dwi"):
        return Shown(said, f"{number} time points, description")
    if planar:
        return Shown("dsc" if agent else "bold", f"{number} time points, echo planar{', contrast agent' * bool(agent)}")
    return Shown(
        "dce" if agent else None, f"{number} time points{', contrast agent' if agent else ', no contrast agent'}"
    )


def _timed(stack: Stack, said: str | None) -> Shown:
    facts = stack.series.facts
    repetition, echo = (_number(facts.get(name)) for name in ("RepetitionTime", "EchoTime"))
    inversion = _number(facts.get("InversionTime"))
    sequence = {str(word) for word in _several(facts.get("ScanningSequence"))}
    told = ", ".join(
        f"{name} {value:g}" for name, value in (("TR", repetition), ("TE", echo), ("TI", inversion)) if value
    )
    variant = {str(word) for word in _several(facts.get("SequenceVariant"))}
    steady = "GR" in sequence and bool(variant & STEADY) and not variant & SPOILED
    kind = None if steady else _weighting(repetition, echo, inversion, sequence)
    if kind is None:
        return Shown(said, f"description; {told}" if said else f"timing says nothing ({told or 'not told'})")
    because = " ".join(filter(None, ["+".join(sorted(sequence)), told]))
    if kind == "t1":
        before = BEFORE & {word.text for word in words(_description(stack.series))}
        if said == "t1c" or (_agent(facts.get("ContrastBolusAgent")) and not before):
            return Shown("t1c", f"{because}, contrast agent", said == "t1c")
    if kind == "t2s" and said == "swi":
        return Shown("swi", f"{because}, description", True)
    doubt = f"; its description says {said}" if said not in (None, kind) else ""
    return Shown(kind, f"{because}{doubt}", said == kind)


def _weighting(repetition: float | None, echo: float | None, inversion: float | None, sequence: set[str]) -> str | None:
    """Return what timing says; None: nothing."""
    if echo is None:
        return None
    if inversion is not None and inversion >= LONG_INVERSION and echo >= LONG_ECHO:
        return "flair"
    if "GR" in sequence and (inversion is None or inversion == 0):
        return "t2s" if echo >= DEPHASED_ECHO else "t1"
    if inversion is not None and SHORT_INVERSION <= inversion < LONG_INVERSION and echo < SHORT_ECHO:
        return "t1"
    if repetition is None or (inversion or 0) > 0:
        return None
    if repetition >= LONG_REPETITION:
        return "t2" if echo >= LONG_ECHO else "pd" if echo < SHORT_ECHO else None
    return "t1" if repetition < SHORT_REPETITION and echo < SHORT_ECHO else None


def _agent(told: object) -> bool:
    return str(told or "").strip().lower() not in NO_AGENT


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _several(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else [] if value is None else [value]
