"""Comparison of the studies of a cohort: which scans are series, single slices or copies in the light of the others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from scanweave.studies.checks.series_check import SERIES
from scanweave.studies.checks.swapped_names import Profile
from scanweave.studies.findings import Finding
from scanweave.studies.layouts.names import sequence_of


@dataclass(frozen=True)
class Evidence:
    """Evidence of one study's files, before it is compared with the others.

    Attributes:
        study: Its name.
        patient: Whose it is.
        findings: What was found in the study alone.
        frames: Frames of each scan that is a series, and
        timing: what is known of their times or b-values, in words.
        prints: Fingerprint of each scan's voxels.
        profile: How its images look.
        depths: Voxels along the shortest axis of each scan that is no film.
        values: The numbers in each label map, up to `MOST_VALUES`.
        report: Hash of the words of its report; "": it has none, or none that says anything.
    """

    study: str
    patient: str
    findings: tuple[Finding, ...] = ()
    frames: dict[str, int] = field(default_factory=dict)
    prints: dict[str, str] = field(default_factory=dict)
    profile: Profile = field(default_factory=Profile)
    depths: dict[str, int] = field(default_factory=dict)
    values: dict[str, list[int]] = field(default_factory=dict)
    report: str = ""
    timing: dict[str, str] = field(default_factory=dict)


def flat_scans(evidence: Sequence[Evidence]) -> dict[str, list[Finding]]:
    """List single slices of a scan that is a volume in most studies."""
    have = Counter(name for e in evidence for name in e.depths)
    deep = Counter(name for e in evidence for name, depth in e.depths.items() if depth > 1)
    found: dict[str, list[Finding]] = defaultdict(list)
    for e in evidence:
        for name, depth in e.depths.items():
            others = any(own > 1 for own in e.depths.values())
            if depth == 1 and (2 * deep[name] > have[name] or (others and have[name] == 1)):
                words = "a single slice where a volume is expected"
                found[e.study].append(Finding("slices", "refused", words, "Leave it out: a volume is needed", name))
    return found


def series_scans(evidence: Sequence[Evidence]) -> dict[str, list[Finding]]:
    """List the scans that are series: refused where the sequence is a volume in most studies."""
    have = Counter(name for e in evidence for name in {*e.prints, *e.frames})
    as_series = Counter(name for e in evidence for name in e.frames)
    found: dict[str, list[Finding]] = defaultdict(list)
    for e in evidence:
        for name, frames in e.frames.items():
            usual = len(evidence) > 1 and as_series[name] > have[name] / 2
            words = ", ".join([f"a series of {frames} frames", *filter(None, [e.timing.get(name)])])
            if sequence_of(name) in SERIES or usual:
                use = "systems that learn from series use it, the others leave it out"
                found[e.study].append(Finding("series", "ok", words, use, name))
            else:
                words, step = f"{words} where a volume is expected", "Name one by FILE#k in a table"
                found[e.study].append(Finding("series", "refused", words, step, name))
    return found


def copied_scans(evidence: Iterable[Evidence]) -> dict[str, list[Finding]]:
    """List images with the same voxels under two names."""
    by_print: dict[str, list[tuple[Evidence, str]]] = defaultdict(list)
    for e in evidence:
        for name, digest in e.prints.items():
            by_print[digest].append((e, name))
    found: dict[str, list[Finding]] = defaultdict(list)
    for same in by_print.values():
        for e, name in same if len(same) > 1 else ():
            other, twin = next((o, n) for o, n in same if (o, n) != (e, name))
            where = twin if other is e else f"{twin} of {other.study}"
            risk = "" if other.patient == e.patient else ": one patient under two names spoils every split"
            step = f"Keep one of them{risk}"
            found[e.study].append(Finding("copy", "suspect", f"the same voxels as {where}", step, name))
    return found
