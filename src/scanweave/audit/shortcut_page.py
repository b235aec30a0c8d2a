"""The page of a shortcut audit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd

from scanweave.audit.mark_trials import INSERTION
from scanweave.audit.settings import ShortcutSettings
from scanweave.audit.shortcut_figures import dose_plot, example_films, flip_plot, mapped_film
from scanweave.audit.shortcut_results import Example, ShortcutAudit
from scanweave.audit.shortcut_tables import main_rows
from scanweave.audit.shortcut_words import article, verdict
from scanweave.measures.summary import LEAST_PATIENTS_FOR_INTERVAL, sureness
from scanweave.report.blocks import Block, Caution, Figure, KeyNumbers, Section, Table, Text
from scanweave.report.page import write_report
from scanweave.report.runs import tried_on
from scanweave.wording import listed

SHARES = ("flips", "control", "excess", "shift")
POOR_AUROC = 0.55
"""Below it an answer is hardly more than a guess."""
MOST_CAUTIONS = 6
"""Sentences of shortcuts at the top, at most; with many runs the table tells the rest."""
LIMITS = (
    "A mark without a box is not tried: what is found is a lower bound. The grain of a detector, the position of the "
    "patient or the collimation fit in no box either; the site probe sees them, but does not say that a finding leans "
    "on them.",
    "A pasted patch is not a film that was taken so: its grain and its sharpness are the donor's. The control, pasted "
    "alike, tells the mark from the pasting. A fill has no grain at all: compare it with its control alone.",
    "A call flips only near the operating point: where films are far from it, the log-odds move first. A mark that "
    "belongs to the finding, such as a drain to a pneumothorax, flips calls too: whether it may, a reader decides.",
    "Each pair of finding and mark is judged twice at 95 %: of many pairs that do not lean, one in twenty is found by "
    "chance.",
    "Occlusion covers one window at a time: evidence that two places give alike is seen at neither.",
)
Row = dict[str, Any]


def write(
    path: Path,
    found: ShortcutAudit,
    settings: ShortcutSettings,
    about: Mapping[str, Any],
    studies: Mapping[str, Any],
) -> Path:
    """Write the page.

    Args:
        path: The file.
        found: What was found.
        settings: What was tried.
        about: How it came about, by label.
        studies: Which they are and of which run, as plain values.
    """
    sections = [_short(found, studies), _transplants(found)]
    if not found.masking.empty:
        sections.append(_masking(found))
    if not found.evidence.empty:
        sections.append(_evidence(found))
    if found.sites:
        sections.append(_sites(found))
    if not found.doses.empty:
        sections.append(_doses(found))
    told = "\n\n".join([*LIMITS, *(note[0].upper() + note[1:] + "." for note in found.notes)])
    sections.append(Section("What it cannot tell", "", [Text(told)]))
    runs = " and ".join(dict.fromkeys(found.flips["run"]))
    marks = ", or ".join(map(article, dict.fromkeys(found.flips["mark"])))
    subtitle = f"The finding, or {marks}: what {runs} {'looks' if len(set(found.flips['run'])) == 1 else 'look'} at."
    asked = {name: value for name, value in settings.model_dump(mode="json").items() if value not in ([], "")}
    tried = {f"Audit, {name}": _written(value) for name, value in asked.items()}
    return write_report(path, "Shortcut audit", subtitle, sections, {**about, **tried})


def _short(found: ShortcutAudit, studies: Mapping[str, Any]) -> Section:
    rows = main_rows(found.flips)
    several = found.flips["run"].nunique() > 1
    moved = [row for row in rows if row["leans"]]
    blocks: list[Block] = [
        *_not_learnt(found),
        *(Caution(verdict(row, named=several)) for row in moved[:MOST_CAUTIONS]),
    ]
    if len(moved) > MOST_CAUTIONS:
        blocks.append(Text(f"{len(moved) - MOST_CAUTIONS} more of this kind are in the table below."))
    still = [verdict(row, named=several) for row in rows if row not in moved]
    blocks += [Text("\n\n".join(still))] if still else []
    sides = [side for row in rows for side in (row, row["removal"]) if side is not None]
    worst = max(sides, key=lambda side: (side["found"], not isnan(side["excess"].low), side["excess"].value))
    items: list[tuple[str, Any, str]] = [
        ("Excess flip rate", worst["excess"], f"{worst['run']}, {worst['finding']} · {worst['mark']}: the highest"),
        (
            "Shortcuts found",
            f"{len(moved)} of {len(rows)}",
            "pairs of finding and mark" + (", of all runs" if several else ""),
        ),
    ]
    if not found.evidence.empty:
        least = found.evidence.loc[found.evidence["inside, excess"].map(lambda one: one.value).fillna(9).idxmin()]
        even = least["inside, even"].value
        items.append(
            (
                "Evidence on the lesion",
                least["inside"],
                f"{least['run']}, {least['finding']}; an even map has {even:.0%}",
            )
        )
    for name, one in list(found.sites.items())[:1]:
        items.append(("AUROC of the site", one.features, f"from the features of {name}; 0.5 is chance"))
    formats = {"Excess flip rate": "{:.0%}", "Evidence on the lesion": "{:.0%}", "AUROC of the site": "{:.2f}"}
    blocks.append(KeyNumbers(items, formats))
    taken = tried_on({"about": studies, "rows": [{"studies": studies["studies"]}]}) if studies else ""
    few = any(row["films"] < LEAST_PATIENTS_FOR_INTERVAL for row in rows)
    sure = sureness(row["films"] for row in rows) if few else "In brackets 95 % intervals by patient."
    return Section("In short", " ".join(part for part in (taken, sure) if part), blocks)


def _not_learnt(found: ShortcutAudit) -> Iterator[Caution]:
    """Yield what a reader must know first: that a run tells a finding hardly better than chance on these films."""
    if found.masking.empty:
        return
    areas = found.masking.assign(area=found.masking["AUROC"].map(lambda one: one.value))
    means = areas.groupby(["run", "finding"], sort=False)["area"].mean().dropna()
    poor = [f"{finding} {area:.2f} ({run})" for (run, finding), area in means.items() if area < POOR_AUROC]
    if poor:
        yield Caution(
            f"Plainly not learnt: AUROC on these films of {listed(poor)}, where 0.5 is chance. That such a run leans "
            "on no mark is no merit."
        )


def _transplants(found: ShortcutAudit) -> Section:
    lead = (
        "A mark of another patient's film is pasted into a film that has none, at the same relative place; the control "
        "is the same place of a film without the mark. On films that have the mark it is masked; the control is a free "
        "place of the same size. A shortcut is found where the excess over the control, film by film, lies above 0, "
        "in either."
    )
    named = found.flips["run"].nunique() > 1
    rows = [
        _row(row, named, ("direction",), ("flips", "control", "excess", "shift"), found=True)
        for row in _records(found.flips)
    ]
    sides = [
        _row(row, named, ("direction",), ("to positive", "to positive control", "to negative", "to negative control"))
        for row in _records(found.flips)
    ]
    moved = [
        _row(row, named, ("direction",), ("log-odds", "log-odds control", "log-odds excess"))
        for row in _records(found.flips)
    ]
    shares = dict.fromkeys(
        [*SHARES, "to positive", "to positive control", "to negative", "to negative control"], "{:.0%}"
    )
    blocks: list[Block] = [
        Figure(
            flip_plot(found.flips),
            "Share of films whose call at the frozen operating point flips, with 95 % intervals.",
            "Flip rates of every finding and mark beside their controls.",
            vector=True,
        ),
        Table(
            rows,
            "Flip rates, and their excess over the control on the same films, one a patient. Shift: the share of films "
            "called after the change less that of the control; flips to and fro by chance leave it alone.",
            shares,
        ),
        *(Figure(example_films(one), _caption(one), _alt(one)) for one in found.examples),
        Table(
            sides, "Flips by side: of films called negative before, and of those called positive.", shares, folded=True
        ),
        Table(
            moved, "Mean change of the log-odds.", dict.fromkeys(moved[0], "{:.2f}") | {"films": "{:d}"}, folded=True
        ),
    ]
    return Section("A mark pasted in, or masked", lead, blocks)


def _caption(example: Example) -> str:
    changed = f"{article(example.mark)} pasted in" if example.direction == INSERTION else f"the {example.mark} masked"
    return (
        f"{example.study}, {example.run}: {example.finding} before, with {changed}, and the control. Box: the change."
    )


def _alt(example: Example) -> str:
    before, after, control = example.shares
    return f"Three films; probability of {example.finding} {before:.3g}, changed {after:.3g}, control {control:.3g}."


def _masking(found: ShortcutAudit) -> Section:
    lead = (
        "Marks are filled from their surroundings. A run that does not need them keeps its AUROC, and its answers move "
        "no more than when as much is masked elsewhere."
    )
    named = found.masking["run"].nunique() > 1
    sizes = [
        _row(row, named, (), ("log-odds", "log-odds control", "log-odds excess")) for row in _records(found.masking)
    ]
    areas = [_row(row, named, (), ("AUROC", "AUROC masked", "drop", "drop control")) for row in _records(found.masking)]
    three = dict.fromkeys(("AUROC", "AUROC masked", "drop", "drop control"), "{:.3f}")
    two = dict.fromkeys(("log-odds", "log-odds control", "log-odds excess"), "{:.2f}")
    blocks = [
        Table(
            areas, "AUROC on all films that were tried, as they are and with the marks masked; drops are paired.", three
        ),
        Table(sizes, "Mean size of the change of the log-odds on films with the mark.", two),
    ]
    return Section("Without the marks", lead, blocks)


def _evidence(found: ShortcutAudit) -> Section:
    lead = (
        "An eighth of each edge at a time is covered by the mean of its surroundings. What the log-odds then lose is "
        "evidence for the finding. Shares are of windows that touch a box; an even map has the share of such windows."
    )
    named = found.evidence["run"].nunique() > 1
    columns = ("inside", "inside, even", "inside, excess", "on marks", "on marks, even", "on marks, excess")
    rows = [_row(row, named, (), columns) for row in _records(found.evidence)]
    figures = [
        Figure(
            mapped_film(one),
            f"{one.study}, {one.run}. Right: what the log-odds lose, the mean of windows over a place. Blue: boxes of "
            f"{one.finding}; amber: marks.",
            f"A film and the map of the evidence for {one.finding}.",
        )
        for one in found.mapped
    ]
    caption = "Share of the evidence inside the finding's boxes, and on marks where the film has any; means over films."
    return Section("Where the evidence lies", lead, [Table(rows, caption, dict.fromkeys(columns, "{:.0%}")), *figures])


def _sites(found: ShortcutAudit) -> Section:
    rows = [
        {
            "run": name,
            "features": one.features,
            "plain statistics": one.statistics,
            "excess": one.excess,
            "sites": listed(one.sites),
            "films": one.films,
        }
        for name, one in found.sites.items()
    ]
    lead = (
        "A logistic regression of the run's features tells the site of films of patients that it did not see. Features "
        "that tell the site can carry any habit of it. The control is what mean, deviation and percentiles of the grey "
        "values tell."
    )
    formats = dict.fromkeys(("features", "plain statistics", "excess"), "{:.3f}")
    return Section("Does it know the site", lead, [Table(rows, "AUROC of the site, each against the rest.", formats)])


def _doses(found: ShortcutAudit) -> Section:
    lead = "Runs by the number they were trained under, such as the correlation of mark and finding."
    columns = ["finding", "mark", "direction", "dose", "run", "excess", "AUROC"]
    rows = [{name: row[name] for name in columns} for row in _records(found.doses)]
    figure = Figure(
        dose_plot(found.doses),
        "Excess flip rate, and AUROC on the films that were tried, with 95 % intervals.",
        "Excess flip rate and AUROC against dose, a line a finding and mark.",
        vector=True,
    )
    formats = {"excess": "{:.0%}", "AUROC": "{:.3f}", "dose": "{:g}"}
    return Section("Dose and response", lead, [figure, Table(rows, "By dose.", formats)])


def _row(row: Row, named: bool, more: tuple[str, ...], columns: tuple[str, ...], *, found: bool = False) -> Row:
    begun = {"run": row["run"]} if named else {}
    begun |= {name: row[name] for name in ("finding", "mark", *more) if name in row}
    made: Row = begun | {name: row[name] for name in columns}
    return made | ({"found": "YES" if row["found"] else "no"} if found else {}) | {"films": row["films"]}


def _records(table: pd.DataFrame) -> list[Row]:
    return table.to_dict("records")


def _written(value: Any) -> str:
    return listed(map(str, value)) if isinstance(value, list) else str(value)
