"""A system whose network learns from scans that are made ready on one grid a study."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel

from scanweave.engine.task import Task
from scanweave.framework.cohort_fit import CohortFit
from scanweave.framework.scan_preparation import PreparedParts, chosen_scans, prepare_parts, scan_columns
from scanweave.framework.system import Material, System
from scanweave.studies.cohort import Cohort

C = TypeVar("C", bound=BaseModel)


class ScanSystem(System[C], Generic[C]):
    """A system fitted to prepared scans; it says `task`, where `System` asks for `material` and `learn`.

    Its settings have `scans` (names to learn from; none named: all), `preparation` and `training`.
    """

    in_cubes: ClassVar[bool] = False
    """True if its crops are volumes, so that the cache is cut in cubes rather than in slabs of slices."""

    own_grids: ClassVar[bool] = False
    """True if it takes studies whose scans lie on grids of their own, as films of different views do."""

    takes_series: ClassVar[bool] = False
    """True if its network takes series `(X, Y, Z, T)`; else they are left out, and told."""

    @classmethod
    def task(cls, config: C, parts: PreparedParts) -> Task:
        """Return what is trained on the prepared parts."""
        raise TypeError(f"{cls.__name__} does not say 'task'")

    @classmethod
    def chosen_scans(cls, cohort: Cohort, config: C) -> list[str]:
        """Return the names of the scans of a cohort to learn from.

        Raises:
            ScanweaveError: There are none, or not those that are asked for.
        """
        return chosen_scans(cohort, getattr(config, "scans"))  # noqa: B009 - all such systems have it

    @classmethod
    def material(cls, cohort: Cohort, config: C, fold: int, say: Callable[[str], None]) -> Material:
        """Choose the scans of a cohort."""
        return Material(cohort, scan_columns(cls.chosen_scans(cohort, config)))

    @classmethod
    def learn(cls, fit: CohortFit[C]) -> None:
        """Prepare the scans of a cohort and train."""
        settings: Any = fit.config
        with fit.one_first():
            sound, series = fit.sound_with_series() if cls.takes_series else (fit.sound(), ())
            names, counts = cls.chosen_scans(sound, fit.config), sound.counts()
            fit.say("scans: " + " · ".join(f"{name} {counts[name]}" for name in names))
            seed = fit.training.seed
            parts = prepare_parts(
                fit,
                sound,
                names,
                settings.preparation,
                seed,
                cubes=cls.in_cubes,
                own_grids=cls.own_grids,
                series=[name for name in series if name in names],
            )
        fit.train(cls.task(fit.config, parts))
