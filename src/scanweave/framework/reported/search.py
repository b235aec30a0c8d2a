"""Studies found by words, or by their likeness to another study: a table, and a page with their pictures."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pandas as pd

from scanweave.errors import ScanweaveError
from scanweave.files import atomic_folder, write_json
from scanweave.framework.reported.image_index import ImageIndex, Looking, index_images
from scanweave.framework.reported.tokens import ReportTokenizer
from scanweave.framework.reported.zero_shot import Vectors
from scanweave.report.blocks import Block, Caution, Figure, Section, Table
from scanweave.report.contact_sheet import contact_sheet
from scanweave.report.page import write_report
from scanweave.report.provenance import run_provenance
from scanweave.report.saving import save_table
from scanweave.studies.cohort import Cohort
from scanweave.studies.previews import middle_slice
from scanweave.wording import count, listed, nearest

Say = Callable[[str], None]
TABLE, ABOUT, PAGE = "search.csv", "search.json", "search.html"
MOST_PICTURES = 48
"""Of studies on a page; all are in its table."""
LEAST_SPREAD = 0.05
"""Difference between the likest and the least like study below which nothing is told apart."""
WORD = re.compile(r"[^\W_]+")
WARNING = (
    "These studies are the likest that there are; whether they show what was looked for is for a reader to say. A "
    "network that reads words as a bag may rank what a sentence denies as high as what it says."
)


class WordReader(Protocol):
    """Reads sentences."""

    @property
    def tokenizer(self) -> ReportTokenizer:
        """Cuts them into pieces."""
        ...

    def sentences(self, several: list[str]) -> Vectors:
        """Return the vectors of sentences `(N, d)`."""
        ...


class Searching(Looking, Protocol):
    """A fitted run by which studies are searched."""

    @property
    def reader(self) -> WordReader:
        """Reads sentences."""
        ...


def search_cohort(
    fitted: Searching, cohort: Cohort, out: Path, *, words: str = "", like: str = "", most: int = 12, say: Say = print
) -> pd.DataFrame:
    """Find the studies of a cohort that are most like some words, or like a study; write a table and a page.

    Args:
        fitted: The fitted run.
        cohort: The studies.
        out: A new folder.
        words: What is looked for; or
        like: the name of a study of the cohort, which is not found itself.
        most: Studies to find.
        say: Takes lines on what is found.

    Returns:
        `rank, study, patient, likeness`.

    Raises:
        ScanweaveError: Not just one of words and a study is given, the study is not there, the run knows none of the
            words, or the folder is there already.
    """
    if bool(words.strip()) == bool(like):
        raise ScanweaveError("search", "takes words, or a study", 'Such as "pleural effusion", or --like STUDY')
    if most < 1:
        raise ScanweaveError("most", f"{most} studies", "Give 1 or more")
    if out.exists():
        raise ScanweaveError(out, "exists already", "Choose another --out, or remove it")
    if like and like not in cohort.studies:
        raise ScanweaveError("like", f"there is no study '{like}'", nearest(like, cohort.studies))
    cautions = unknown_words(fitted.reader.tokenizer, words, "search") if words else []
    index = index_images(fitted, cohort, say)
    if like and like not in index.studies:
        raise ScanweaveError(like, "could not be looked at", "Name another study")
    vector = fitted.reader.sentences([words])[0] if words else index.vectors[index.studies.index(like)]
    table = index.likest(vector, most, [like] if like else [])
    others = index.likest(vector, len(index.studies), [like] if like else [])["likeness"]
    if len(others) > 1 and others.iloc[0] - others.iloc[-1] < LEAST_SPREAD:
        cautions.append("All studies are nearly equally like what was looked for: their order means nothing.")
    for caution in cautions:
        say(f"caution: {caution}")
    asked = {"words": words, "like": like, "cohort": cohort.digest, "studies": len(index.studies)}
    with atomic_folder(out) as folder:
        save_table(table, folder / TABLE)
        write_json(folder / ABOUT, {"format": 1, **asked})
        _write_page(fitted, cohort, folder / PAGE, words or f"like {like}", (index, table, cautions))
    for row in table.to_dict("records"):
        say(f"{row['rank']:>3}  {row['study']}  likeness {row['likeness']:.3f}")
    return table


def unknown_words(tokenizer: ReportTokenizer, words: str, field: str) -> list[str]:
    """Return a caution on words that are nothing but letters to the network; none where all are known.

    Raises:
        ScanweaveError: None of them is known.
    """
    unknown = tokenizer.unknown(words)
    if unknown and len(unknown) == len(WORD.findall(words)):
        reason = f"'{words}': the run knows none of these words, from the reports that it learnt from"
        raise ScanweaveError(field, reason, "Use words that its reports have often")
    return (
        [f"Hardly a report that the run learnt from has {listed(unknown)}: the rest is looked for."] if unknown else []
    )


def _write_page(
    fitted: Searching, cohort: Cohort, path: Path, asked: str, found: tuple[ImageIndex, pd.DataFrame, list[str]]
) -> None:
    index, table, cautions = found
    rows = table.to_dict("records")
    blocks: list[Block] = [Caution(WARNING), *map(Caution, cautions)]
    pictures = []
    for row in rows[:MOST_PICTURES]:
        scans = cohort[str(row["study"])].only(fitted.plan.scans).scans
        title = f"{row['rank']}. {row['study']}\nlikeness {row['likeness']:.3f}"
        pictures.append((title, middle_slice(next(iter(scans.values())))))
    caption = "The likest studies, in order; of several images the first; of a volume its middle."
    blocks.append(Figure(contact_sheet(pictures), caption, caption))
    blocks.append(Table(rows, "The same as a table.", {"likeness": "{:.3f}"}))
    lead = f"The likest {len(rows)} of {count(len(index.studies), 'study', 'studies')}."
    about = run_provenance(fitted.run.record, fitted.run.config)
    write_report(path, f"Search: {asked}", lead, [Section("Found", "", blocks)], about)
