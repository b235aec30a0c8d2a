"""The verbs in Python: fit a system, open what a fit left, predict a whole cohort to disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scanweave.configuration import Layer, configure
from scanweave.errors import ScanweaveError
from scanweave.files import is_plain
from scanweave.systems import registry
from scanweave.wording import nearest
from scanweave.wording import studies as counted_studies

if TYPE_CHECKING:
    import pandas as pd

    from scanweave.engine.checkpoint_weights import Checkpoint
    from scanweave.engine.run import Run
    from scanweave.framework.exporting.exported_run import ExportedRun, FileAsRun
    from scanweave.framework.study_selection import Choice
    from scanweave.framework.system import System
    from scanweave.predictions import Plan, PredictionFolder
    from scanweave.studies.cohort import Cohort
    from scanweave.studies.splits import Part

Say = Callable[[str], None]


def list_systems() -> list[registry.Entry]:
    """Return what there is to fit, without loading any of it."""
    return list(registry.systems().values())


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
) -> System[Any]:
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
    settings, studies = configure(system, preset, config, run, say), _opened(cohort)
    splits = studies.splits()
    if splits is not None:
        splits.patients("train", fold)  # names a fold that is not there before torch is loaded
    _refuse_absent_start(settings, Path(run))
    found: System[Any] = registry.load(system).fit(studies, run, settings, fold=fold, workers=workers, say=say)
    return found


def _refuse_absent_start(settings: Any, run: Path) -> None:
    """Refuse start weights that are not there before torch is loaded; a run that has begun needs them no more."""
    start = getattr(settings, "start", None)
    if start is not None and start.begins and not is_plain(run / "config.json"):
        from scanweave.engine.weight_sources import find_weights

        find_weights(start.source)


def import_weights(system: str, file: str | Path, out: str | Path) -> Path:
    """Take over published weights of a system as a run, or as a file that a fit begins from, and return its path.

    Args:
        system: Whose weights they are.
        file: The file as its authors give it; it is unpickled in a process with limits.
        out: The run folder to make; of MOME, the .safetensors file.

    Raises:
        ScanweaveError: There is no such system, it has no published weights, or the file is not what they are.
    """
    about = registry.entry(system)
    if "import-weights" not in about.verbs:
        raise ScanweaveError(system, "has no published weights that can be imported", "Fit it instead")
    found: Path = import_module(f"{about.module}.reference_weights").import_weights(Path(file), Path(out))
    return found


def open_run(
    run: str | Path, device: str = "auto", verb: str | None = None, *, checkpoint: Checkpoint | None = None
) -> System[Any]:
    """Open the folder of a fit with the system that made it.

    Args:
        run: The run folder, or `builtin:NAME`, a model that ships.
        device: Where to compute: "auto", "cpu", "cuda" or "mps".
        verb: What it will be asked to do.
        checkpoint: Of a fit that was stopped or goes on, the "newest" weights or the "best"; None: the fit is finished.

    Raises:
        ScanweaveError: The folder holds no such run of a known system, or the system does not offer `verb`.
    """
    opened, entry = _found(run, verb, checkpoint)
    found: System[Any] = entry.load().open(opened, device)
    return found


def _found(folder: str | Path, verb: str | None, checkpoint: Checkpoint | None = None) -> tuple[Run, registry.Entry]:
    """Return a finished run, or one at a checkpoint, and its system, which is not loaded."""
    from scanweave.engine.checkpoint_weights import at_checkpoint
    from scanweave.engine.weight_sources import find_run

    run = find_run(folder)
    name = run.record.get("system")
    if not isinstance(name, str) or name not in registry.systems():
        raise ScanweaveError(run.folder / "run.json", "names no known system", "Restore it, or fit again")
    entry = registry.entry(name)
    if verb is not None and verb not in entry.verbs:
        raise ScanweaveError(folder, f"{name} does not offer '{verb}'", f"It offers {', '.join(entry.verbs)}")
    return run.fitted() if checkpoint is None else at_checkpoint(run, checkpoint), entry


def system_of(folder: str | Path, verb: str | None = None, *, checkpoint: Checkpoint | None = None) -> registry.Entry:
    """Return what is known of the system of a finished run, without loading it.

    Args:
        folder: The run folder.
        verb: What it will be asked to do.
        checkpoint: As in `open_run`.

    Raises:
        ScanweaveError: The folder holds no such run of a known system, or the system does not offer `verb`.
    """
    return _found(folder, verb, checkpoint)[1]


@dataclass
class Predictions:
    """The outcome of `predict`.

    Attributes:
        folder: Where the predictions are; a cohort, if any was made.
        made: How many of each kind are in the folder: `{"scan": 6}`.
        kept: Studies that an earlier call had predicted, and that stand as they were.
        again: Studies that an earlier call had written, but not noted, and that were written again.
        complete: Studies in which nothing was absent.
        failed: The one-line reason for each study that could not be predicted.
        cautions: What is known against an image that was made, by its name.
    """

    folder: Path
    made: dict[str, int] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    complete: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    cautions: dict[str, str] = field(default_factory=dict)


def predict(
    run: System[Any] | ExportedRun | str | Path,
    cohort: Cohort | str | Path,
    out: str | Path,
    *,
    targets: Sequence[str] | None = None,
    studies: Sequence[str] | None = None,
    part: Part | None = None,
    device: str = "auto",
    checkpoint: Checkpoint | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    say: Say = print,
    note: Say = lambda line: None,
) -> Predictions:
    """Write what a run makes of studies.

    Images go to `out/<study>/<study>_<target>_synthetic.nii.gz`, labels to `out/predictions.csv`.

    One study is held at a time. A study that fails is said and noted, and the rest goes on. `out` becomes a cohort
    whose `scan:<target>`, `mask:<target>`, `label:<target>` are the predictions. The same call goes on where an earlier
    one was stopped.

    Args:
        run: A fitted system, its run folder, `builtin:NAME`, a model that ships, or a file of `export`.
        cohort: The studies, or the cohort's folder.
        out: A new folder, or that of the same call.
        targets: What to make, each as if it were absent itself; None: what the system makes unasked, as absent scans.
        studies: Names of the studies or patients to predict; None: all of the cohort.
        part: Which part of the run's fold: "train", "validation" or "test"; None: all studies.
        device: Where a run folder computes: "auto", "cpu", "cuda" or "mps".
        checkpoint: Of a run folder whose fit is not finished, as in `open_run`.
        progress: Called with the number of studies done and of all, at the start and after each.
        say: Takes one line for each study that fails.
        note: Takes lines: the device, and how many of the studies the fit saw.

    Raises:
        ScanweaveError: `out` holds something else, a target or study is unknown, or the cohort has no such part.
    """
    from scanweave.engine.cohort_parts import count_seen, part_of
    from scanweave.engine.run import Run
    from scanweave.predictions import PredictionFolder

    run = _model_or_run(run, part, device, checkpoint)
    fitted, plan = _known(run, checkpoint)
    whole = _opened(cohort)
    chosen = named_studies(part_of(fitted, whole, part) if part and isinstance(fitted, Run) else whole, studies)
    _refuse_unknown("targets", "the run does not know", targets or (), plan.targets)
    folder = PredictionFolder(Path(out), fitted, plan)
    asked = folder.request(chosen, targets)  # before torch is loaded
    by_name = isinstance(run, str | Path)
    system: Any = registry.entry(str(fitted.record["system"])).load().open(fitted, device) if by_name else run
    if system.computes_on:
        note(f"device: {system.computes_on}")
    if isinstance(fitted, Run) and (seen := count_seen(fitted, chosen)):
        note(f"note: the fit saw {seen} of {counted_studies(len(chosen))}")
    with folder.claimed(asked):
        done = _write_predictions(system, chosen, targets, folder, progress, say)
    for name, words in done.cautions.items():
        say(f"caution: {name}: {words}")
    return done


def predict_folder(
    run: str | Path,
    source: str | Path,
    out: str | Path,
    *,
    identities: str | Path | None = None,
    say: Say = print,
    note: Say = print,
    **options: Any,
) -> Predictions:
    """Write what a run makes of the images in any folder, which need not be a cohort; only `out` stays.

    The studies are found as `cohort import` finds them, and scans that the run does not know are told and not used.

    Args:
        run: The run folder, or `builtin:NAME`.
        source: The folder of images.
        out: A new folder outside of it, or that of the same call.
        say: Takes one line for each study that fails.
        note: Takes lines: what was found, how names were understood, what is not used, and the device.
        identities: Of DICOM: the private file that tells who is who; None: beside `out`, `OUT.identities.json`.
        options: Of `predict`: `targets`, `studies`, `device`, `checkpoint`, `progress`.

    Raises:
        ScanweaveError: No layout fits the folder, it holds nothing that the run knows, or as in `predict`.
    """
    from tempfile import TemporaryDirectory

    from scanweave.files import lies_within
    from scanweave.studies.layouts import import_cohort, is_dicom
    from scanweave.studies.layouts.folder_pairs import ONLY

    if lies_within(source, out):
        step = "Name one beside it: what is made must not count as a scan of the next call"
        raise ScanweaveError(out, f"lies in {source}", step)
    named = _model_or_run(run, None, options.get("device", "auto"), options.get("checkpoint"))
    _, plan = _known(named, options.get("checkpoint"))
    with TemporaryDirectory(prefix="scanweave-") as folder:
        who = (identities or f"{Path(out)}.identities.json") if is_dicom(Path(source)) else None
        cohort = import_cohort(Path(source), Path(folder) / "cohort", name=Path(source).name, identities=who, say=note)
        only = [name.removeprefix("scan:") for name in plan.sources]
        if len(only) == 1 and cohort.names("scan") == [ONLY] and only != [ONLY]:
            note(f"{ONLY}: taken as {only[0]}, the only scan of the run")
            quiet: dict[str, Any] = {"name": Path(source).name, "say": lambda _: None}
            cohort = import_cohort(
                Path(source), Path(folder) / "renamed", rename={ONLY: only[0]}, identities=who, **quiet
            )
        columns = [column.heading for column in cohort.present() if column.kind.files]
        known = [column for column in columns if column in plan.sources]
        wanted = ", ".join(plan.sources).replace("scan:", "")
        if not known:
            step = f"Say what its names mean: scanweave cohort import {source} --rename WORD=NAME, then --cohort"
            raise ScanweaveError(source, f"holds none of what the run knows ({wanted})", step)
        if unknown := [column.removeprefix("scan:") for column in columns if column not in known]:
            note(f"not used: {', '.join(unknown)}; the run knows {wanted}")
        counts = [f"{column.removeprefix('scan:')} {cohort.frame[column].notna().sum()}" for column in known]
        note(f"taken: {' · '.join(counts)}, of {counted_studies(len(cohort))}")
        return predict(run, cohort, out, say=say, note=note, **options)


def _write_predictions(
    system: System[Any] | ExportedRun,
    cohort: Cohort,
    targets: Sequence[str] | None,
    folder: PredictionFolder,
    progress: Callable[[int, int], None],
    say: Say,
) -> Predictions:
    """Write what a run makes of the studies that the folder has no answer for, and return how each went."""
    before, cautions = set(folder.answers), system.cautions()
    done = Predictions(folder.out, kept=[name for name in cohort.studies if name in before])
    progress(len(before), len(cohort))
    made = system.predictions(cohort, targets, done=before, say=say)
    for number, one in enumerate(made, start=len(before) + 1):
        if one.error is not None:
            done.failed[one.name] = str(one.error).replace(f"{cohort.root}/", "")  # as the manifest has it
            say(f"error: {one.name}: {done.failed[one.name].removeprefix(f'{one.name}: ')}")
        elif one.made is None or one.study is None or one.made.is_empty:
            done.complete.append(one.name)
        else:
            folder.write(one.study, one.made, cautions)
        progress(number, len(cohort))
    done.made, done.again = folder.finish(cohort, system.structures), folder.again
    done.cautions = {name: words for name, words in cautions.items() if name in folder.names}
    return done


@dataclass
class Audited:
    """The outcome of `audit_stability`.

    Attributes:
        page: The page to read; tables and JSON lie beside it.
        failed: Checks of the attacks that do not hold, in words.
    """

    page: Path
    failed: list[str] = field(default_factory=list)


def audit_stability(
    run: System[Any] | str | Path,
    cohort: Cohort | str | Path,
    out: str | Path | None = None,
    *,
    part: Choice | None = None,
    device: str = "auto",
    settings: Mapping[str, Any] | None = None,
    say: Say = print,
) -> Audited:
    """Try how stable the reconstructions of a run are, and write tables, JSON and a page.

    Args:
        run: A fitted system that offers it, or its run folder.
        cohort: Studies with true images, or the cohort's folder.
        out: A new folder; `audit` in the run if not given.
        part: Which studies: "train", "validation", "test", "unseen" or "all"; None: as in `evaluate`.
        device: Where to compute, for a run folder.
        settings: Fields of `audit.settings.AuditSettings`.
        say: Takes a line a stage.

    Raises:
        ScanweaveError: The system offers no audit, a setting is wrong, or `out` exists.
    """
    from scanweave.audit import stability
    from scanweave.audit.settings import AuditSettings
    from scanweave.engine.settings import checked
    from scanweave.report.provenance import run_provenance

    chosen = checked(AuditSettings, dict(settings or {}), "audit")
    system = open_run(run, device, "audit") if isinstance(run, str | Path) else run
    folder = Path(out) if out is not None else system.run.folder / "audit"
    if folder.exists():
        raise ScanweaveError(folder, "exists already", "Choose another --out, or remove it")
    setup = system.audit_setup(_opened(cohort), part=part, say=say)
    found = stability.audit_stability(setup, chosen, say)
    page = stability.write_audit(folder, found, setup, chosen, run_provenance(system.run.record, system.run.config))
    failed = [
        f"{domain}, {check.method}: {check.says}"
        for domain, checks in found.checks.items()
        for check in checks
        if not check.passed
    ]
    return Audited(page, failed)


@dataclass
class ShortcutsAudited:
    """The outcome of `audit_shortcuts`.

    Attributes:
        page: The page to read; tables and JSON lie beside it.
        found: Shortcuts that were found, in words.
        table: A row a run, finding, mark and direction with flip rates, as `shortcuts.csv` has it.
    """

    page: Path
    found: list[str]
    table: pd.DataFrame


def audit_shortcuts(
    runs: Sequence[System[Any] | str | Path],
    cohort: Cohort | str | Path,
    out: str | Path | None = None,
    *,
    part: Choice | None = None,
    device: str = "auto",
    settings: Mapping[str, Any] | None = None,
    say: Say = print,
) -> ShortcutsAudited:
    """Try whether runs look at a finding or at marks such as markers and tubes; write tables, JSON and a page.

    Args:
        runs: Fitted systems that tell findings of films, or their run folders; all are tried on the same films.
        cohort: Films with boxes of marks, or the cohort's folder.
        out: A new folder; `audit-shortcuts` in the first run if not given.
        part: Which studies: "train", "validation", "test", "unseen" or "all"; None: as in `evaluate`.
        device: Where to compute, for run folders.
        settings: Fields of `audit.settings.ShortcutSettings`.
        say: Takes a line a stage.

    Raises:
        ScanweaveError: A run does not tell findings of films, the films have no marks, a setting is wrong, or `out`
            exists.
    """
    from scanweave.audit import shortcut_films, shortcuts
    from scanweave.audit.settings import ShortcutSettings
    from scanweave.audit.shortcut_tables import plain
    from scanweave.audit.shortcut_words import verdicts
    from scanweave.engine.settings import checked
    from scanweave.report.provenance import FIT_FACTS, run_provenance

    chosen = checked(ShortcutSettings, dict(settings or {}), "audit")
    if not runs:
        raise ScanweaveError("RUN", "no run is named", "Such as: scanweave audit shortcuts RUN --cohort COHORT")
    opened = [open_run(run, device) if isinstance(run, str | Path) else run for run in runs]
    for words in dict.fromkeys(run.computes_on for run in opened if run.computes_on):
        say(f"device: {words}")
    folder = Path(out) if out is not None else opened[0].run.folder / "audit-shortcuts"
    if folder.exists():
        raise ScanweaveError(folder, "exists already", "Choose another --out, or remove it")
    named = shortcut_films.named_runs(opened)
    films, studies = shortcut_films.common_films(named, _opened(cohort), part, say)
    found = shortcuts.audit_shortcuts(named, films, chosen, say)
    several = len(named) > 1
    about: dict[str, Any] = {}
    for name, run in named.items():
        facts = run_provenance(run.run.record, run.run.config)
        about |= {f"{name}: {label}" if several and label in FIT_FACTS else label: v for label, v in facts.items()}
    page = shortcuts.write_shortcuts(folder, found, chosen, about, studies)
    return ShortcutsAudited(page, verdicts(found.flips, found=True), plain(found.flips))


def _model_or_run(
    run: System[Any] | ExportedRun | str | Path, part: Part | None, device: str, checkpoint: Checkpoint | None
) -> System[Any] | ExportedRun | str | Path:
    """Return an exported file ready to predict, and all else as it is."""
    from scanweave.exported_models import open_model
    from scanweave.framework.exporting.model_file import is_model_file

    if not is_model_file(run):
        return run
    elsewhere = None if device in ("auto", "cpu") else device
    return open_model(str(run), part=part, device=elsewhere, checkpoint=checkpoint)


def _known(run: System[Any] | ExportedRun | str | Path, checkpoint: Checkpoint | None) -> tuple[Run | FileAsRun, Plan]:
    """Return a run and what it makes of what, without loading its system."""
    if not isinstance(run, str | Path):
        return run.run, run.plan
    found, entry = _found(run, "predict", checkpoint)
    return found, entry.plan(found.folder)


def named_studies(cohort: Cohort, studies: Sequence[str] | None) -> Cohort:
    """Return some studies of a cohort by name, or by that of a patient, for all of theirs; None: all.

    Raises:
        ScanweaveError: There is no such study or patient.
    """
    if studies is None:
        return cohort
    known = [*cohort.studies, *cohort.patients]
    _refuse_unknown("studies", "not in the cohort, or not in this part of it:", studies, known)
    patients = set(studies) - set(cohort.studies)
    return cohort.where(cohort.frame["study"].isin(list(studies)) | cohort.frame["patient"].isin(list(patients)))


def _refuse_unknown(field: str, reason: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise ScanweaveError(field, f"{reason} '{name}'", nearest(name, known))


def _opened(cohort: Cohort | str | Path) -> Cohort:
    from scanweave.studies.cohort import Cohort as CohortClass

    return CohortClass.open(cohort) if isinstance(cohort, str | Path) else cohort
