"""Promises that every system keeps, tried on a small cohort: for the systems here, and for people's own."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scanweave import api
from scanweave.configuration import configure
from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.json_boxes import box_list
from scanweave.studies.study import Study
from scanweave.systems import registry

if TYPE_CHECKING:
    from scanweave.framework.system import System

Settings = Mapping[str, Any]
LINES_BEFORE_STOP = 2
"""Lines of training metrics after which a fit is stopped: the first may come before there is anything to keep."""


def check_system(
    system: str, cohort: Cohort, folder: str | Path, settings: Settings, *, preset: str | None = None
) -> list[str]:
    """Try every promise of a system on a small cohort, as scikit-learn's `check_estimator` tries an estimator's.

    Args:
        system: Its name in the registry.
        cohort: A few studies, split; some of them test.
        folder: A folder to make for runs and predictions.
        settings: Few steps, a small network. `training.log_every` and `training.steps` must let it be stopped midway.
        preset: Settings to start from.

    Returns:
        The promises that were tried, in words.

    Raises:
        AssertionError: A promise is broken; says which, and how.
    """
    case = _Case(system, cohort, Path(folder), dict(settings), preset)
    promises: dict[str, Callable[[_Case], None]] = {
        "the same command gives the same weights": _same_weights,
        "a fit that was stopped goes on to the same weights": _resumes,
        "a finished fit is left alone, and another question refused": _goes_on,
        "the registry names what its runs make, and of what": _registered,
        "a refused fit leaves nothing behind": _leaves_nothing,
        "a prediction does not depend on its truth": _blind,
        "a prediction lies on the grid of the study": _on_grid,
        "predictions go on in their folder, and another question is refused": _predicts,
        "a study without any input is refused": _refuses_nothing,
        "the run is evaluated and reported": _reports,
        "settings and options that are not there are refused": _refuses_unknown,
    }
    for words, promise in promises.items():
        try:
            promise(case)
        except AssertionError as error:
            raise AssertionError(f"{system}: {words}: {error}") from error
    return list(promises)


@dataclass(frozen=True, eq=False)
class _Case:
    system: str
    cohort: Cohort
    folder: Path
    settings: dict[str, Any]
    preset: str | None

    def fit(self, name: str, **more: Any) -> System[Any]:
        layers = [self.settings, more]
        return api.fit(self.system, self.cohort, self.folder / name, preset=self.preset, config=layers, say=_quiet)

    @cached_property
    def fitted(self) -> System[Any]:
        """A fit that was never stopped."""
        return self.fit("whole")

    @cached_property
    def study(self) -> Study:
        """A study of the test part."""
        tested = self.cohort.part("test")
        _claim(len(tested) > 0, "the cohort has no test part")
        return tested[tested.studies[0]]


def _quiet(line: str) -> None:
    """Say nothing."""


def _claim(holds: bool, words: str) -> None:
    if not holds:
        raise AssertionError(words)


def _same_weights(case: _Case) -> None:
    again = case.fit("again")
    _claim(_weights(case.fitted.run) == _weights(again.run), "two fits ended with different weights")


def _resumes(case: _Case) -> None:
    with _stopped_early() as stopped:
        try:
            case.fit("stopped")
        except (SystemExit, KeyboardInterrupt):
            stopped.append(True)
    _claim(bool(stopped), "the fit ended before it could be stopped: give it more steps, or log more often")
    _claim(not Run.open(case.folder / "stopped").finished, "a stopped fit says that it is finished")
    resumed = case.fit("stopped")
    _claim(_weights(resumed.run) == _weights(case.fitted.run), "a resumed fit ended with other weights")


@contextmanager
def _stopped_early() -> Iterator[list[bool]]:
    """Press Ctrl-C when the second line of training metrics is written."""
    log, stopped, lines = Run.log, list[bool](), list[int]()

    def interrupting(run: Run, step: int, split: str, values: Mapping[str, Any]) -> None:
        log(run, step, split, values)
        if split != "train":
            return
        lines.append(step)
        if len(lines) == LINES_BEFORE_STOP:
            signal.raise_signal(signal.SIGINT)

    Run.log = interrupting  # type: ignore[method-assign, assignment]
    try:
        yield stopped
    finally:
        Run.log = log  # type: ignore[method-assign]


def _goes_on(case: _Case) -> None:
    before = _weights(case.fitted.run)
    lines: list[str] = []
    layers = [case.settings, *([{"training.device": "cpu"}] if hasattr(case.fitted.config, "training") else [])]
    api.fit(case.system, case.cohort, case.fitted.run.folder, preset=case.preset, config=layers, say=lines.append)
    _claim(_weights(case.fitted.run) == before, "the same command changed a finished run")
    _claim(any("is finished" in line for line in lines), "the same command does not say that the run is finished")
    other = case.cohort.select(case.cohort.studies[:-1])
    _refused(lambda: api.fit(case.system, other, case.fitted.run.folder, preset=case.preset, config=layers, say=_quiet))


def _registered(case: _Case) -> None:
    told, own = registry.entry(case.system).plan(case.fitted.run.folder), case.fitted.plan
    _claim(type(told) is type(own), f"its Entry loads a {type(told).__name__} where the run has a {type(own).__name__}")


def _leaves_nothing(case: _Case) -> None:
    room = case.folder / "refused"
    untaught = replace(case, cohort=case.cohort.part("test"))
    _refused(lambda: untaught.fit("refused/run"))
    _claim(not room.exists(), "a fit without a training study left its folder behind")
    if hasattr(case.fitted.config, "training"):
        _refused(lambda: case.fit("refused/run", **{"training.device": _absent_device()}))
        _claim(not room.exists(), "a fit on a device that is not there left its folder behind")
    _refused(lambda: api.open_run(case.fitted.run.folder, _absent_device()))


def _absent_device() -> str:
    """Return a device that this machine has not: none has both."""
    import torch

    return "mps" if torch.cuda.is_available() else "cuda"


def _blind(case: _Case) -> None:
    known = set(case.fitted.plan.targets)
    study, blind = case.study, _without(case.study, known)
    sources = {column.removeprefix("scan:") for column in case.fitted.plan.sources}
    for target in sorted(known & {*study.scans, *study.masks, *study.labels}):
        # A scan that is a source too is asked for as if it were absent, and only it.
        hidden = _without(study, {target}) if target in sources else blind
        both = [case.fitted.predict(one, [target]) for one in (study, hidden)]
        _claim(_bits(both[0]) == _bits(both[1]), f"the prediction of {target} changes with the study's own {target}")


def _without(study: Study, names: set[str]) -> Study:
    kept: dict[str, Any] = {
        kind: {name: value for name, value in getattr(study, kind).items() if name not in names}
        for kind in ("scans", "masks", "labels")
    }
    return replace(study, **kept)


def _on_grid(case: _Case) -> None:
    own = [name for name in case.fitted.plan.targets if name in case.study.scans]
    made = case.fitted.predict(case.study, own or None)
    _claim(not made.is_empty, "nothing is predicted of a study of the test part")
    grids = [scan.geometry for scan in case.study.scans.values()]
    for name, image in {**made.scans, **made.masks}.items():
        fits = any(
            image.geometry.shape == grid.shape and np.allclose(image.geometry.affine, grid.affine, atol=1e-4)
            for grid in grids
        )
        _claim(fits, f"the predicted {name} lies on none of the study's grids")


def _predicts(case: _Case) -> None:
    out, tested = case.folder / "predictions", case.cohort.part("test")
    api.predict(case.fitted, tested, out, say=_quiet)
    before = {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.suffix in (".gz", ".npy", ".csv")}
    done = api.predict(case.fitted, tested, out, say=_quiet)
    _claim(not done.failed, f"a study could not be predicted: {done.failed}")
    after = {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.suffix in (".gz", ".npy", ".csv")}
    _claim(before == after, "the same call changed predictions that were there")
    if done.made:
        Cohort.open(out)
        _refused(lambda: api.predict(case.fitted, case.cohort.part("train"), out, say=_quiet))


def _refuses_nothing(case: _Case) -> None:
    _refused(lambda: case.fitted.predict(Study("nobody", "nobody"), list(case.fitted.plan.targets[:1])))


def _reports(case: _Case) -> None:
    table = case.fitted.evaluate(case.cohort, say=_quiet)
    _claim(len(table) > 0, "the evaluation is empty")
    page = case.fitted.report().read_text(encoding="utf-8")
    _claim("</html>" in page, "the report is no whole page")
    _claim("Not made yet. This makes it: scanweave evaluate" not in page, "the report does not show the evaluation")


def _refuses_unknown(case: _Case) -> None:
    _refused(lambda: configure(case.system, case.preset, {"training.no_such_setting": 1}))
    _refused(lambda: case.fitted.evaluate(case.cohort, case.folder / "no", options={"no_such_option": 1}, say=_quiet))
    if not any(column.startswith("scan:") for column in case.fitted.plan.sources):
        _refused(lambda: case.fitted.evaluate(case.cohort, case.folder / "no", slices=2, say=_quiet))
    _claim(not (case.folder / "no").exists(), "a refused evaluation left its folder behind")


def _refused(call: Callable[[], Any]) -> None:
    try:
        call()
    except ScanweaveError:
        return
    raise AssertionError("was not refused")


def _weights(run: Run) -> dict[str, bytes]:
    from safetensors.numpy import load_file

    return {name: values.tobytes() for name, values in load_file(run.weights).items()}


def _bits(study: Study) -> dict[str, Any]:
    images = {name: np.asarray(scan.data).tobytes() for name, scan in {**study.scans, **study.masks}.items()}
    return {**images, "labels": dict(study.labels), "boxes": None if study.boxes is None else box_list(study.boxes)}
