"""A system that takes series is fitted to them and tried on them; any other is as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from scanweave.engine.run import Run
from scanweave.engine.settings import Settings, TrainingSettings
from scanweave.framework.cohort_fit import CohortFit, start_fit
from scanweave.framework.scan_preparation import PreparedParts
from scanweave.framework.scan_system import ScanSystem
from scanweave.framework.study_selection import select_studies
from scanweave.studies.cohort import Cohort
from scanweave.studies.preparing.settings import PreparationSettings
from scanweave.studies.scan import Scan

AFFINE = np.diag([9.0, 9.0, 9.0, 1.0])
SHAPE = (6, 7, 8)


class Config(Settings):
    """All that a scan system needs."""

    scans: tuple[str, ...] = ()
    preparation: PreparationSettings = PreparationSettings()
    training: TrainingSettings = TrainingSettings(device="cpu", steps=1)


class Still(ScanSystem[Config]):
    """Takes volumes; keeps what it would train on."""

    name = "still"
    seen: ClassVar[list[PreparedParts]] = []

    @classmethod
    def task(cls, config: Config, parts: PreparedParts) -> Any:
        """Keep the prepared parts."""
        cls.seen.append(parts)


class Moving(Still):
    """Takes series too."""

    takes_series = True


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    """Six studies of a volume, and of a series in all but one."""
    rows = []
    for number in range(6):
        generator, part = np.random.default_rng(number), "train" if number < 4 else "validation"
        row = {"study": f"s{number}", "patient": f"p{number}", "split": part}
        for name, shape in (("t1", SHAPE), ("dce", (*SHAPE, 2 + number % 2))):
            data = generator.uniform(50, 99, SHAPE if number == 3 else shape).astype(np.float32)
            Scan.of(data, AFFINE).save(tmp_path / f"{number}_{name}.nii.gz")
            row[f"scan:{name}"] = f"{number}_{name}.nii.gz"
        rows.append(row)
    return Cohort.create(tmp_path / "c", rows, root="..", name="c", source="x", layout="table")


def fitted(system: type[Still], cohort: Cohort, folder: Path, monkeypatch: pytest.MonkeyPatch) -> PreparedParts:
    """Fit without a training, and return what it would be trained on."""
    monkeypatch.setattr(CohortFit, "train", lambda self, task: None)
    columns = system.material(cohort, Config(), 0, str).columns
    with start_fit(folder, system.name, Config(), cohort, columns, fold=0, say=str) as run:
        system.learn(CohortFit(run, Config(), str, cohort=cohort, fold=0, workers=1))
    return system.seen.pop()


def test_series_are_left_out_unless_the_system_takes_them(cohort, tmp_path, monkeypatch):
    parts = fitted(Still, cohort, tmp_path / "still", monkeypatch)
    assert parts.plan.series == {}
    assert all(study.volume(name)[:].ndim == 3 for study in parts.training for name in study.names)
    parts = fitted(Moving, cohort, tmp_path / "moving", monkeypatch)
    assert list(parts.plan.series) == ["dce"]
    for study in [*parts.training, *parts.validation]:
        frames = 1 if study.id == "s3" else 2 + int(study.id[1]) % 2
        assert study.series["dce"].frames == frames
        assert study.volume("dce").shape == (*study.shape, frames)
        assert study.volume("t1").shape == study.shape


def test_a_trial_keeps_the_series_that_the_run_takes(cohort, tmp_path):
    with Run.start(tmp_path / "run", "any", {"fold": 0}) as run:
        run.weights.write_bytes(b"w")
        chosen = {
            names: select_studies(run, cohort, "all", str, series=names).cohort.counts() for names in ((), ("dce",))
        }
    assert chosen == {(): {"t1": 6, "dce": 1}, ("dce",): {"t1": 6, "dce": 6}}
