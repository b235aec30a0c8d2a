"""`scanweave cohort`: take studies in, check them, split them, show them, prepare them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from scanweave.cli.cohort_prepare import PrepareCohort, RestoreCohort
from scanweave.cli.parsing import CohortFolder, Holding, RunFolder
from scanweave.errors import ScanweaveError

if TYPE_CHECKING:
    from scanweave.studies.checks.last_check import LastCheck

FEW_TRAINING_PATIENTS = 4
"""Training patients below which a split without a validation part is offered."""
WORKERS, LISTED_STUDIES = 2, 20
"""Studies that a check reads at once, and that are listed, unless the user says how many."""
MOST_LISTED_STUDIES = 200
"""Studies above which those that are ok are counted, not listed."""
TableFolder = Annotated[Path, Holding("table.json")]
_STYLES = {"ok": "green", "repaired": "cyan", "suspect": "yellow", "refused": "bold red"}


@dataclass
class ImportCohort:
    """Make a cohort of the studies in a folder, table or archive of arrays; no image is opened, copied or changed.

    DICOM series, in a folder or a zip, are checked, named by their tags and written as NIfTI without identity.

    A table without images and reports is a clinical one, one row a patient or visit: CSV, Parquet, Excel, SPSS, Stata.
    """

    src: Annotated[Positional[tuple[Path, ...]], arg(metavar="SRC …", help_behavior_hint="(required)")]
    """Folder of studies (nnU-Net raw, Decathlon, BIDS, a folder a subject, sequence or class, images beside labels or
    boxes, reports, DICOM, all in one), a table, an .npz of arrays, a zip of DICOM, an archive of Open-I's reports, or a
    server: dicomweb://HOST/PATH?PatientID=7."""
    out: Path
    """Folder that the cohort is written to."""
    layout: (
        Literal[
            "nnunet",
            "decathlon",
            "bids",
            "folders",
            "sequences",
            "flat",
            "boxes",
            "pairs",
            "classes",
            "arrays",
            "reports",
            "table",
            "dicom",
            "records",
        ]
        | None
    ) = None
    """How the source is laid out; recognised if not given."""
    rename: str | None = None
    """What words of file names mean: "fla=flair,T1POST=t1c"; "mask:NAME" for a label map, "-" to leave files out."""
    series: str | None = None
    """Series in a file a frame, by the names of the files: "dce=*_dce_*,dwi=*_b[0-9]*"; frames by their numbers."""
    leave_out: Annotated[tuple[str, ...], arg(metavar="STUDY …", help_behavior_hint="")] = ()
    """Studies to drop, such as "*_native"."""
    patient: str | None = None
    """Regular expression that finds the patient in the name of a study: "^[^_]+" takes what is before the first _."""
    columns: str | None = None
    """What columns of a table are: "id=patient,seen=time dmy,stage=label,bili=number mg/dl decimal:comma,row=-"; of a
    table of images or reports "HEADING=label", "=patient", "=study", "=split", "=feature", or "-" to leave it out."""
    like: TableFolder | None = None
    """Cohort, or run that was fitted on one, whose columns the clinical table has: for new patients."""
    features: Annotated[tuple[RunFolder, ...], arg(metavar="RUN …", help_behavior_hint="")] = ()
    """Runs whose embeddings of images join the clinical table by patient, one a fold: nobody is described by a run that
    learnt from him. Of several runs: how alike they find him to others."""
    images: CohortFolder | None = None
    """Cohort of the images that --features describes, of new patients; that of the runs if not given."""
    sheet: str | None = None
    """Which sheet of an Excel file."""
    name: str | None = None
    """Name of the cohort; that of its folder if not given."""
    keep_identity: bool = False
    """Of DICOM: name studies by the patient's own number, and take in films that show who the patient is."""
    identities: Path | None = None
    """Of DICOM: private file that tells who is who; OUT.identities.json if not given."""
    header: Annotated[tuple[str, ...], arg(metavar="NAME=FILE …", help_behavior_hint="")] = ()
    """Of a DICOMweb server: headers of each request, each from a file: Authorization=token.txt."""
    certificate: Path | None = None
    """Of a DICOMweb server: file of the authority that signed its certificate; those of the system if not given."""
    workers: int | None = None
    """Of DICOM: processes for a source of many files; as many as there are cores if not given."""

    def run(self) -> int:
        """Import, and say what was found and how names were understood."""
        from scanweave.measures.threads import usable_cores
        from scanweave.studies.layouts import import_cohort, parse_rename, parse_series
        from scanweave.studies.tables.schema import parse_columns

        cohort = import_cohort(
            self.src,
            self.out,
            layout=self.layout,
            rename=parse_rename(self.rename),
            series=parse_series(self.series),
            leave_out=self.leave_out,
            patient=self.patient,
            name=self.name,
            columns=parse_columns(self.columns),
            like=self.like,
            sheet=self.sheet,
            features=self._features(),
            keep_identity=self.keep_identity,
            identities=self.identities,
            access=self._access(),
            workers=self.workers or usable_cores(),
        )
        then = f"predict RUN --cohort {cohort.folder} --out OUT" if self.like else f"cohort check {cohort.folder}"
        print(f"wrote {cohort.folder} · next: scanweave {then}")
        return 0

    def _access(self) -> Any:
        """Return how a server is reached; None where nothing is said of it."""
        if not self.header and self.certificate is None:
            return None
        from scanweave.cli.push import headers_of
        from scanweave.studies.dicom.web import Access

        return Access(headers_of(self.header), self.certificate)

    def _features(self) -> dict[str, dict[str, float]] | None:
        """Return what the named runs make of the images of each patient; None where no run is named."""
        if not self.features:
            if self.images is not None:
                raise ScanweaveError("--images", "says what --features describes", "Name the runs: --features RUN …")
            return None
        from scanweave import api
        from scanweave.run_features import cross_fitted_features
        from scanweave.studies.cohort import Cohort

        cohort = None if self.images is None else Cohort.open(self.images)
        return cross_fitted_features([api.open_run(run, verb="predict") for run in self.features], cohort)


@dataclass
class CheckCohort:
    """Check every study, and the columns of clinical tables: ok, repaired, suspect or refused, and why."""

    cohort: Positional[CohortFolder]
    """Folder of the cohort."""
    json: bool = False
    """Print JSON instead of a table."""
    workers: Annotated[int | None, arg(help_behavior_hint="(default: 2)")] = None
    """Studies that are read at once."""
    again: bool = False
    """Read all files, also those that did not change since the last check."""

    def run(self) -> int:
        """Check; exit status 1 if a study is refused."""
        from scanweave.studies.checks.last_check import last_check
        from scanweave.wording import studies

        self._refuse_idle()
        found = None if self.again else last_check(self.cohort)
        unchanged = found is not None
        if found is None:
            found = self._read()
        if self.json:
            import json

            shown = [verdict.to_json() for verdict in found.studies]
            shown += [{"column" if k == "study" else k: v for k, v in one.to_json().items()} for one in found.columns]
            print(json.dumps(shown, indent=2, ensure_ascii=False))
        else:
            _print_verdicts(found.studies, "study")
            if found.columns:
                _print_verdicts(found.columns, "column")
            elif found.has_table:
                print("columns of the table: nothing suspect found")
            if found.has_table and not found.has_label:
                print("no label is named, so no column was set against it: import with --columns 'HEADING=label'")
            if unchanged:
                print("nothing changed since the last check, so no image was read; read all by --again")
            elif found.unread:
                which = f"{found.unread} of {studies(len(found.studies))}"
                print(f"unchanged since the last check, and so not read: {which}; read all by --again")
        return int(any(verdict.status == "refused" for verdict in [*found.studies, *found.columns]))

    def _read(self) -> LastCheck:
        """Read what changed, or all, with the libraries that this takes."""
        from scanweave.engine.progress import counted
        from scanweave.studies.checks.cohort_check import check_all
        from scanweave.studies.cohort import Cohort

        cohort = Cohort.open(self.cohort)
        with counted("studies checked", shown=not self.json) as progress:
            return check_all(cohort, self.again, WORKERS if self.workers is None else self.workers, progress)

    def _refuse_idle(self) -> None:
        """Refuse workers where there is nothing to read."""
        if self.workers is not None:
            from scanweave.studies.cohort import Cohort

            if not any(column.kind.files for column in Cohort.open(self.cohort).present()):
                raise ScanweaveError("--workers", "has no effect: the cohort has no files to read", "Leave it out")


@dataclass
class SplitCohort:
    """Divide the patients of a cohort into folds; the same seed gives the same folds everywhere.

    Patients whom the source sets aside for testing (imagesTs, or "test" in a column of parts) test in every fold, as do
    those whom --test names.
    """

    cohort: Positional[CohortFolder]
    """Folder of the cohort."""
    folds: Annotated[int | None, arg(help_behavior_hint="(default: 5; of five patients or fewer, one each)")] = None
    """Number of folds; in each, one is the test part and the next one the validation part."""
    leave_one_out: bool = False
    """One fold per patient."""
    seed: int = 0
    """What the folds are drawn from."""
    validation: bool = True
    """Whether each fold sets patients aside for validation, by which a fit keeps its best weights, not its last."""
    stratify: Annotated[tuple[str, ...], arg(metavar="COLUMN …", help_behavior_hint="")] = ()
    """Columns whose values each fold has in like shares: a label, "label" for the only one, "table:sex", a scan."""
    by: Annotated[str | None, arg(metavar="COLUMN", help_behavior_hint="")] = None
    """Column of which each value is one fold, such as "table:hospital": its patients test, and of the others one in
    five validates."""
    group: Annotated[tuple[str, ...], arg(metavar="COLUMN …", help_behavior_hint="")] = ()
    """Columns of which patients with one value stay in one fold, such as "table:hospital"."""
    test: Annotated[tuple[str, ...], arg(metavar="PATIENT …", help_behavior_hint="")] = ()
    """Patients who test in every fold and never train, such as P02 P05."""
    again: bool = False
    """Replace folds that are there already."""

    def run(self) -> int:
        """Write `splits.json`.

        Raises:
            ScanweaveError: There are other splits already, and `again` is not set; or an option has no effect.
        """
        from scanweave import wording
        from scanweave.studies.cohort import Cohort
        from scanweave.studies.cohort_splits import fold_lines, part_lines, split_by_column, split_cohort
        from scanweave.studies.splits import Part, write_splits

        if self.leave_one_out and (self.folds is not None or self.stratify):
            option = "--folds" if self.folds is not None else "--stratify"
            raise ScanweaveError(
                option, "has no effect with --leave-one-out: a patient is a fold", "Leave one of them out"
            )
        cohort = Cohort.open(self.cohort)
        held = cohort.held_out
        patients = sorted(set(cohort.patients).difference(held, self.test))
        asked: Any = {name: getattr(self, name) for name in ("seed", "validation", "stratify", "test")}
        if self.by is not None:
            self._refuse_beside_by()
            splits = split_by_column(cohort, self.by, **asked)
        else:
            folds = len(patients) if self.leave_one_out else self.folds
            splits = split_cohort(cohort, folds, group=self.group, **asked)
        write_splits(cohort.folder, splits, again=self.again)
        parts: list[Part] = ["train", "validation", "test"] if splits.validation else ["train", "test"]
        sizes = {part: len(splits.patients(part, 0)) for part in parts}
        shown = ", ".join(f"{size} {part}" for part, size in sizes.items())
        who = wording.count(len(patients), "patient")
        print(f"{who} in {splits.folds} folds from seed {self.seed}; fold 0: {shown}")
        for line in fold_lines(cohort, splits):
            print(line)
        if self.validation and not splits.validation:
            print(self._of_few(splits.folds))
        if splits.validation and sizes["train"] < FEW_TRAINING_PATIENTS:
            more = sizes["train"] + sizes["validation"]
            print(f"{wording.count(sizes['train'], 'patient')} to train on is little: --no-validation leaves {more}")
        if held:
            stay = "stays" if len(held) == 1 else "stay"
            print(f"{wording.count(len(held), 'patient')} {stay} the test part of every fold, as the source says")
        if self.test:
            print(f"{wording.count(len(splits.test), 'patient')} test in every fold, as --test says")
        print("\n".join(part_lines(cohort)))
        print(f"next: scanweave fit SYSTEM --cohort {cohort.folder} --run RUN; scanweave systems lists what there is")
        return 0

    def _refuse_beside_by(self) -> None:
        """Refuse options that say in another way what a fold is."""
        others = {"--folds": self.folds is not None, "--leave-one-out": self.leave_one_out, "--group": bool(self.group)}
        for option, given in others.items():
            if given:
                raise ScanweaveError(option, "has no effect with --by: a value is a fold", "Leave one of them out")
        if self.stratify and not self.validation:
            raise ScanweaveError("--stratify", "has no effect with --by where nobody validates", "Leave it out")

    def _of_few(self, folds: int) -> str:
        """Return that none is set aside for validation, and what would change it."""
        from scanweave.wording import count

        if self.by is not None:
            return "few patients only, and none set aside for validation"
        overruled = f"; --folds {folds} sets one aside" if folds > 2 else ""
        who = count(folds, "group" if self.group else "patient")
        return f"{who} only: one a fold, and none set aside for validation{overruled}"


@dataclass
class ShowCohort:
    """Show what is in a cohort."""

    cohort: Positional[CohortFolder]
    """Folder of the cohort."""
    studies: Annotated[int | None, arg(help_behavior_hint="(default: 20)")] = None
    """How many studies to list."""

    def run(self) -> int:
        """Print counts and a table of the images that are there.

        Raises:
            ScanweaveError: There are no files to list, and yet it is said how many studies.
        """
        from scanweave import wording
        from scanweave.studies.cohort import Cohort
        from scanweave.studies.cohort_splits import part_lines
        from scanweave.studies.label_values import summarise_label
        from scanweave.studies.tables.schema import read_schema

        cohort = Cohort.open(self.cohort)
        present = cohort.present()
        sizes = f"{wording.studies(len(cohort))} of {wording.count(len(cohort.patients), 'patient')}"
        print(f"{cohort.about.get('name', cohort.folder.name)}: {sizes}")
        shown = {
            column: number for column, number in present.items() if column.kind.files or column.kind.name == "text"
        }
        if self.studies is not None and (self.studies < 0 or not shown):
            reason = "has no effect: the cohort has no files to list" if not shown else f"{self.studies} is less than 0"
            raise ScanweaveError("--studies", reason, "Leave it out")
        if shown:
            films = cohort.films
            print(
                " · ".join(
                    f"{'film ' if column.heading in films else ''}{column.shown} {number}"
                    for column, number in shown.items()
                )
            )
            print(f"files in {cohort.root}")
            _print_presence(cohort, list(shown), LISTED_STUDIES if self.studies is None else self.studies)
        try:
            parts = part_lines(cohort) or ["  not split yet: scanweave cohort split does it, or the first fit"]
        except ScanweaveError as error:  # splits of other patients hinder no look
            parts = [f"  {error}"]
        print("\n".join(parts))
        if cohort.names("boxes"):
            from scanweave.studies.box_counts import count_boxes

            print(f"  boxes {count_boxes(cohort)}")
        for name in cohort.names("label"):
            print(f"  label {summarise_label(cohort.frame, name).line()}")
        schema = read_schema(cohort.folder)
        for column in schema.columns if schema else ():
            print(f"  {column.line()}")
        return 0


COMMANDS: dict[str, type] = {
    "import": ImportCohort,
    "check": CheckCohort,
    "split": SplitCohort,
    "show": ShowCohort,
    "prepare": PrepareCohort,
    "restore": RestoreCohort,
}


def _print_verdicts(verdicts: list[Any], what: str) -> None:
    from collections import Counter

    from rich.markup import escape
    from rich.table import Table

    table = Table(what, "verdict", "found → done, or what to do", box=None, pad_edge=False, header_style="bold")
    many = len(verdicts) > MOST_LISTED_STUDIES
    for verdict in (one for one in verdicts if not many or one.status != "ok"):
        style = _STYLES[verdict.status]
        words = "\n".join(escape(str(finding)) for finding in verdict.findings)
        table.add_row(escape(verdict.study), f"[{style}]{verdict.status}[/]", words)
    if table.row_count:
        _print_table(table)
    counts = Counter(verdict.status for verdict in verdicts)
    print(" · ".join(f"{counts[status]} {status}" for status in _STYLES if counts[status]))


def _print_presence(cohort: Any, columns: list[Any], rows: int) -> None:
    from rich.table import Table

    names = [column.shown for column in columns]
    table = Table("study", "patient", *names, box=None, pad_edge=False, header_style="bold")
    for row in cohort.frame.head(rows).to_dict("records"):
        marks = [_mark(cohort, column, row[column.heading]) for column in columns]
        table.add_row(row["study"], row["patient"], *marks)
    _print_table(table)
    if len(cohort) > rows:
        print(f"… and {len(cohort) - rows} more")


def _mark(cohort: Any, column: Any, cell: object) -> str:
    """Return how a table shows that a study has an image: of a series by its frames, as its header tells them."""
    from scanweave.studies.columns import KINDS
    from scanweave.studies.formats.image_reader import count_frames

    if not isinstance(cell, str):
        return "·"
    frames = count_frames(cohort.root / cell) if column.kind is KINDS["scan"] else None
    return f"{frames} frames" if frames else "✓"


def _print_table(table: Any) -> None:
    """Print without the blanks that rich puts at the end of lines."""
    from rich.console import Console

    console = Console(width=None if _is_terminal() else 200)
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _is_terminal() -> bool:
    import sys

    return sys.stdout.isatty()
