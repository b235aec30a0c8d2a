"""The shortcut audit: marks pasted in and masked, evidence mapped, the site probed, by dose, into a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scanweave.audit import shortcut_page
from scanweave.audit.evidence_maps import evidence_rows, occlusion_windows
from scanweave.audit.mark_trials import INSERTION, REMOVAL, MarkTrials, TriedRun
from scanweave.audit.marked_films import FilmPool, chosen_marks
from scanweave.audit.settings import ShortcutSettings
from scanweave.audit.shortcut_results import Example, MappedFilm, ShortcutAudit
from scanweave.audit.shortcut_tables import (
    TRANSPLANTS,
    dose_table,
    evidence_table,
    flip_table,
    masking_table,
    plain,
)
from scanweave.audit.shortcut_words import verdicts
from scanweave.audit.site_probe import (
    FILMS_PER_FILM,
    embedding_of,
    has_embedding,
    plain_statistics,
    probe,
    probed_films,
    site_values,
)
from scanweave.audit.told_findings import ToldFinding, answering, common_scans, known_truths, told_findings
from scanweave.errors import ScanweaveError
from scanweave.files import atomic_folder, write_json
from scanweave.framework.classification.answers import Answering
from scanweave.report.saving import save_table
from scanweave.studies.cohort import Cohort
from scanweave.wording import count, nearest

JSON, PAGE, TABLE = "shortcuts.json", "shortcuts.html", "shortcuts.csv"
MOST_EXAMPLES, MOST_MAPPED = 6, 6
"""Films that a page shows, at most."""
Say = Callable[[str], None]


def audit_shortcuts(
    fitted: Mapping[str, Any], cohort: Cohort, settings: ShortcutSettings, say: Say = print
) -> ShortcutAudit:
    """Try what runs look at on films with marks.

    Args:
        fitted: Runs by name, each as `Answering` says.
        cohort: Films with boxes of marks, and of findings where these are boxed.
        settings: What is tried, and on how much.
        say: Takes a line a stage.

    Raises:
        ScanweaveError: A run does not answer for films, the films have no boxes or no marks, or a name is unknown.
    """
    runs = {name: answering(run, name) for name, run in fitted.items()}
    if settings.doses and len(settings.doses) != len(runs):
        reason = f"{count(len(settings.doses), 'dose')} for {count(len(runs), 'run')}"
        raise ScanweaveError("dose", reason, "Give one a run, in their order")
    site_of = site_values(cohort, settings.site)
    pool = FilmPool(cohort, common_scans(runs), settings.seed)
    tried = _tried_runs(runs, cohort, pool, settings.findings)
    told = {one.name for run in runs.values() for one in told_findings(run)}
    marks = chosen_marks(pool, settings.marks, told)
    trials = MarkTrials(pool, tried, marks, settings.films, settings.seed)
    changed = []
    for mark in marks:
        say(f"{mark}: pasted in and masked, on at most {settings.films} films each")
        changed += list(trials.rows(mark))
    changes = pd.DataFrame(changed)
    if changes.empty:
        reason = f"on no film could {' or '.join(marks)} be pasted in or masked"
        step = "Give films of two or more patients with the mark, and without it, whose boxes are in pixels"
        raise ScanweaveError("marks", reason, step)
    found = ShortcutAudit(changes, flip_table(changes, settings.seed), masking_table(changes, settings.seed))
    found.notes = list(_notes(found, trials))
    found.examples = list(_examples(found, trials))
    for line in [*verdicts(found.flips), *found.notes]:
        say(line)
    _map_evidence(found, trials, settings, say)
    _probe_sites(found, trials, site_of, settings, say)
    if settings.doses:
        found.doses = dose_table(found.flips, found.masking, dict(zip(runs, settings.doses, strict=True)))
    return found


def write_shortcuts(
    folder: Path, found: ShortcutAudit, settings: ShortcutSettings, about: Mapping[str, Any], studies: Mapping[str, Any]
) -> Path:
    """Write tables, `shortcuts.json` and the page into a new folder, whole or not at all; return the page.

    Args:
        folder: The folder to make.
        found: What was found.
        settings: What was tried.
        about: How it came about, by label.
        studies: Which they are and of which run, as plain values.

    Raises:
        ScanweaveError: The folder exists, or cannot be written.
    """
    if folder.exists():
        raise ScanweaveError(folder, "exists already", "Choose another --out, or remove it")
    tables = {"masking": plain(found.masking), "evidence": plain(found.evidence), "dose": plain(found.doses)}
    tables["site"] = plain(pd.DataFrame([{"run": name, **one._asdict()} for name, one in found.sites.items()]))
    tables = {name: table for name, table in tables.items() if not table.empty}
    flips = plain(found.flips)
    with atomic_folder(folder) as temporary:
        save_table(flips, temporary / TABLE)
        save_table(found.changes, temporary / "films.csv")
        for name, table in tables.items():
            save_table(table, temporary / f"{name}.csv")
        if not found.maps.empty:
            save_table(found.maps, temporary / "maps.csv")
        content = {"format": 1, "about": dict(about), "studies": dict(studies)}
        content |= {"settings": settings.model_dump(mode="json"), "notes": found.notes}
        content |= {name: _records(table) for name, table in {"shortcuts": flips, **tables}.items()}
        write_json(temporary / JSON, {**content, "summary": verdicts(found.flips)})
        shortcut_page.write(temporary / PAGE, found, settings, about, studies)
    return folder / PAGE


def _tried_runs(
    runs: Mapping[str, Answering], cohort: Cohort, pool: FilmPool, asked: Sequence[str]
) -> dict[str, TriedRun]:
    """Return the runs with the findings that are asked for, or all, and what is known of each study.

    A box says that a film has a finding; where it has none its label does, or, of a finding that is boxed in any film,
    that it was looked at.
    """
    told = {name: told_findings(run) for name, run in runs.items()}
    known = dict.fromkeys(one.name for findings in told.values() for one in findings)
    for name in asked:
        if name not in known:
            raise ScanweaveError("findings", f"no run tells '{name}'", nearest(name, known))
    tried = {}
    for name, run in runs.items():
        findings = [one for one in told[name] if not asked or one.name in asked]
        labelled = known_truths(run, findings, cohort)
        tried[name] = TriedRun(run, findings, {one.name: _truths(one, labelled, cohort, pool) for one in findings})
    return tried


def _truths(
    told: ToldFinding, labelled: Mapping[str, np.ndarray[Any, np.dtype[np.float64]]], cohort: Cohort, pool: FilmPool
) -> dict[str, float]:
    boxed = pool.having([told.name])
    seen = {study: float(told.name in classes) for study, classes in pool.classes.items()} if boxed else {}
    by_label = dict(zip(cohort.studies, labelled[told.name].tolist(), strict=True))
    by_label = {study: value for study, value in by_label.items() if not np.isnan(value)}
    return seen | by_label | dict.fromkeys(boxed, 1.0)


def _notes(found: ShortcutAudit, trials: MarkTrials) -> Iterator[str]:
    if trials.pool.left_out:
        name, reason = next(iter(trials.pool.left_out.items()))
        yield f"left out: {count(len(trials.pool.left_out), 'film')}, such as {name}: {reason}"
    tried = {(row["mark"], row["direction"]) for row in found.flips.to_dict("records")}
    for mark in trials.marks:
        if (mark, INSERTION) not in tried:
            yield f"no film lacks {mark}, or no donor fits: it was only masked"
        if (mark, REMOVAL) not in tried:
            yield f"{mark} could be masked on no film"


def _examples(found: ShortcutAudit, trials: MarkTrials) -> Iterator[Example]:
    """Return a film of each finding, mark and direction, a call that flips where there is one; the found ones first."""

    def order(row: dict[str, Any]) -> tuple[bool, bool, float]:
        return not row["found"], row["direction"] == REMOVAL, -abs(row["log-odds excess"].value)

    for row in sorted(found.flips.to_dict("records"), key=order)[:MOST_EXAMPLES]:
        key = {name: row[name] for name in TRANSPLANTS}
        group = found.changes[(found.changes[list(key)] == pd.Series(key)).all(axis=1)]
        still = group["called control"] == group["called before"]
        moved = (group["log-odds after"] - group["log-odds before"]).abs()
        flipped = still & (group["called after"] != group["called before"])
        chosen = group.assign(flipped=flipped, moved=moved).sort_values(["flipped", "moved"], ascending=False)
        one = chosen.iloc[0].to_dict()
        film = trials.pool.film(one["study"])
        pair = None if film is None else trials.pair(film, one["mark"], one["direction"])
        if film is not None and pair is not None:
            yield Example(
                **key,
                study=one["study"],
                images=(film.image(), pair.changed, pair.control),
                boxes=(pair.boxes, pair.control_boxes),
                shares=(one["before"], one["after"], one["control"]),
                called=(one["called before"], one["called after"], one["called control"]),
            )


def _map_evidence(found: ShortcutAudit, trials: MarkTrials, settings: ShortcutSettings, say: Say) -> None:
    if not settings.maps:
        return
    answers = len(occlusion_windows((1000, 1000)))
    say(f"evidence: at most {count(settings.maps, 'film')} of each finding, {answers} answers a film")
    rows, shown = [], dict[tuple[str, str], int]()
    for row, one in evidence_rows(trials, settings.maps):
        rows.append(row)
        key, film = (row["run"], row["finding"]), trials.pool.film(row["study"])
        if film is not None and shown.get(key, 0) < 1 and one.mass > 0 and len(found.mapped) < MOST_MAPPED:
            shown[key] = 1
            boxes = film.corners([row["finding"]]), film.corners(trials.marks)
            found.mapped.append(MappedFilm(*key, row["study"], film.image(), one.picture(film.size), *boxes))
    if not rows:
        found.notes.append("no film has a box of a finding: where evidence lies was not mapped")
        say(found.notes[-1])
        return
    found.maps = pd.DataFrame(rows)
    found.evidence = evidence_table(found.maps, settings.seed)
    for row in found.evidence.to_dict("records"):
        say(f"{row['run']}, {row['finding']}: evidence inside boxes {row['inside']}, even map {row['inside, even']}")


def _probe_sites(
    found: ShortcutAudit, trials: MarkTrials, site_of: Mapping[str, str], settings: ShortcutSettings, say: Say
) -> None:
    if not site_of:
        return
    films = probed_films(trials.pool, site_of, FILMS_PER_FILM * settings.films)
    able = {name: one.run for name, one in trials.runs.items() if has_embedding(one.run)}
    if not films or not able:
        reason = "no run gives its features" if films else "the films are not of two sites, or of too few patients"
        found.notes.append(f"site not probed: {reason}")
        say(found.notes[-1])
        return
    names, patients = [site_of[film.study.id] for film in films], [film.study.patient for film in films]
    statistics = np.stack([plain_statistics(film.image()) for film in films])
    for name, run in able.items():
        features = np.stack([embedding_of(run, film.study) for film in films])
        found.sites[name] = probe(features, statistics, names, patients, settings.seed)
        one = found.sites[name]
        say(f"{name}: site told from its features, AUROC {one.features}; from plain statistics {one.statistics}")


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return table.astype(object).where(table.notna(), None).to_dict("records")
