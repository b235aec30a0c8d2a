"""Is it the run that a call asks for: the same system, cohort, settings and images, or the first difference."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from scanweave.engine.settings import TrainingSettings
from scanweave.errors import ScanweaveError

ABSENT = "absent"
"""Stands for the value of a field that only one of two configurations has."""
ImageStates = Mapping[str, Mapping[str, list[int]]]
"""Size and change time of a patient's images, by study and name."""


def completed(config: dict[str, Any], kind: type[BaseModel]) -> dict[str, Any]:
    """Add the settings that a configuration of an older version lacks, as whoever opens its run reads them."""
    try:
        known = kind.model_validate({name: value for name, value in config.items() if name in kind.model_fields})
    except ValidationError:  # it has some that are gone: told as a difference
        return config
    return {**config, **known.model_dump(mode="json")}


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
        longer = ", which starts anew: this training is finished" if field.endswith(".steps") else ""
        raise ScanweaveError(
            folder,
            f"holds a run with another configuration: {field} was {before}, now {after}",
            f"Use the old value, or choose another run folder{longer}",
        )


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
    text = ABSENT if value == ABSENT else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
