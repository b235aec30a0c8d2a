"""`scanweave rank`: order the sequences by what they carry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg


@dataclass
class Rank:
    """Order the sequences: how well each makes the others (C_t), how hard each is to make (C_d), with intervals."""

    folder: Annotated[Positional[Path], arg(name="run", metavar="RUN")]
    """Folder of the run."""
    cohort: Path
    """Folder of the cohort."""
    out: Path | None = None
    """Folder to make; RUN/ranking if not given."""
    part: Literal["train", "validation", "test", "all", "unseen"] | None = None
    """Which part of the run's fold; if not given, the test part of the run's own cohort, all unseen of another."""
    region: Literal["brain", "box", "volume"] = "brain"
    """Where quality is measured."""
    diagonal: Literal["exclude", "in_norm", "include"] = "exclude"
    """Reconstructions of a sequence from itself: left out, only in the z-scores' mean and spread, or in the sums."""
    normalise_by: Literal["rows", "pairs"] = "rows"
    """z-scores over all rows of the table, as published, or over the means of pairs."""
    divide_by: Literal["N", "N-1"] = "N"
    """The number of sequences, as published, or one less."""
    repeats: int = 2000
    """Resamples of patients behind the intervals."""
    seed: int = 0
    """Seed of these resamples."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes the fastest that is there."""

    def run(self) -> int:
        """Rank, and say where the table is."""
        from scanweave import api
        from scanweave.studies.cohort import Cohort

        system = api.open_run(self.folder, self.device, "rank")
        names = ("part", "region", "diagonal", "normalise_by", "divide_by", "repeats", "seed")
        system.rank(Cohort.open(self.cohort), self.out, **{name: getattr(self, name) for name in names})
        print(f"wrote {self.out or self.folder / 'ranking'} · next: scanweave report {self.folder}")
        return 0


COMMAND = Rank
