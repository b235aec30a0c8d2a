"""`scanweave cohort`: take studies in, check them, split them, show them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tyro.conf import Positional

_STYLES = {"ok": "green", "repaired": "cyan", "suspect": "yellow", "refused": "bold red"}


@dataclass
class ImportCohort:
    """Make a cohort of the studies in a folder or table; no image is opened, copied or changed."""

    src: Positional[tuple[Path, ...]]
    """Folder of studies (nnU-Net raw, Decathlon, BIDS, one folder per subject, all in one) or a .csv or .tsv table."""
    out: Path
    """Folder that the cohort is written to."""
    layout: Literal["nnunet", "decathlon", "bids", "folders", "flat", "table"] | None = None
    """How the source is laid out; recognised if not given."""
    rename: str | None = None
    """What words of file names mean: "fla=flair,T1POST=t1c"; "mask:NAME" for a label map, "-" to leave files out."""
    leave_out: tuple[str, ...] = ()
    """Studies to drop, such as "*_native"."""
    patient: str | None = None
    """Regular expression that finds the patient in the name of a study: "^[^_]+" takes what is before the first _."""
    name: str | None = None
    """Name of the cohort; that of the source's folder if not given."""

    def run(self) -> int:
        """Import, and say what was found and how names were understood."""
        from scanweave.studies.layouts import list_studies, parse_rename

        listing = list_studies(
            self.src,
            layout=self.layout,
            rename=parse_rename(self.rename),
            leave_out=self.leave_out,
            patient=self.patient,
        )
        cohort = listing.write(self.out, self.name)
        print("\n".join(listing.report()))
        print(f"wrote {cohort.folder} · next: scanweave cohort check {cohort.folder}")
        return 0


@dataclass
class CheckCohort:
    """Check every study: ok, repaired (and how), suspect (and why), refused (and why). Changes no image."""

    cohort: Positional[Path]
    """Folder of the cohort."""
    json: bool = False
    """Print JSON instead of a table."""
    workers: int = 2
    """Studies that are read at once."""

    def run(self) -> int:
        """Check; exit status 1 if a study is refused."""
        from scanweave.engine.progress import counted
        from scanweave.studies.check import check_cohort
        from scanweave.studies.cohort import Cohort

        cohort = Cohort.open(self.cohort)
        if self.json:
            import json

            verdicts = check_cohort(cohort, self.workers)
            print(json.dumps([verdict.to_json() for verdict in verdicts], indent=2, ensure_ascii=False))
        else:
            with counted("studies") as progress:
                verdicts = check_cohort(cohort, self.workers, progress)
            _print_verdicts(verdicts)
        return int(any(verdict.status == "refused" for verdict in verdicts))


@dataclass
class SplitCohort:
    """Divide the patients of a cohort into folds; the same seed gives the same folds everywhere.

    Patients that the source sets aside for testing (imagesTs, or "test" in a column "split") do so in every fold.
    """

    cohort: Positional[Path]
    """Folder of the cohort."""
    folds: int = 5
    """Number of folds; in each, one is the test part and the next one the validation part."""
    leave_one_out: bool = False
    """One fold per patient."""
    seed: int = 0
    """What the folds are drawn from."""
    validation: bool = True
    """Whether each fold sets patients aside for validation."""

    def run(self) -> int:
        """Write `splits.json`."""
        from scanweave.studies.cohort import Cohort
        from scanweave.studies.splits import Part, make_splits, write_splits

        cohort = Cohort.open(self.cohort)
        held = cohort.held_out
        patients = sorted(set(cohort.patients).difference(held))
        folds = len(patients) if self.leave_one_out else self.folds
        splits = make_splits(patients, folds, seed=self.seed, validation=self.validation)
        write_splits(cohort.folder, splits)
        parts: list[Part] = ["train", "validation", "test"] if self.validation else ["train", "test"]
        sizes = ", ".join(f"{len(splits.patients(part, 0))} {part}" for part in parts)
        print(f"{len(patients)} patients in {folds} folds from seed {self.seed}; fold 0: {sizes}")
        if held:
            print(f"{len(held)} patients stay the test part of every fold, as the source says")
        return 0


@dataclass
class ShowCohort:
    """Show what is in a cohort."""

    cohort: Positional[Path]
    """Folder of the cohort."""
    studies: int = 20
    """How many studies to list."""

    def run(self) -> int:
        """Print counts and a table of present scans."""
        from scanweave.studies.cohort import Cohort

        cohort = Cohort.open(self.cohort)
        have = {f"sinogram:{name}": int(cohort.frame[f"sinogram:{name}"].notna().sum()) for name in cohort.sinograms}
        counts = " · ".join(f"{name} {count}" for name, count in {**have, **cohort.counts()}.items())
        print(
            f"{cohort.about.get('name', cohort.folder.name)}: {len(cohort)} studies of {len(cohort.patients)} patients"
        )
        print(f"{counts}\nimages in {cohort.root}")
        _print_presence(cohort, self.studies)
        return 0


COMMANDS: dict[str, type] = {
    "import": ImportCohort,
    "check": CheckCohort,
    "split": SplitCohort,
    "show": ShowCohort,
}


def _print_verdicts(verdicts: list[Any]) -> None:
    from collections import Counter

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("study", "verdict", "found → done, or what to do", box=None, pad_edge=False, header_style="bold")
    for verdict in verdicts:
        style = _STYLES[verdict.status]
        words = "\n".join(escape(str(finding)) for finding in verdict.findings)
        table.add_row(escape(verdict.study), f"[{style}]{verdict.status}[/]", words)
    console = Console(width=None if _is_terminal() else 200)
    console.print(table)
    counts = Counter(verdict.status for verdict in verdicts)
    console.print(" · ".join(f"{counts[status]} {status}" for status in _STYLES if counts[status]))


def _print_presence(cohort: Any, rows: int) -> None:
    from rich.console import Console
    from rich.table import Table

    names = cohort.sequences
    table = Table("study", "patient", *names, box=None, pad_edge=False, header_style="bold")
    for row in cohort.frame.head(rows).to_dict("records"):
        marks = ["✓" if isinstance(row[f"scan:{name}"], str) else "·" for name in names]
        table.add_row(row["study"], row["patient"], *marks)
    console = Console(width=None if _is_terminal() else 200)
    console.print(table)
    if len(cohort) > rows:
        console.print(f"… and {len(cohort) - rows} more")


def _is_terminal() -> bool:
    import sys

    return sys.stdout.isatty()
