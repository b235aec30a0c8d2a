"""Parts of a report: sections of figures, tables, texts, cautions and key numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib.figure


@dataclass(frozen=True)
class Figure:
    """A picture with its caption.

    Attributes:
        picture: A matplotlib figure, or the bytes of a PNG or JPEG.
        caption: What is to be seen and what it means.
        alt: The same for those who cannot see it; required.
        vector: Whether a matplotlib figure is drawn as SVG (lines and text) rather than PNG (scans and maps).
    """

    picture: matplotlib.figure.Figure | bytes
    caption: str
    alt: str
    vector: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of figures.

    Attributes:
        rows: One mapping a row; the columns are those of the first. A `pandas.DataFrame` gives them by
            `to_dict("records")`.
        caption: What the table holds.
        formats: Format of a column, such as `{"psnr": "{:.1f}"}`; also applied to the parts of an interval.
        limit: Rows beyond this are left out, and the table says so.
        folded: Whether a reader opens it by its caption; a printed page shows the caption.
    """

    rows: Sequence[Mapping[str, Any]]
    caption: str
    formats: Mapping[str, str] = field(default_factory=dict)
    limit: int = 200
    folded: bool = False


@dataclass(frozen=True)
class Text:
    """Plain paragraphs, parted by empty lines."""

    text: str


@dataclass(frozen=True)
class Caution:
    """A warning to be read before what follows, set in a box."""

    text: str


@dataclass(frozen=True)
class KeyNumbers:
    """The few figures to remember.

    Attributes:
        items: `(label, value, note)`, the value a number, a string or an interval.
        formats: Format of the value with a label, as in a table.
    """

    items: Sequence[tuple[str, Any, str]]
    formats: Mapping[str, str] = field(default_factory=dict)


Block = Figure | Table | Text | Caution | KeyNumbers


@dataclass(frozen=True)
class Section:
    """A part of the report with its own entry in the contents.

    Attributes:
        title: A few words.
        lead: One or two sentences: what this section shows.
        blocks: What it holds, in order.
    """

    title: str
    lead: str = ""
    blocks: Sequence[Block] = ()
