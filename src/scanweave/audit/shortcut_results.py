"""Results of a shortcut audit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import pandas as pd

from scanweave.audit.film_changes import Corners, Image
from scanweave.audit.site_probe import Probed


class Example(NamedTuple):
    """Hold a film as it is, with its mark changed, and changed alike in the control.

    Attributes:
        run: Of whose answers it is an example, and
        finding: of which of its findings.
        mark: What was changed.
        direction: Whether the mark was pasted in or masked.
        study: The film.
        images: As it is, changed, and the control `(X, Y)`.
        boxes: Where the second and the third were changed `(N, 2, 2)` [pixel].
        shares: Probability of each.
        called: Whether each is called positive.
    """

    run: str
    finding: str
    mark: str
    direction: str
    study: str
    images: tuple[Image, Image, Image]
    boxes: tuple[Corners, Corners]
    shares: tuple[float, float, float]
    called: tuple[bool, bool, bool]


class MappedFilm(NamedTuple):
    """Hold a film with the map of where the evidence of a finding lies.

    Attributes:
        run: Whose evidence, and
        finding: of what.
        study: The film.
        image: `(X, Y)`.
        map: Drop of the log-odds `(X, Y)`, at least 0.
        lesions: Boxes of the finding `(N, 2, 2)` [pixel], and
        marks: of marks.
    """

    run: str
    finding: str
    study: str
    image: Image
    map: Image
    lesions: Corners
    marks: Corners


@dataclass
class ShortcutAudit:
    """Hold what was found.

    Attributes:
        changes: A row a run, finding, mark, direction and film; see `MarkTrials.rows`.
        flips: See `flip_table`; the figures by which a shortcut is told.
        masking: See `masking_table`.
        maps: A row a run, finding and film; see `evidence_rows`.
        evidence: See `evidence_table`; empty where no film has a finding and its box.
        sites: What a probe of each run tells of the site, by run; empty where there is no site.
        doses: See `dose_table`; empty where none were given.
        examples: Films whose answers the marks move most.
        mapped: Films with their maps.
        notes: What was left out, and why, a line each.
    """

    changes: pd.DataFrame
    flips: pd.DataFrame
    masking: pd.DataFrame
    maps: pd.DataFrame = field(default_factory=pd.DataFrame)
    evidence: pd.DataFrame = field(default_factory=pd.DataFrame)
    sites: dict[str, Probed] = field(default_factory=dict)
    doses: pd.DataFrame = field(default_factory=pd.DataFrame)
    examples: list[Example] = field(default_factory=list)
    mapped: list[MappedFilm] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
