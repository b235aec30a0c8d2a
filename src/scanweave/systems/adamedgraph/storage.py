"""A fitted ensemble as one safetensors file: numbers as tensors, the rest as JSON in its header. No pickle."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from scanweave.errors import ScanweaveError, reason_of
from scanweave.files import atomic_write
from scanweave.framework.table_columns import Columns, Scaler
from scanweave.systems.adamedgraph.config import BoostingSettings
from scanweave.systems.adamedgraph.ensemble import Choice, Ensemble, IntervalLearner, Learner, Nodes
from scanweave.systems.adamedgraph.learners import Weights

FORMAT = "1"
_ADVICE = "Finish the fit with the same command, or fit again"
NOT_KEPT = ("boosting.learner", "only appnp can be kept in a run", "Use the classifier in Python")
_WEIGHTS = ("first", "first_bias", "second", "second_bias")


def save(path: Path, ensemble: Ensemble) -> None:
    """Write an ensemble, whole or not at all.

    Raises:
        ScanweaveError: Its learners are not APPNP's, or the disk refuses.
    """
    arrays = {
        "scaler.categories": ensemble.scaler.categories,
        "scaler.centre": ensemble.scaler.centre,
        "scaler.spread": ensemble.scaler.spread,
        "scaler.gaps": ensemble.scaler.gaps,
        "nodes.matrix": ensemble.nodes.matrix,
        "nodes.inputs": ensemble.nodes.inputs,
        "nodes.target": ensemble.nodes.target,
        "nodes.mass": ensemble.nodes.mass,
    }
    for number, learner in enumerate(ensemble.learners):
        arrays |= {f"{number}.{name}": array for name, array in learner_arrays(learner).items()}
    about = {
        "settings": ensemble.settings.model_dump(mode="json"),
        "names": ensemble.columns.names,
        "categories": ensemble.columns.categories,
        "read": ensemble.read,
        "classes": ensemble.classes,
        "temperature": ensemble.temperature,
        "learners": [learner_about(learner) for learner in ensemble.learners],
    }
    write_arrays(path, arrays, about)


def load(path: Path) -> Ensemble:
    """Read an ensemble.

    Raises:
        ScanweaveError: The file is damaged, or not of this format.
    """
    arrays, about = read_arrays(path)
    try:
        return Ensemble(
            BoostingSettings.model_validate(about["settings"]),
            Columns(tuple(about["names"]), tuple(None if c is None else tuple(c) for c in about["categories"])),
            Scaler(*(arrays[f"scaler.{name}"] for name in ("categories", "centre", "spread", "gaps"))),
            tuple(about["read"]),
            Nodes(*(arrays[f"nodes.{name}"] for name in ("matrix", "inputs", "target", "mass"))),
            tuple(learner_of(one, arrays, f"{number}.") for number, one in enumerate(about["learners"])),
            about["classes"],
            about["temperature"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ScanweaveError(path, f"damaged ({reason_of(error)})", _ADVICE) from error


def learner_arrays(learner: Learner) -> dict[str, Any]:
    """Return the numbers of a learner by name.

    Raises:
        ScanweaveError: It is not an APPNP learner.
    """
    if not isinstance(learner, IntervalLearner):
        raise ScanweaveError(*NOT_KEPT)
    weights = dict(zip(_WEIGHTS, (tensor.numpy() for tensor in learner.weights.tensors()), strict=True))
    return {**weights, "values": learner.values, "mass_before": learner.mass_before, "carried": learner.carried}


def learner_about(learner: Learner) -> dict[str, Any]:
    """Return what JSON tells of a learner."""
    steps = learner.steps if isinstance(learner, IntervalLearner) else 0
    return {**asdict(learner.choice), "steps": steps, "vote": learner.vote, "error": learner.error}


def learner_of(about: dict[str, Any], arrays: dict[str, np.ndarray], prefix: str) -> IntervalLearner:
    """Return the learner that `learner_about` and `learner_arrays` tell of."""
    choice = Choice(about["feature"], about["level"], about["threshold"], about["teleport"])
    weights = Weights(*(torch.from_numpy(arrays[prefix + name]) for name in _WEIGHTS))
    values, mass_before, carried = (arrays[prefix + name] for name in ("values", "mass_before", "carried"))
    vote, error = about["vote"], about["error"]
    return IntervalLearner(choice, weights, about["steps"], values, mass_before, carried, vote, error)


def write_arrays(path: Path, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> None:
    """Write tensors and what JSON tells of them, whole or not at all."""
    with atomic_write(path) as temporary:
        whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        told = json.dumps({"format": FORMAT, **about})
        save_file(whole, temporary, metadata={"adamedgraph": told})  # one field: the order of several is by chance


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `write_arrays` wrote.

    Raises:
        ScanweaveError: The file is damaged, of another format, or holds NaN weights.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        about = json.loads(header.get("adamedgraph", "null"))
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise ScanweaveError(path, f"cannot be loaded ({' '.join(str(error).split())[:200]})", _ADVICE) from error
    if not isinstance(about, dict) or about.pop("format", None) != FORMAT:
        raise ScanweaveError(path, f"not an AdaMedGraph file of format {FORMAT}", _ADVICE)
    broken = [n for n, a in arrays.items() if a.dtype.kind == "f" and n != "nodes.matrix" and not np.isfinite(a).all()]
    if broken:
        raise ScanweaveError(path, f"{broken[0]} holds NaN or infinity", _ADVICE)
    return arrays, about
