"""`scanweave evaluate`, `rank`, `explain`: try a fitted run on studies, each with the options of the run's system."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from scanweave.cli.dicom_objects import check_objects, say_objects
from scanweave.cli.parsing import (
    CohortFolder,
    RunFolder,
    first_line,
    parse,
    parse_fields,
    refuse_absent_folders,
    show_help,
)
from scanweave.errors import ScanweaveError

if TYPE_CHECKING:
    from scanweave.studies.cohort import Cohort


@dataclass
class Trial:
    """Try a fitted run on studies of a cohort."""

    folder: Annotated[Positional[RunFolder], arg(name="run", metavar="RUN")]
    """Folder of the run, or a model that ships: builtin:NAME."""
    cohort: CohortFolder
    """Folder of the cohort."""
    out: Path | None = None
    """Folder to make, needed with builtin:NAME; if not given RUN/evaluation, RUN/ranking or RUN/explanation, for named
    studies RUN/…-named, for a first look RUN/…-look, with a number where others were tried there."""
    part: Literal["train", "validation", "test", "all", "unseen"] | None = None
    """Which part of the run's fold; if not given, the test part of the run's own cohort, all unseen of another."""
    studies: Annotated[tuple[str, ...], arg(metavar="STUDY …", help_behavior_hint="")] = ()
    """Studies or patients in place of a part, such as P02 P05."""
    slices: Annotated[tuple[str, ...], arg(metavar="every N", help_behavior_hint="")] = ()
    """For a first look, some axial slices of each volume: every 3rd takes about a third of the time."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes the fastest that is there."""
    checkpoint: Literal["newest", "best"] | None = None
    """Of a fit that was stopped or goes on: its newest weights, or the best of its validations."""

    def selected(self) -> Cohort:
        """Return the cohort, or the named studies of it.

        Raises:
            ScanweaveError: Studies and a part are named, or a study is unknown.
        """
        from scanweave import api
        from scanweave.studies.cohort import Cohort

        cohort = Cohort.open(self.cohort)
        if not self.studies:
            return cohort
        if self.part is not None:
            raise ScanweaveError("--studies", "is in place of --part", "Leave one of them out")
        return api.named_studies(cohort, self.studies)

    def every(self) -> int:
        """Return n of "every n-th slice"; 1 for all.

        Raises:
            ScanweaveError: The words say no number.
        """
        if not self.slices:
            return 1
        words = " ".join(self.slices)
        said = re.fullmatch(r"(?:every )?([1-9]\d{0,3})(?:st|nd|rd|th)?", words)
        if said is None:
            raise ScanweaveError("--slices", f"'{words}' names no slices", "Write --slices every 3rd")
        return int(said[1])


@dataclass
class Evaluate(Trial):
    """Measure predictions against what was acquired, or became of patients, with 95 % intervals over patients."""

    external: Annotated[tuple[CohortFolder, ...], arg(metavar="COHORT …", help_behavior_hint="")] = ()
    """Cohorts from elsewhere, measured after it, each in a folder of its own; the page of a system that tells classes
    or findings shows them side by side."""


class Rank(Trial):
    """Order the sequences: how well each makes the others (C_t), how hard each is to make (C_d), with intervals."""


@dataclass
class Explain(Trial):
    """Say why: what each sequence alone shows, as NIfTI maps; or which patients are similar, and by what."""

    dicom: Path | None = None
    """Write the maps as DICOM objects too, of studies that come from DICOM: their private file, such as
    COHORT.identities.json."""


COMMANDS: dict[str, type[Trial]] = {"evaluate": Evaluate, "rank": Rank, "explain": Explain}


def main(program: str, arguments: list[str]) -> int:
    """Try the run, and say where the results are."""
    verb = program.split()[-1]
    if {"-h", "--help"} & set(arguments):
        return _help(verb, program, arguments)
    given, rest = parse(COMMANDS[verb], program, arguments, extra=True)
    refuse_absent_folders(given)
    print(first_line(given, program), flush=True)
    from scanweave import api
    from scanweave.files import lies_within
    from scanweave.framework.options import chosen_options
    from scanweave.framework.run_outputs import KINDS, note_output
    from scanweave.framework.trial import trial_folder

    options = parse_fields(rest, flags=True)
    kind = api.system_of(given.folder, verb, checkpoint=given.checkpoint).options(verb)
    if given.studies and "pictures" in kind.model_fields:
        options = {"pictures": len(given.studies), **options}
    chosen = chosen_options(kind, options, verb)
    cohort, part = given.selected(), "all" if given.studies else given.part
    external = _external(given)
    slices = given.every()
    objects = given.dicom if isinstance(given, Explain) else None
    if objects is not None:
        if slices > 1:
            reason = "needs whole volumes: maps of some slices lie on the grid of no source"
            raise ScanweaveError("--dicom", reason, "Leave out --slices")
        check_objects(objects)
    system = api.open_run(given.folder, given.device, verb, checkpoint=given.checkpoint)
    if system.computes_on:
        print(f"device: {system.computes_on}", flush=True)
    which: dict[str, Any] = {"part": part, "slices": slices, "named": bool(given.studies)}
    out = given.out or trial_folder(system.run, cohort, KINDS[verb], **which)
    getattr(system, verb)(cohort, out, part=part, options=chosen, slices=slices)
    for other in external:
        beside = trial_folder(system.run, other, KINDS[verb], part=None, slices=slices, named=False)
        print(f"external: {other.about['name']}", flush=True)
        getattr(system, verb)(other, beside, options=chosen, slices=slices)
        print(f"wrote {beside}")
        note_output(system.run, KINDS[verb], out)  # the page goes on showing the run's own cohort first
    shown = "" if lies_within(given.folder, out) else f" --results {out}"
    shown += f" --out {out / 'report.html'}" if system.run.shipped else ""
    shown += f" --checkpoint {given.checkpoint}" if given.checkpoint else ""
    print(f"wrote {out} · next: scanweave report {given.folder}{shown}")
    if objects is not None:
        say_objects(out, objects, maps=True)
    return 0


def _external(given: Trial) -> list[Cohort]:
    """Return the cohorts from elsewhere that are tried too.

    Raises:
        ScanweaveError: One is the cohort itself, or results are to go to a folder outside of the run.
    """
    from scanweave.studies.cohort import Cohort

    folders = given.external if isinstance(given, Evaluate) else ()
    if folders and given.out is not None:
        raise ScanweaveError("--external", "keeps its results in the run, and --out names one folder", "Leave one out")
    same = next((folder for folder in folders if folder.resolve() == given.cohort.resolve()), None)
    if same is not None:
        raise ScanweaveError("--external", f"{same} is the cohort itself", "Name one from elsewhere, or leave it out")
    return [Cohort.open(folder) for folder in folders]


def _help(verb: str, program: str, arguments: list[str]) -> int:
    from scanweave import api

    run = next((word for word in arguments if (Path(word) / "config.json").is_file()), None)
    try:
        parse(COMMANDS[verb], program, ["--help"])
    except SystemExit:
        if run is None:
            print(f"A run's system may have options of its own: {program} RUN --help")
        elif (about := api.system_of(run, verb)).options(verb).model_fields:
            print(f"Options of {about.name}, with their values:")
            show_help(about.options(verb)(), f"{program} {run}")
    return 0
