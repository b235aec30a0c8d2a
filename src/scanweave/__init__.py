"""scanweave: learn from incomplete, many-view medical imaging studies."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from scanweave.api import audit_stability, fit, list_systems, open_run, predict
    from scanweave.engine.run import Run
    from scanweave.errors import ScanweaveError
    from scanweave.pruning import prune
    from scanweave.searching import search
    from scanweave.simulate import simulate_brain
    from scanweave.simulate.bodies import simulate_bodies
    from scanweave.simulate.breast import simulate_breast
    from scanweave.simulate.ct import simulate_ct
    from scanweave.simulate.films import simulate_films
    from scanweave.simulate.reports import simulate_reports
    from scanweave.simulate.tumours import simulate_tumours
    from scanweave.studies.checks.cohort_check import check_cohort
    from scanweave.studies.cohort import Cohort
    from scanweave.studies.geometry import Geometry
    from scanweave.studies.layouts import import_cohort
    from scanweave.studies.preparing.cohort_preparation import prepare_cohort
    from scanweave.studies.preparing.restoration import restore_cohort
    from scanweave.studies.preparing.transforms import RigidTransform
    from scanweave.studies.scan import Scan
    from scanweave.studies.splits import make_splits, write_splits
    from scanweave.studies.study import Study
    from scanweave.synthesizing import synthesize, synthesize_cohort
    from scanweave.system_check import check_system
    from scanweave.systems.adamedgraph.classifier import AdaMedGraphClassifier

__all__ = [
    "AdaMedGraphClassifier",
    "Cohort",
    "Geometry",
    "RigidTransform",
    "Run",
    "Scan",
    "ScanweaveError",
    "Study",
    "__version__",
    "audit_stability",
    "check_cohort",
    "check_system",
    "fit",
    "import_cohort",
    "list_systems",
    "make_splits",
    "open_run",
    "predict",
    "prepare_cohort",
    "prune",
    "restore_cohort",
    "search",
    "simulate_bodies",
    "simulate_brain",
    "simulate_breast",
    "simulate_ct",
    "simulate_films",
    "simulate_reports",
    "simulate_tumours",
    "synthesize",
    "synthesize_cohort",
    "write_splits",
]

_HOMES = {
    "AdaMedGraphClassifier": "systems.adamedgraph.classifier",
    "Cohort": "studies.cohort",
    "Geometry": "studies.geometry",
    "RigidTransform": "studies.preparing.transforms",
    "Run": "engine.run",
    "Scan": "studies.scan",
    "ScanweaveError": "errors",
    "Study": "studies.study",
    "audit_stability": "api",
    "check_cohort": "studies.checks.cohort_check",
    "check_system": "system_check",
    "fit": "api",
    "import_cohort": "studies.layouts",
    "list_systems": "api",
    "make_splits": "studies.splits",
    "open_run": "api",
    "predict": "api",
    "prepare_cohort": "studies.preparing.cohort_preparation",
    "prune": "pruning",
    "restore_cohort": "studies.preparing.restoration",
    "search": "searching",
    "simulate_bodies": "simulate.bodies",
    "simulate_brain": "simulate",
    "simulate_breast": "simulate.breast",
    "simulate_ct": "simulate.ct",
    "simulate_films": "simulate.films",
    "simulate_reports": "simulate.reports",
    "simulate_tumours": "simulate.tumours",
    "synthesize": "synthesizing",
    "synthesize_cohort": "synthesizing",
    "write_splits": "studies.splits",
}
"""The module that each public name comes from; it is imported when the name is first used."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'scanweave' has no attribute {name!r}")
    return getattr(import_module(f"scanweave.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
