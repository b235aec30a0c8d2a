"""`scanweave readers`: a blinded reading study of made and real tumours: build, serve, analyse."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from scanweave.cli.parsing import CohortFolder, Holding

StudyFolder = Annotated[Path, Holding("reading.json")]


@dataclass
class ReadersBuild:
    """Cut out made and real tumours, matched by size and alike in all else, and keep apart which is which."""

    real: CohortFolder
    """Folder of a cohort with drawn tumours."""
    made: CohortFolder
    """Folder of a cohort with made ones, of scanweave synthesize."""
    out: Path
    """Folder to make; it is what is served."""
    key: Path
    """File to write that tells which are made; outside of OUT. Its hash goes into OUT."""
    mask: str = "tumours"
    """Mask of the tumours in both."""
    scan: str | None = None
    """Scan in both; the only one when left out."""
    items: int = 100
    """How many to show, half of them made."""
    repeated: float = 0.08
    """Share that comes twice, to see how far a reader agrees with himself."""
    seed: int = 0
    """Draws the tumours, and the order that each reader sees."""

    def run(self) -> int:
        """Build it, and say how to serve it."""
        from scanweave.reading.build import build_study
        from scanweave.studies.cohort import Cohort

        given = {name: getattr(self, name) for name in ("mask", "scan", "items", "repeated", "seed")}
        about = build_study(Cohort.open(self.real), Cohort.open(self.made), self.out, self.key, **given)
        print(f"wrote {self.out}: {len(about['items'])} items · {self.key}: keep it from readers")
        print(f"next: scanweave readers serve {self.out}")
        return 0


@dataclass
class ReadersServe:
    """Serve a reading study to a browser on this machine; answers are kept one by one. Ctrl-C ends it."""

    folder: Annotated[Positional[StudyFolder], arg(name="study", metavar="STUDY")]
    """Folder of the study."""
    port: int = 0
    """Port; a free one when left out."""

    def run(self) -> int:
        """Serve until it is stopped."""
        from scanweave.reading.answers import ReadingStudy
        from scanweave.web.guard import new_token
        from scanweave.web.reading_page import reading_app
        from scanweave.web.serving import serve

        token = new_token()
        serve(reading_app(ReadingStudy(self.folder), token), self.port, token)
        return 0


@dataclass
class ReadersAnalyse:
    """Say what the readers told: how well they tell made from real, with intervals, and how far they agree."""

    folder: Annotated[Positional[StudyFolder], arg(name="study", metavar="STUDY")]
    """Folder of the study, with its answers."""
    key: Path
    """The key that build wrote."""
    out: Path
    """Folder to make, with a table and a page."""

    def run(self) -> int:
        """Analyse, and say where the page is."""
        from scanweave.reading.analysis import PAGE, analyse
        from scanweave.reading.answers import ReadingStudy

        analyse(ReadingStudy(self.folder), self.key, self.out)
        print(f"wrote {self.out / PAGE}")
        return 0


COMMANDS: dict[str, type] = {"build": ReadersBuild, "serve": ReadersServe, "analyse": ReadersAnalyse}
