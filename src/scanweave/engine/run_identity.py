"""Is it the run that a call asks for: the same system, cohort, settings and images, or the first difference."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from scanweave.engine.settings import TrainingSettings
from scanweave.errors import ScanweaveError

ABSENT = object()
"""Stands for the value of a field that only one of two configurations has; no value of JSON is it."""
NO_VALUE = "absent"
"""What an error calls it."""
M = TypeVar("M", bound=BaseModel)
ImageStates = Mapping[str, Mapping[str, list[int]]]
"""Size and change time of a patient's images, by study and name."""


def completed(config: dict[str, Any], kind: type[BaseModel]) -> dict[str, Any]:
    """Add the settings that a configuration of an older version lacks, as whoever opens its run reads them."""
    try:
        known = kind.model_validate({name: value for name, value in config.items() if name in kind.model_fields})
    except ValidationError:  # it has some that are gone: told as a difference
        return config
    return {**config, **known.model_dump(mode="json")}


def as_begun(old: Mapping[str, Any], config: M) -> tuple[M, dict[str, Any]]:
    """Return a preset with the settings that a run's configuration does not know yet at their defaults, as before.

    A preset may have another value for a setting that came later; a run that began without it goes on without it.

    Args:
        old: The configuration of the run.
        config: The preset of today, before values that somebody gave are laid over it: those are not set back.

    Returns:
        The settings, and which of them were set back, by dotted name.
    """
    kind, now = type(config), config.model_dump(mode="json")
    known, back = completed(dict(old), kind), dict[str, Any]()
    try:
        return kind.model_validate(_set_back(now, old, known, back)), back
    except (ValidationError, KeyError):  # some settings are gone: told as a difference
        return config, {}


def _set_back(
    now: Mapping[str, Any], old: Mapping[str, Any], known: Mapping[str, Any], back: dict[str, Any], group: str = ""
) -> dict[str, Any]:
    """Return the values of `now`, but those of `known` where `old` has none; note in `back` which differ."""
    found = {}
    for name, value in now.items():
        path, found[name] = f"{group}{name}", value
        if name in TrainingSettings.free:
            continue
        if name not in old:
            found[name] = known[name]
            back.update({path: known[name]} if known[name] != value else {})
        elif isinstance(value, dict) and isinstance(old[name], dict):
            found[name] = _set_back(value, old[name], known[name], back, f"{path}.")
    return found


def refuse_difference(
    folder: Path,
    old_record: dict[str, Any],
    new_record: dict[str, Any],
    old_config: dict[str, Any],
    new_config: dict[str, Any],
    *,
    bend: bool,
) -> None:
    """Refuse a run of another system, cohort or configuration.

    Args:
        folder: Of the run.
        old_record: Its `run.json`.
        new_record: What the new call would write there.
        old_config: Its settings.
        new_config: Those of the new call.
        bend: Whether the number of steps may be another.

    Raises:
        ScanweaveError: Names the first field that differs, and both values.
    """
    if bend and planned_steps(old_config) is not None and planned_steps(new_config) is not None:
        new_config = {**new_config, "training": {**new_config["training"], "steps": planned_steps(old_config)}}
    old = {"system": old_record.get("system", new_record["system"]), **old_config}
    new = {"system": new_record["system"], **new_config}
    hashes = [(record.get("cohort") or {}).get("sha256") for record in (old_record, new_record)]
    if old_record:
        old["cohort.sha256"], new["cohort.sha256"] = hashes
    difference = _first_difference(old, new)
    if difference:
        field, before, after = difference
        versions = [str(record.get("versions", {}).get("scanweave", "?")) for record in (old_record, new_record)]
        other = f" (scanweave {versions[0]} began it, this is {versions[1]})" if versions[0] != versions[1] else ""
        step = "Use the old value, or choose another run folder"
        if NO_VALUE in (before, after):
            other = other or " (another state of scanweave began it)"
            step = "Go on with the scanweave that began it, or choose another run folder"
        elif other:
            step = f"{step}, or go on with the scanweave that began it"
        longer = ", which starts anew: this training is finished" if field.endswith(".steps") else ""
        reason = f"holds a run with another configuration{other}: {field} was {before}, now {after}"
        raise ScanweaveError(folder, reason, f"{step}{longer}")


def planned_steps(config: Mapping[str, Any]) -> int | None:
    """Return the steps of a training in a configuration; None where it has none."""
    training = config.get("training")
    steps = training.get("steps") if isinstance(training, dict) else None
    return steps if isinstance(steps, int) else None


def refuse_changed(folder: Path, before: Mapping[str, ImageStates] | None, inputs: Mapping[str, ImageStates]) -> None:
    """Refuse to go on with other images than a run began with: earlier steps have seen those.

    Args:
        folder: Of the run.
        before: The states of its images, by patient; None: it does not tell, and nothing is refused.
        inputs: Those of today.

    Raises:
        ScanweaveError: Names the images of the first study with changes.
    """
    if before is None:
        return
    for patient in sorted({*before, *inputs}):
        old, new = _images(before.get(patient, {})), _images(inputs.get(patient, {}))
        changed = [image for image in sorted({*old, *new}) if old.get(image) != new.get(image)]
        if changed:
            study = changed[0][0]
            reason = f"{', '.join(name for one, name in changed if one == study)} changed since this run began"
            raise ScanweaveError(study, reason, f"Restore the image, or choose another run folder than {folder}")


def _images(states: ImageStates) -> dict[tuple[str, str], list[int]]:
    return {(study, name): state for study, images in states.items() for name, state in images.items()}


def _first_difference(old: Any, new: Any, field: str = "") -> tuple[str, str, str] | None:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return None if old == new else (field, _shown(old), _shown(new))
    for name in [*new, *(name for name in old if name not in new)]:
        if name in TrainingSettings.free:
            continue
        path = f"{field}.{name}" if field else name
        difference = _first_difference(old.get(name, ABSENT), new.get(name, ABSENT), path)
        if difference:
            return difference
    return None


def _shown(value: Any) -> str:
    text = NO_VALUE if value is ABSENT else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
