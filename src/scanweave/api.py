"""The verbs in Python: fit a system, open what a fit left, predict a whole cohort to disk."""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, ValidationError

import scanweave
from scanweave.errors import ScanweaveError
from scanweave.files import atomic_folder
from scanweave.systems import registry

if TYPE_CHECKING:
    import pandas as pd

    from scanweave.engine.run import Run
    from scanweave.studies.cohort import Cohort
    from scanweave.studies.study import Study

Say = Callable[[str], None]
Layer = str | Path | Mapping[str, Any] | BaseModel
"""Settings on top of others: a TOML file, or a mapping nested (`{"training": {"steps": 9}}`) or dotted
(`{"training.steps": 9}`)."""


class System(Protocol):
    """A fitted system; which of the verbs it has, its registry entry says."""

    run: Run
    sequences: tuple[str, ...]

    def predict(self, study: Study, targets: Sequence[str] | None = None) -> Study:
        """Make the absent, or the named, sequences of a study."""

    def evaluate(self, cohort: Cohort, out: Path | None = None, **options: Any) -> pd.DataFrame:
        """Measure predictions against what was acquired."""

    def rank(self, cohort: Cohort, out: Path | None = None, **options: Any) -> Any:
        """Order the sequences by what they carry."""

    def explain(self, cohort: Cohort, out: Path | None = None, **options: Any) -> Any:
        """Map what each sequence alone shows."""

    def report(self, path: Path | None = None) -> Path:
        """Write one HTML page of all that is known of the run."""


def list_systems() -> list[registry.Entry]:
    """What there is to fit, without loading any of it."""
    return list(registry.SYSTEMS.values())


def fit(
    system: str,
    cohort: Cohort | str | Path,
    run: str | Path,
    *,
    preset: str | None = None,
    config: Layer | Sequence[Layer] = (),
    fold: int = 0,
    workers: int = 1,
    say: Say = print,
) -> System:
    """Fit a system to the training part of a cohort; the same call continues a fit that was stopped.

    Args:
        system: Its name, such as `"seq2seq"`.
        cohort: What to learn from, or its folder.
        run: The run folder.
        preset: Settings to start from; None: the system's first preset.
        config: Settings on top of the preset, see `Layer`; several are applied in order.
        fold: Which fold of the cohort's splits trains.
        workers: Processes that prepare studies.
        say: Takes one line for each choice made, and why.

    Returns:
        The fitted system.

    Raises:
        ScanweaveError: A name, a setting, the cohort or the run folder is at fault.
    """
    settings = configure(system, preset, config)
    return registry.load(system).fit(_opened(cohort), run, settings, fold=fold, workers=workers, say=say)


def open_run(run: str | Path, device: str = "auto", verb: str | None = None) -> System:
    """Open the folder of a finished fit with the system that made it.

    Args:
        run: The run folder.
        device: Where to compute: "auto", "cpu", "cuda" or "mps".
        verb: What it will be asked to do.

    Raises:
        ScanweaveError: The folder holds no run of a known system, or the system does not offer `verb`.
    """
    from scanweave.engine.run import Run

    name = Run.open(run).record.get("system")
    if not isinstance(name, str) or name not in registry.SYSTEMS:
        raise ScanweaveError(Path(run) / "run.json", "names no known system", "Restore it, or fit again")
    entry = registry.entry(name)
    if verb is not None and verb not in entry.verbs:
        raise ScanweaveError(run, f"{name} does not offer '{verb}'", f"It offers {', '.join(entry.verbs)}")
    return entry.load().open(run, device)


def configure(system: str, preset: str | None = None, config: Layer | Sequence[Layer] = ()) -> Any:
    """The settings of a system: a preset, and what is laid on top of it; imports no torch.

    Raises:
        ScanweaveError: A system, preset or field that does not exist, a value that the field refuses, a broken file.
    """
    entry = registry.entry(system)
    layers = [config] if isinstance(config, str | Path | Mapping | BaseModel) else list(config)
    read = [(_place(layer), _values(layer)) for layer in layers]
    named = [values.pop("preset") for _, values in read if "preset" in values]
    settings = entry.preset(preset or str([entry.presets[0], *named][-1]))
    for place, values in read:
        settings = _overlaid(settings, values, place, f"scanweave fit {system} --help")
    return settings


@dataclass
class Predictions:
    """What `predict` did.

    Attributes:
        folder: Where the images are; a cohort, if any was made.
        made: Number of images.
        complete: Studies in which nothing was absent.
        failed: The one-line reason for each study that could not be predicted.
    """

    folder: Path
    made: int = 0
    complete: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def predict(
    run: System | str | Path,
    cohort: Cohort | str | Path,
    out: str | Path,
    *,
    targets: Sequence[str] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Predictions:
    """Write the absent, or the named, sequences of all studies to `out/<study>/<study>_<target>_synthetic.nii.gz`.

    One study is held at a time. A study that fails is noted, and the rest goes on. `out` becomes a cohort whose
    `scan:<target>` are the synthetic images.

    Args:
        run: A fitted system, or its run folder.
        cohort: The studies, or the cohort's folder.
        out: A new folder.
        targets: Sequences to make from the others; None: those that a study lacks.
        progress: Called with the number of studies done and of all, after each.

    Raises:
        ScanweaveError: `out` exists, or a target is unknown to the run.
    """
    from scanweave.studies.cohort import Cohort as CohortClass

    out, system, studies = Path(out), _loaded(run), _opened(cohort)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ScanweaveError(out, "exists already", "Choose another folder for the predictions, or remove it")
    unknown = [name for name in targets or () if name not in system.sequences]
    if unknown:
        known = ", ".join(system.sequences)
        raise ScanweaveError("targets", f"the run does not know '{unknown[0]}'", f"Choose from {known}")
    done, rows = Predictions(out), []
    origin = _origin(system.run)
    for number, name in enumerate(studies.studies, start=1):
        try:
            study = studies[name]
            made = system.predict(study, targets)
        except ScanweaveError as error:
            done.failed[name] = str(error)
        else:
            if made.scans:
                rows.append(_write_study(out, study, made, origin | {"known": system.sequences}))
                done.made += len(made.scans)
            else:
                done.complete.append(name)
        progress(number, len(studies))
    if rows:
        source = str(Path(system.run.folder).resolve())
        CohortClass.create(out, rows, root=".", name=f"{out.name} (synthetic)", source=source, layout="predictions")
    return done


def _write_study(out: Path, study: Study, made: Study, origin: Mapping[str, Any]) -> dict[str, Any]:
    """Write the synthetic scans of a study, all or none, and return their row of the manifest."""
    from scanweave.studies.writers import write_scan

    row: dict[str, Any] = {"study": study.id, "patient": study.patient}
    about = {name: value for name, value in origin.items() if name != "known"}
    with atomic_folder(out / study.id) as folder:
        for target, scan in made.scans.items():
            file = f"{study.id}_{target}_synthetic.nii.gz"
            sources = [name for name in origin["known"] if name in study.scans and name != target]
            write_scan(folder / file, scan, {**about, "study": study.id, "target": target, "sources": sources})
            row[f"scan:{target}"] = f"{study.id}/{file}"
    return row


def _origin(run: Run) -> dict[str, Any]:
    with run.weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"scanweave": scanweave.__version__, "system": run.record["system"], "weights_sha256": digest[:12]}


def _loaded(run: System | str | Path) -> System:
    return open_run(run, verb="predict") if isinstance(run, str | Path) else run


def _opened(cohort: Cohort | str | Path) -> Cohort:
    from scanweave.studies.cohort import Cohort as CohortClass

    return CohortClass.open(cohort) if isinstance(cohort, str | Path) else cohort


def _place(layer: Layer) -> str:
    return f"{layer}: " if isinstance(layer, str | Path) else ""


def _values(layer: Layer) -> dict[str, Any]:
    if isinstance(layer, BaseModel):
        return layer.model_dump()
    values = _read_toml(Path(layer)) if isinstance(layer, str | Path) else layer
    try:
        return _nested(values)
    except RecursionError as error:
        raise ScanweaveError(
            _place(layer).rstrip(": ") or "config", "nested too deeply", "No setting lies deeper than section.name"
        ) from error


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScanweaveError(path, f"cannot be read ({error.strerror})", "Name a TOML file of settings") from error
    except RecursionError as error:
        raise ScanweaveError(
            path, "nested too deeply", "Write settings as: [training] and below it steps = 100"
        ) from error
    except ValueError as error:
        raise ScanweaveError(
            path, f"not valid TOML ({error})", "Write settings as: [training] and below it steps = 100"
        ) from error


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names as mappings within mappings."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        first, _, rest = name.partition(".")
        inner = {rest: value} if rest else value
        if isinstance(inner, Mapping):
            inner = _merged(result.get(first, {}), _nested(inner))
        result[first] = inner
    return result


def _merged(below: Any, above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below) if isinstance(below, Mapping) else {}
    for name, value in above.items():
        result[name] = _merged(result.get(name), value) if isinstance(value, Mapping) else value
    return result


def _overlaid(settings: BaseModel, values: Mapping[str, Any], place: str, help_line: str) -> BaseModel:
    try:
        return type(settings).model_validate(_merged(settings.model_dump(), values))
    except ValidationError as error:
        fault = error.errors()[0]
        path = ".".join(map(str, fault["loc"])) or "settings"
        if fault["type"] == "extra_forbidden":
            near = difflib.get_close_matches(path, list(_fields(type(settings))), n=2)
            step = f"Did you mean {' or '.join(near)}? All settings: {help_line}" if near else f"See {help_line}"
            raise ScanweaveError(f"{place}{path}", "there is no such setting", step) from error
        reason = fault["msg"].removeprefix("Value error, ")
        given = "" if isinstance(fault["input"], Mapping) else f", not {fault['input']!r}"
        raise ScanweaveError(f"{place}{path}", f"{reason}{given}", f"See {help_line}") from error


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, about in model.model_fields.items():
        yield f"{prefix}{name}"
        if isinstance(about.annotation, type) and issubclass(about.annotation, BaseModel):
            yield from _fields(about.annotation, f"{prefix}{name}.")
