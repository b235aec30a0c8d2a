"""Seq2Seq's preset `best` makes one series from another with other frames, on simulated breasts with planted kinetics.

One fit a seed on complete studies of t1, fst1, t2, dce, fsdce and dwi; what is given is chosen at the test alone. `dce`
has 6 frames, `fsdce` 5 at other times; the network is told the times of both. Every patient has a lesion, half of them
another. Measured is the mean curve of each lesion on the native grid: its wash-in, and its type by the rule by which
types were planted.

The control is frame-wise: for each time of `dce` a voxelwise quadratic regression on all frames of the sources. That on
`fsdce` interpolated to this time was left aside as the weaker one: an interpolated frame is a sum of two frames, so
that all it can make the other can make too. It erred more on a few patients of another seed as well. It is reported.

Bars, written before any run. From `fsdce`: the type is the planted one in 90 % of the lesions; and the error of
wash-in, against the real series, is at most 0.7 times that of the control, with an interval below 1. Types are counted
over those lesions whose real series, with its noise and mixed voxels, shows the planted type itself: elsewhere it is
not in the images. The types of all lesions, planted and real, are reported; so is all of it from the sequences without
contrast agent. Errors of wash-in are of all lesions, and the ratio is that of their means; a lesion of which a method
makes hardly any signal before the agent has a huge one, so that of their medians stands beside it, without a bar.
Intervals resample the patients of all seeds, both errors of a patient together.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import Claim, benchmark_arguments, write_results
from jobs import run_jobs
from seq2seq_cases import Case, Volume
from seq2seq_controls import QuadraticRegression

import scanweave as sw
from scanweave.files import read_json
from scanweave.measures.bootstrap import bootstrap, bootstrap_ratio
from scanweave.measures.enhancement_curves import CurveType
from scanweave.simulate.breast.settings import BreastSettings
from scanweave.studies.preparing.prepared_cache import CachedStudy, PreparedCohort
from scanweave.studies.preparing.series_frames import SeriesFrames
from scanweave.studies.splits import make_splits, write_splits
from scanweave.systems.seq2seq.curve_quality import lesion_rows

TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"seeds": (0,), "subjects": 5, "steps": 1, "spacing": 8.0},
    "proof": {"seeds": (320, 321, 322), "subjects": 60, "steps": 6_000, "spacing": 2.0},
    "study": {"seeds": tuple(range(320, 330)), "subjects": 120, "steps": 20_000, "spacing": 2.0},
}
"""Seeds that no other benchmark and no choice of a setting has used."""
FOLDS = 5
TARGET = "dce"
SERIES, PLAIN = "fsdce", "sequences without agent"
SOURCES = {SERIES: ("fsdce",), PLAIN: ("t1", "fst1", "t2", "dwi")}
SEQUENCES = (TARGET, *chain.from_iterable(SOURCES.values()))
"""All but the maps of wash-in and wash-out, which are computed from `dce`."""
LESIONS = {"lesion_share": 1.0, "another_share": 0.5}
"""More than by default: a patient without a lesion says nothing here."""
BEST, FRAMEWISE, INTERPOLATED = "best", "frame-wise regression", "regression on interpolated frames"
RIGHT_TYPES, OF_FRAMEWISE, BELOW = 0.9, 0.7, 1.0
Make = Callable[[Case], Volume]
"""Makes `dce` of a patient, `(X, Y, Z, T)` in [-1, 1]."""


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    jobs = [(seed,) for seed in tier["seeds"]]
    table = pd.DataFrame(list(chain.from_iterable(run_jobs(one_seed, jobs, arguments, tier))))
    counts = table.groupby(["sources", "method", "planted", "type_real", "type_made"]).size()
    print(counts.unstack(fill_value=0).to_string(), flush=True)
    write_results("seq2seq_4d", arguments, tier["seeds"], claims(table))


def one_seed(seed: int, tier: dict[str, Any]) -> list[dict[str, Any]]:
    """Simulate, fit, and measure every lesion of the test patients of one seed."""
    with tempfile.TemporaryDirectory() as name:
        folder, steps = Path(name), tier["steps"]
        cohort = sw.simulate_breast(
            folder / "cohort",
            subjects=tier["subjects"],
            seed=seed,
            spacing=tier["spacing"],
            sequences=SEQUENCES,
            **LESIONS,
        )
        write_splits(cohort.folder, make_splits(cohort.patients, FOLDS, seed=seed))
        config = {
            "training.steps": steps,
            "training.seed": seed,
            "training.warm_up": min(50, steps // 4),
            "training.validate_every": max(1, steps // 4),
        }
        system: Any = sw.fit("seq2seq", cohort, folder / "run", preset="best", config=config, say=lambda _: None)
        training = PreparedCohort(cohort.part("train"), system.plan).prepare()
        methods = all_methods(system, training, seed)
        truth = read_json(cohort.folder / "truth.json", "Simulate again")["subjects"]
        cases = [Case.of(study, system.plan) for study in cohort.part("test")]
        return [row for case in cases for row in rows(case, methods, truth[case.native.id]["lesions"], seed)]


def all_methods(system: Any, training: Sequence[CachedStudy], seed: int) -> dict[tuple[str, str], Make]:
    """Return what makes `dce`, by sources and method."""
    methods: dict[tuple[str, str], Make] = {}
    for name, sources in SOURCES.items():

        def best(case: Case, sources: tuple[str, ...] = sources) -> Volume:
            told = system.synthesizer.of_study(case.prepared.series)
            given = {source: case.volumes[source] for source in sources}
            return told.from_subsets(given, [(sources, TARGET)])[TARGET]

        methods[name, BEST] = best
        methods[name, FRAMEWISE] = FramewiseRegression(training, sources, seed, interpolated=False)
    methods[SERIES, INTERPOLATED] = FramewiseRegression(training, SOURCES[SERIES], seed, interpolated=True)
    return methods


def rows(
    case: Case, methods: Mapping[tuple[str, str], Make], lesions: Sequence[Mapping[str, Any]], seed: int
) -> Iterator[dict[str, Any]]:
    """Yield wash-in and type of each lesion that fills a voxel: planted, real, and made by each method."""
    phases, native = BreastSettings().phases(f"{TARGET}_times"), case.native
    planted = {str(lesion["number"]): CurveType(lesion["curve_type"]).name.lower() for lesion in lesions}
    for (sources, method), make in methods.items():
        made = case.restored(make(case), TARGET)
        about = {"patient": f"{seed}-{native.patient}", "sources": sources, "method": method}
        for row in lesion_rows(made, native.real[TARGET], native.lesions, phases):
            yield {**about, "planted": planted[row["lesion"]], **row}


class FramewiseRegression:
    """A quadratic regression for each time of `dce`, which are the same in all patients.

    Args:
        studies: The training studies, prepared.
        sources: What to regress on.
        seed: Of the voxels drawn.
        interpolated: Whether sources that are series are interpolated to that time; else all their frames are given.
    """

    def __init__(
        self, studies: Sequence[CachedStudy], sources: Sequence[str], seed: int, *, interpolated: bool
    ) -> None:
        times = studies[0].series[TARGET].times
        assert times is not None
        self.sources, self.at = tuple(sources), times if interpolated else (None,) * len(times)
        whole = [{name: study.volume(name)[:] for name in (*sources, TARGET)} for study in studies]
        self.models = []
        for frame, at in enumerate(self.at):
            given = [regressors(v, study.series, sources, at) for v, study in zip(whole, studies, strict=True)]
            held = [HeldStudy({**g, TARGET: v[TARGET][..., frame]}) for g, v in zip(given, whole, strict=True)]
            self.models.append(QuadraticRegression(held, list(given[0]), TARGET, seed))

    def __call__(self, case: Case) -> Volume:
        """The target, `(X, Y, Z, T)`."""
        given = (regressors(case.volumes, case.prepared.series, self.sources, at) for at in self.at)
        return np.stack([model(volumes) for model, volumes in zip(self.models, given, strict=True)], axis=-1)


def regressors(
    volumes: Mapping[str, Volume], series: Mapping[str, SeriesFrames], sources: Sequence[str], at: float | None
) -> dict[str, Volume]:
    """Return sources as volumes: a series interpolated to the time `at` [s]; each of its frames where that is None."""
    found: dict[str, Volume] = {}
    for name in sources:
        frames = volumes[name] if name in series else volumes[name][..., None]
        if at is not None and name in series:
            shares = [np.interp(at, series[name].times, one) for one in np.eye(series[name].frames)]
            frames = (frames @ np.array(shares, dtype=np.float32))[..., None]
        found |= {f"{name} {frame}": frames[..., frame] for frame in range(frames.shape[-1])}
    return found


@dataclass(frozen=True, eq=False)
class HeldStudy:
    """Volumes in memory, as a regression asks a prepared study for them."""

    volumes: Mapping[str, Volume]

    @property
    def names(self) -> tuple[str, ...]:
        """Volumes that are present."""
        return tuple(self.volumes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return next(iter(self.volumes.values())).shape

    def slices(self, name: str, start: int, stop: int) -> Volume:
        """Slices `start` to `stop` (exclusive) of one."""
        return self.volumes[name][:, :, start:stop]


def claims(table: pd.DataFrame) -> list[Claim]:
    """The bars, then what is only reported."""
    series, plain = (table[table["sources"] == name] for name in (SERIES, PLAIN))
    found = [*type_claims(series, RIGHT_TYPES), *wash_in_claims(series, FRAMEWISE, OF_FRAMEWISE)]
    found += wash_in_claims(series, INTERPOLATED, None)
    return [*found, *type_claims(plain, None), *wash_in_claims(plain, FRAMEWISE, None)]


def type_claims(table: pd.DataFrame, bar: float | None) -> list[Claim]:
    """The shares of right types: as planted where the real series shows that, which is judged; and in all lesions."""
    shows = table["planted"] == table["type_real"]
    told = [
        ("as planted, where the real series shows it", table[shows], "planted", bar),
        ("as planted, in all lesions", table, "planted", None),
        ("as in the real series, in all lesions", table, "type_real", None),
    ]
    return [share_of_types(words, part, truth, asked) for words, part, truth, asked in told]


def share_of_types(words: str, table: pd.DataFrame, truth: str, bar: float | None) -> Claim:
    """The share of lesions of the type `truth`; beside it those of the controls, and of always the commonest type."""
    right = (table["type_made"] == table[truth]).astype(float)
    best = table["method"] == BEST
    found = bootstrap(right[best], list(table["patient"][best]), seed=0)
    shown = right[~best].groupby(table["method"][~best]).mean().to_dict()
    shown |= {"always the commonest": float(table[truth][best].value_counts(normalize=True).iloc[0])}
    name = f"{TARGET} from {table['sources'].iloc[0]}: type {words}"
    return Claim(name, found.value, found.low, found.high, f"of {best.sum()} lesions", found.n, bar, "higher", shown)


def wash_in_claims(table: pd.DataFrame, control: str, bar: float | None) -> list[Claim]:
    """The mean error of wash-in as a share of that of a control; with a bar also the upper end of its interval.

    Lesions for which the control makes no wash-in are left out on both sides.
    """
    error = (table["wash_in_made"] - table["wash_in_real"]).abs()
    wide = table.assign(error=error).pivot(index=["patient", "lesion"], columns="method", values="error").reset_index()
    wide = wide[wide[control].notna()]  # a control can make a first frame of 0, from which there is no wash-in
    found = bootstrap_ratio(wide[BEST], wide[control], list(wide["patient"]), seed=0)
    shown = {name: float(wide[name].mean()) for name in (BEST, control)}
    name = f"{TARGET} from {table['sources'].iloc[0]}: error of wash-in over that of {control}"
    ratio = Claim(name, found.value, found.low, found.high, "", found.n, bar, "lower", shown)
    medians = {one: float(wide[one].median()) for one in (BEST, control)}
    middle = Claim(
        f"{name}, of medians", medians[BEST] / medians[control], np.nan, np.nan, "", found.n, None, "lower", medians
    )
    upper = Claim(f"{name}: upper end of the interval", found.high, np.nan, np.nan, "", found.n, BELOW, "lower")
    return [ratio, middle] if bar is None else [ratio, upper, middle]


if __name__ == "__main__":
    main()
