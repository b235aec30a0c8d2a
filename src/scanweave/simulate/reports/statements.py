"""Statements on a simulated study: each finding, present with its details or absent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scanweave.errors import ScanweaveError

FILMS, BODIES = "films", "bodies"
_ORDINALS = {1: "first", 2: "second", 3: "third"}


@dataclass(frozen=True)
class Statement:
    """Hold what is true of one finding of a study.

    Attributes:
        finding: Its name.
        there: Whether the study has it.
        details: Words that a sentence may use, by their slot: `side`, `where`, `place`, `size`, `degree`.
    """

    finding: str
    there: bool
    details: Mapping[str, str] = field(default_factory=dict)


def statements_of(system: str, truth: Mapping[str, Any]) -> list[Statement]:
    """Return a statement for each finding that was planted or not.

    Args:
        system: What simulated the study, `films` or `bodies`.
        truth: Of the study, from `truth.json`.

    Raises:
        ScanweaveError: Nothing is known of how such studies are reported.
    """
    if system not in _DETAILS:
        raise ScanweaveError(system, "no reports are simulated of it", f"Simulate {FILMS} or {BODIES}")
    return [
        Statement(name, bool(there), _DETAILS[system](name, truth) if there else {})
        for name, there in truth["labels"].items()
    ]


def _of_film(name: str, truth: Mapping[str, Any]) -> dict[str, str]:
    """Return the words of a finding on a film; its left is the patient's right."""
    words = _of_a_film(name, truth)
    return words | ({"where": f"on the {words['side']}"} if "side" in words else {})


def _of_a_film(name: str, truth: Mapping[str, Any]) -> dict[str, str]:
    drawn, side = truth["findings"][name], {-1: "right", 1: "left"}
    if name == "nodule":
        hilum = truth["anatomy"]["hilum"] if "anatomy" in truth else None
        zone = "mid" if hilum is None or abs(drawn["y"] - hilum) < 30 else "upper" if drawn["y"] < hilum else "lower"
        return {
            "side": side[1 if drawn["x"] > 0 else -1],
            "place": f"{zone} lung zone",
            "size": _millimetres(2 * drawn["radius"]),
        }
    if name == "effusion":
        return {"side": side[drawn["side"]], "degree": _degree(drawn["height"], 35, 55)}
    if name == "pneumothorax":
        return {"side": side[drawn["side"]], "degree": _degree(1 - drawn["shrunk"], 0.15, 0.25)}
    if name == "fracture":
        number = drawn["rib"] + 1
        return {"side": side[drawn["side"]], "place": f"{_ORDINALS.get(number, f'{number}th')} rib"}
    return {"degree": {"small": "mild", "large": "severe"}.get(_degree(drawn["ratio"], 0.57, 0.61), "moderate")}


def _of_body(name: str, truth: Mapping[str, Any]) -> dict[str, str]:
    """Return the words of a finding in a body; of several nodules those of the largest."""
    own = [one for one in truth["findings"] if one["name"] == name]
    largest = max(own, key=lambda one: float(one["size"]))
    sides = {one["side"] for one in own if "side" in one}
    size, words = float(largest["size"]), dict[str, str]()
    if sides:
        both = len(sides) > 1
        words["where"] = "on both sides" if both else f"on the {min(sides)}"
        words["side"] = "bilateral" if both else min(sides)
    if "lobe" in largest:
        words["place"] = f"{largest['lobe']} lobe"
        words |= {"side": largest["side"], "where": f"on the {largest['side']}"}
    if name in ("nodule", "liver_lesion", "kidney_cyst"):  # of a consolidation the lobe cuts much off
        words["size"] = _millimetres(size)
    degrees = {"effusion": (20, 32), "cardiomegaly": (1.39, 1.47), "splenomegaly": (1.32, 1.42)}
    if name in degrees:
        degree = _degree(size, *degrees[name])
        words["degree"] = degree if name == "effusion" else {"small": "mild", "large": "severe"}.get(degree, degree)
    if name == "steatosis":
        words["degree"] = {"small": "severe", "large": "mild"}.get(_degree(size, 0, 15), "moderate")
    return words


def _degree(value: float, small: float, large: float) -> str:
    return "small" if value < small else "large" if value > large else "moderate"


def _millimetres(size: float) -> str:
    """Return a size as it is told: in centimetres from 1 cm on."""
    return f"{size / 10:.1f} cm" if size >= 10 else f"{size:.0f} mm"


_DETAILS: dict[str, Callable[[str, Mapping[str, Any]], dict[str, str]]] = {FILMS: _of_film, BODIES: _of_body}
