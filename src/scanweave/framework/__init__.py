"""The frame of all systems: the fit to a cohort, the opening of a run, the trial on studies, the page of a run.

The names that a system of one's own needs are here, each found in its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scanweave.framework.cohort_fit import CohortFit
    from scanweave.framework.fitted_run import FittedRun
    from scanweave.framework.network_task import (
        NetworkLoss,
        NetworkTask,
        draw_study,
        sample_chance,
        seeded_network,
        shuffled_place,
    )
    from scanweave.framework.options import VerbOptions
    from scanweave.framework.predicting import Predicted
    from scanweave.framework.run_page import RunPage
    from scanweave.framework.scan_preparation import PreparedParts, native_scan, read_crop
    from scanweave.framework.scan_system import ScanSystem
    from scanweave.framework.system import Material, System
    from scanweave.framework.trial import Trial

__all__ = [
    "CohortFit",
    "FittedRun",
    "Material",
    "NetworkLoss",
    "NetworkTask",
    "Predicted",
    "PreparedParts",
    "RunPage",
    "ScanSystem",
    "System",
    "Trial",
    "VerbOptions",
    "draw_study",
    "native_scan",
    "read_crop",
    "sample_chance",
    "seeded_network",
    "shuffled_place",
]

_HOMES = {
    "CohortFit": "cohort_fit",
    "FittedRun": "fitted_run",
    "Material": "system",
    "NetworkLoss": "network_task",
    "NetworkTask": "network_task",
    "Predicted": "predicting",
    "PreparedParts": "scan_preparation",
    "RunPage": "run_page",
    "ScanSystem": "scan_system",
    "System": "system",
    "Trial": "trial",
    "VerbOptions": "options",
    "draw_study": "network_task",
    "native_scan": "scan_preparation",
    "read_crop": "scan_preparation",
    "sample_chance": "network_task",
    "seeded_network": "network_task",
    "shuffled_place": "network_task",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'scanweave.framework' has no attribute {name!r}")
    return getattr(import_module(f"scanweave.framework.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
