"""One seed of the benchmark of CheXDet: its cohorts of simulated films, its fits, and what each is worth."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from common import silent

import scanweave as sw
from scanweave.audit.settings import ShortcutSettings
from scanweave.audit.shortcut_tables import plain
from scanweave.audit.shortcuts import audit_shortcuts
from scanweave.studies.cohort import Cohort
from scanweave.studies.splits import Splits, write_splits

CLASSIFY, DETECT = "classify", "detect"
PLANTED: dict[str, str] = {"tube": "effusion", "marker": "pneumothorax"}
"""Which mark goes with which finding."""
FINDINGS = ("nodule", "effusion", "pneumothorax")
"""The nodule goes with no mark."""
FAIR, STRONG, FLIPPED = 0.5, 0.95, 0.05
"""Chances of a mark to agree with its finding: it tells nothing, nearly all, nearly all of the contrary."""
SWEPT = (0.8,)
"""Chances between them."""
OTHER_SITE = "learnt-external"
MORE, STEPS_OF_MORE = 5, 2
"""Times the films, and the steps, of the classifier that has more: the abstract of CheXDet speaks of 80 % less data."""
TESTED, HELD = 10_000, 20_000
"""Added to a seed for its test patients of the own site, and of the other one."""
INTERNAL, EXTERNAL, CONTRARY, AUDITED = "internal", "external", "flipped", "audited"
TESTS: dict[str, dict[str, Any]] = {
    INTERNAL: {"sites": "A", "rho": STRONG},
    EXTERNAL: {"sites": "B", "rho": FAIR},
    CONTRARY: {"sites": "B", "rho": FLIPPED},
    AUDITED: {"sites": "A", "rho": FAIR},
}
"""Cohorts that are tried. Patients of one site are the same ones, so that only the marks of their films differ."""


class Arm(NamedTuple):
    """A fit: its system, and what it learns from.

    Attributes:
        system: Its name.
        rho: Chance of a mark to agree with its finding in training.
        swapped: Whether it has the encoder of the other system.
        times: Factor on the films.
        external: Whether as many films of the other site are added, whose marks tell nothing.
    """

    system: str
    rho: float
    swapped: bool = False
    times: int = 1
    external: bool = False

    @property
    def cohort(self) -> str:
        """The name of the cohort that it learns from."""
        return f"learnt-{self.rho:g}" + (f"-times-{self.times}" if self.times > 1 else "")


MAIN = {f"{system} {rho:g}": Arm(system, rho) for rho in (FAIR, STRONG) for system in (CLASSIFY, DETECT)}
SWAPPED = {f"{system} swapped": Arm(system, STRONG, swapped=True) for system in (CLASSIFY, DETECT)}
MORE_FILMS, BOTH_SITES = "classify, more films", ", films of both sites"
DATA = {system + BOTH_SITES: Arm(system, STRONG, external=True) for system in (CLASSIFY, DETECT)} | {
    MORE_FILMS: Arm(CLASSIFY, STRONG, times=MORE)
}
SWEEP = {f"{system} {rho:g}": Arm(system, rho) for rho in SWEPT for system in (CLASSIFY, DETECT)}
ARMS = MAIN | SWAPPED | DATA | SWEEP


def cohorts_of(arms: Mapping[str, Arm]) -> dict[str, dict[str, Any]]:
    """Return what is simulated for some arms, by name: settings, `offset` of the seed, and `times` the films."""
    found = {
        name: {"offset": HELD if about["sites"] == "B" else TESTED, "times": 0, **about}
        for name, about in TESTS.items()
    }
    for arm in arms.values():
        found[arm.cohort] = {"offset": 0, "times": arm.times, "sites": "A", "rho": arm.rho}
        if arm.external:
            found[OTHER_SITE] = {"offset": HELD + TESTED, "times": 1, "sites": "B", "rho": FAIR}
    return found


def simulate(seed: int, name: str, films: Path, tier: Mapping[str, Any]) -> Path:
    """Simulate one cohort of a seed into `films`; of one to learn from, the first patients validate."""
    about = cohorts_of(ARMS)[name]
    times, shape = about["times"], {key: tier[key] for key in ("size", "conspicuity")}
    number = times * (tier["learnt"] + tier["validated"]) if times else tier["tested"]
    cohort = sw.simulate_films(
        films / str(seed) / name,
        subjects=number,
        seed=seed + about["offset"],
        findings=FINDINGS,
        shortcuts=PLANTED,
        sites=about["sites"],
        rho=about["rho"],
        **shape,
    )
    if times:
        _split(cohort, seed, times * tier["validated"])
    return cohort.folder


def one_fit(seed: int, name: str, films: Path, tier: Mapping[str, Any]) -> pd.DataFrame:
    """Fit an arm of a seed, and measure it: one row a cohort, finding and measure, and a row a result of the audit."""
    arm, home = ARMS[name], films / str(seed)
    chosen, other = tier[arm.system], tier[DETECT if arm.system == CLASSIFY else CLASSIFY]
    steps = chosen["steps"] * (STEPS_OF_MORE if arm.times > 1 else 1)
    config = chosen["config"] | {
        "training.seed": seed,
        "training.steps": steps,
        "training.validate_every": max(1, steps // 5),
        "training.workers": 0,
        "training.device": "cpu",
        "network.encoder": (other if arm.swapped else chosen)["encoder"],
        "labels" if arm.system == CLASSIFY else "classes": FINDINGS,
    }
    with tempfile.TemporaryDirectory() as folder:
        learnt = Cohort.open(home / arm.cohort)
        if arm.external:
            learnt = _both_sites(Path(folder) / "cohort", home, arm.cohort)
            _split(learnt, seed, tier["validated"])
        run = Path(folder) / "run"
        fitted: Any = sw.fit(arm.system, learnt, run, preset=chosen["preset"], config=config, say=silent)
        rows = [row for test in (INTERNAL, EXTERNAL, CONTRARY) for row in _measured(fitted, test, home, tier)]
        if name in audited_arms():
            rows += list(_audited(fitted, home, seed, tier))
    return pd.DataFrame(rows).assign(seed=seed, arm=name)


def audited_arms() -> dict[str, bool]:
    """Return the arms whose runs are audited, and whether a shortcut was planted in what they learned from.

    Ten runs of each kind, of five seeds: both classifiers with planted marks, and all that learned from clean films.
    """
    return {
        f"classify {STRONG:g}": True,
        "classify swapped": True,
        f"classify {FAIR:g}": False,
        f"detect {FAIR:g}": False,
    }


def _measured(fitted: Any, test: str, home: Path, tier: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the measures that `scanweave evaluate` writes; boxes of a classifier on the external films alone."""
    options: dict[str, Any] = {"repeats": tier["repeats"]}
    if fitted.run.record["system"] == CLASSIFY and test == EXTERNAL:
        options["localise"] = True
    out = fitted.run.folder / f"evaluation-{test}"
    summary = fitted.evaluate(Cohort.open(home / test), out, part="all", options=options, say=silent)
    for row in summary.to_dict("records"):
        if row["outcome"] in FINDINGS:
            yield {"cohort": test, **{key: row[key] for key in ("outcome", "measure", "value")}}


def _audited(fitted: Any, home: Path, seed: int, tier: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the flips of the planted pairs, as the audit tells them."""
    settings = ShortcutSettings(films=tier["audited"], maps=0, marks=tuple(PLANTED), site="", seed=seed)
    found = audit_shortcuts({"run": fitted}, Cohort.open(home / AUDITED), settings, say=silent)
    for row in plain(found.flips).to_dict("records"):
        if PLANTED[row["mark"]] == row["finding"]:
            told = {key: row[key] for key in ("mark", "direction", "found", "films")}
            rates = {"value": row["excess"], "low": row["excess low"], "high": row["excess high"]}
            yield {"cohort": AUDITED, "outcome": row["finding"], "measure": "excess of flips", **told, **rates}


def _both_sites(folder: Path, home: Path, own: str) -> Cohort:
    """Return a cohort of the films of two others in `home`, which stay where they are."""
    rows = []
    for part in (own, OTHER_SITE):
        for row in Cohort.open(home / part).frame.to_dict("records"):
            files = {key: f"{part}/{value}" for key, value in row.items() if _is_file(key) and isinstance(value, str)}
            rows.append({**row, **files, "study": f"{part}-{row['study']}"})
    return Cohort.create(folder, rows, root=home.resolve(), name="both", source="two cohorts", layout="simulated")


def _is_file(column: str) -> bool:
    return column == "boxes" or column.startswith(("scan:", "mask:"))


def _split(cohort: Cohort, seed: int, validated: int) -> None:
    """Let the first patients validate, all others train; fold 0, that of the test, stays empty."""
    fold = {name: 1 if number < validated else 2 for number, name in enumerate(cohort.patients)}
    write_splits(cohort.folder, Splits(3, True, seed, fold))
