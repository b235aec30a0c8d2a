"""The cohorts and fits behind `freetumor.py`: one arm and seed a job."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import silent

import scanweave as sw
from scanweave.framework.segmentation.evaluation import compared
from scanweave.measures.lesion_rates import LesionRates, lesion_rates
from scanweave.studies.cohort import Cohort
from scanweave.studies.splits import Splits, write_splits
from scanweave.systems.freetumor.report import acceptance

DRAWN, HEALTHY, TESTED = 0, 10_000, 20_000
"""Added to a seed for scans with drawn tumours, for those without, and for those that test."""
SIZES: dict[str, Any] = {"spacing": 3.0, "diameter": (8.0, 36.0), "contrast": (15.0, 45.0), "most": 3, "cysts": 2}
"""Of all scans. The noise of site A; no setting was chosen by how an arm fares, see `freetumor.py`."""
OTHER: dict[str, Any] = {"sites": {"B": 1.0}}
"""Scans of another noise, sharpness and use of contrast agent."""


class Arm(NamedTuple):
    """Hold material and settings of an arm.

    Attributes:
        settings: What it changes in the preset `small`.
        healthy: Whether it learns from scans without tumours.
        all_drawn: Whether every scan that it learns from has drawn tumours, as no user has.
    """

    settings: Mapping[str, Any]
    healthy: bool = True
    all_drawn: bool = False


_RULES: dict[str, Any] = {"synthesis.source": "rules", "synthesis.judged": False}
_REAL = _RULES | {"synthesis.share": 0.0}
ARMS: dict[str, Arm] = {
    "real only": Arm(_REAL, healthy=False),
    "real and healthy": Arm(_REAL),
    "fixed rules": Arm(_RULES | {"synthesis.contrast": "fixed"}),
    "rules of real contrast": Arm(_RULES),
    "copied": Arm({"synthesis.source": "copied", "synthesis.judged": False}),
    "FreeTumor": Arm({}),
    "FreeTumor, not judged": Arm({"synthesis.judged": False}),
    "FreeTumor, no adversary": Arm({"generator.adversarial": 0.0}),
    "oracle": Arm(_REAL, healthy=False, all_drawn=True),
}
"""A, A with healthy scans, B, B2, B3, C, D, E, H of the specification."""


class Tested(NamedTuple):
    """Hold what one segmentor finds in the test scans.

    Attributes:
        arm: Which.
        seed: Of cohorts and fit.
        part: Which test scans.
        rates: Of each scan, at each threshold.
        accepted: Share of made tumours that its judge accepted; None: there was none.
    """

    arm: str
    seed: int
    part: str
    rates: list[LesionRates]
    accepted: float | None


def fitted_arm(arm: str, seed: int, tier: Mapping[str, Any]) -> list[Tested]:
    """Fit one arm and try it on the test scans of its seed and on those of another scanner."""
    about = ARMS[arm]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cohort = learnt_cohort(folder, seed, tier, about)
        run = sw.fit("freetumor", cohort, folder / "run", preset="small", config=_config(about, seed, tier), say=silent)
        share = acceptance(run.run.metrics())
        found = []
        for part, more in (("same scanner", {}), ("another scanner", OTHER)):
            count = tier["tested"] if not more else tier["tested"] // 2
            if not count:
                continue
            settings = SIZES | more | {"tumours": tier["ill"]} | tier.get("sizes", {})
            tested = sw.simulate_tumours(folder / part, subjects=count, seed=seed + TESTED, **settings)
            found.append(Tested(arm, seed, part, rates_of(run, tested), share))
        return found


def learnt_cohort(folder: Path, seed: int, tier: Mapping[str, Any], about: Arm) -> Cohort:
    """Return the cohort that an arm learns from: drawn tumours in a few scans, and scans without any."""
    few, sizes = tier["drawn"] + (tier["healthy"] if about.all_drawn else 0), SIZES | tier.get("sizes", {})
    parts = [sw.simulate_tumours(folder / "drawn", subjects=few, seed=seed + DRAWN, **sizes, tumours=1.0)]
    if about.healthy:
        settings = sizes | {"tumours": 0.0, "unlabelled": 1.0}
        parts.append(sw.simulate_tumours(folder / "healthy", subjects=tier["healthy"], seed=seed + HEALTHY, **settings))
    joined = joined_cohort(folder / "learnt", parts)
    write_splits(joined.folder, Splits(2, False, seed, dict.fromkeys(joined.patients, 1)))  # all of them train
    return Cohort.open(joined.folder)


def joined_cohort(folder: Path, parts: Sequence[Cohort]) -> Cohort:
    """Return several simulated cohorts as one; their files stay where they are."""
    rows = [_moved(part.folder.name, row) for part in parts for row in part.frame.to_dict("records")]
    folder.mkdir()
    return Cohort.create(
        folder,
        rows,
        root="..",
        name="livers",
        source="benchmarks/freetumor.py",
        layout="simulated",
        structures={"organs": {"liver": [1]}},
    )


def _moved(part: str, row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a row of a cohort as seen from the folder above it."""
    files = {key: f"{part}/{value}" for key, value in row.items() if key.startswith(("scan:", "mask:")) and value}
    return {**row, **files, "study": f"{part}-{row['study']}"}


def rates_of(run: Any, cohort: Cohort) -> list[LesionRates]:
    """Return what a run finds in each scan of a cohort at each threshold."""
    found = []
    for study in cohort:
        truth, _, grid, shares = compared(run, study)
        found.append(lesion_rates(np.any(list(truth.values()), axis=0), shares(), grid.spacing))
    return found


def _config(about: Arm, seed: int, tier: Mapping[str, Any]) -> dict[str, Any]:
    steps = tier["steps"]
    config: dict[str, Any] = {
        "training.steps": steps,
        "training.seed": seed,
        "training.device": "cpu",
        "training.workers": 0,
        "training.checkpoint_every": steps,
        **tier.get("config", {}),
        **about.settings,
    }
    if not about.settings.get("synthesis.source"):
        config |= {"judge.steps": steps, "judge.checkpoint_every": steps, "generator.training.steps": tier["generator"]}
    return config
