"""`scanweave experiment`: studies of many fits to one cohort."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from scanweave.cli.parsing import CohortFolder, RunFolder, first_line, parse, parse_fields, refuse_absent_folders
from scanweave.errors import ScanweaveError
from scanweave.wording import choice


@dataclass
class Labels:
    """Compare fits from pre-trained weights with fits from random ones, by the number of labelled studies.

    Settings of the fits are given as to scanweave fit, such as --training.steps 500.
    """

    cohort: CohortFolder
    """Folder of a labelled cohort, split."""
    out: Path
    """Folder to make; the same command goes on in it."""
    starts: Annotated[tuple[RunFolder, ...], arg(name="from", metavar="RUN …")]
    """Runs to begin from; random weights in the shape of the first are the control."""
    system: Literal["segment", "classify"] = "segment"
    """What is fitted."""
    counts: Annotated[tuple[str, ...], arg(metavar="NUMBER … all")] = ("1", "2", "4", "8", "16", "all")
    """Labelled studies that train; all: those of the whole training part; of classes each needs one at least."""
    seeds: int = 5
    """Draws of the labelled studies and of the first weights."""
    preset: str | None = None
    """Settings to start from."""
    device: Literal["auto", "cpu", "cuda", "mps"] | None = None
    """Where to compute; auto takes the fastest that is there."""
    fold: int = 0
    """Whose training and test part."""

    @property
    def sizes(self) -> list[int | None]:
        """The counts as numbers; None: all.

        Raises:
            ScanweaveError: One is no number above 0.
        """
        words = [word for given in self.counts for word in given.split(",") if word]
        for word in words:
            if word != "all" and not (word.isdecimal() and int(word)):
                raise ScanweaveError("--counts", f"'{word}' is no number of studies", "Give numbers from 1 on, or all")
        return [None if word == "all" else int(word) for word in words]


COMMANDS: dict[str, type] = {"labels": Labels}


def main(program: str, arguments: list[str]) -> int:
    """Run a study, saying each result."""
    name, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if name in ("-h", "--help"):
        print(
            f"usage: {program} {{{','.join(COMMANDS)}}} [OPTIONS]\n\n  labels  {(Labels.__doc__ or '').splitlines()[0]}"
        )
        return 0
    if name not in COMMANDS:
        raise ScanweaveError(program, f"there is no '{name}'", choice(name, COMMANDS))
    given, more = parse(Labels, f"{program} {name}", rest, extra=True)
    refuse_absent_folders(given)
    sizes, settings = given.sizes, parse_fields(more)
    print(first_line(given, f"{program} {name}"), flush=True)
    from scanweave.configuration import configure, option_layer
    from scanweave.experiments.label_study import LabelStudy
    from scanweave.experiments.labels import run_labels
    from scanweave.studies.cohort import Cohort

    device = [] if given.device is None else [option_layer(given.system, "--device", given.device)]
    layers = [settings, *device]
    configure(given.system, given.preset, layers, None, lambda line: None)  # refuses a setting before any fit
    study = LabelStudy(
        given.system,
        Cohort.open(given.cohort),
        [str(run) for run in given.starts],
        sizes,
        given.seeds,
        given.fold,
        given.preset,
        layers,
    )
    found = run_labels(study, given.out)
    print(f"wrote {found.page}")
    return 0
