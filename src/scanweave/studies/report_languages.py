"""Name the headings and abbreviations of radiology reports in a language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    """Language of reports, as far as their structure needs it; make one of your own for others.

    Attributes:
        headings: Words that head a section, lower case, by the section's key. A heading that is listed under two keys
            gives its text to both.
        abbreviations: What ends with a full stop and does not end a sentence, lower case, without the last stop.
        ordinals: Whether `3.` before a noun is an ordinal ("3. Rippe"), and so ends no sentence.
    """

    headings: Mapping[str, tuple[str, ...]]
    abbreviations: frozenset[str]
    ordinals: bool = False


_COMBINED = ("findings and impression", "findings/impression", "findings & impression", "impression/findings")

_ENGLISH_ABBREVIATIONS = """
    dr drs prof mr mrs ms md st approx ca cf vs resp etc eg ie e.g i.e viz incl fig figs vol ed est max min avg temp pt
    pts hx dx rx tx fx sx ser im img ant post lat sup inf med ext int bilat rt lt l.a r.a
    jan feb mar apr jun jul aug sep sept oct nov dec
"""

_GERMAN_ABBREVIATIONS = """
    dr prof med hr fr ca bzw ggf evtl evt inkl exkl z.b z.n v.a d.h o.g u.a u.u i.v i.d.r a.p p.a o.b o.a m.e z.t s.o
    s.u abb str usw vgl max min re li bds lat dist prox kl gr gel sog mind st
    jan feb mrz apr jun jul aug sep sept okt nov dez
"""

ENGLISH = Language(
    headings={
        "findings": ("findings", "finding", "observations", "observation", "report", *_COMBINED),
        "impression": (
            "impression",
            "impressions",
            "conclusion",
            "conclusions",
            "opinion",
            "assessment",
            "summary",
            "interpretation",
            "impression and recommendation",
            "impression and recommendations",
            *_COMBINED,
        ),
        "indication": (
            "indication",
            "indications",
            "clinical indication",
            "clinical indications",
            "clinical information",
            "clinical history",
            "clinical data",
            "clinical details",
            "clinical statement",
            "patient history",
            "history",
            "reason for exam",
            "reason for examination",
            "reason for the exam",
            "reason for this exam",
            "reason for this examination",
            "reason for study",
            "reason for the study",
        ),
        "comparison": (
            "comparison",
            "comparisons",
            "comparison study",
            "comparison studies",
            "comparison exam",
            "prior studies",
            "previous studies",
            "previous examination",
        ),
        "technique": ("technique", "techniques", "protocol", "procedure", "technical details", "imaging technique"),
        "examination": ("examination", "exam", "exam type", "study", "type of exam", "type of examination"),
        "recommendation": ("recommendation", "recommendations"),
        "addendum": ("addendum", "addenda"),
    },
    abbreviations=frozenset(_ENGLISH_ABBREVIATIONS.split()),
)

GERMAN = Language(
    headings={
        "findings": ("befund", "befunde", "befundbericht", "befund und beurteilung"),
        "impression": (
            "beurteilung",
            "zusammenfassung",
            "zusammenfassende beurteilung",
            "diagnose",
            "fazit",
            "befund und beurteilung",
        ),
        "indication": (
            "indikation",
            "rechtfertigende indikation",
            "fragestellung",
            "klinische fragestellung",
            "klinische angaben",
            "klinische angabe",
            "klinische information",
            "klinik",
            "klinik und fragestellung",
            "klinik/fragestellung",
            "anamnese",
        ),
        "comparison": ("vergleich", "voruntersuchung", "voruntersuchungen", "voraufnahme", "voraufnahmen"),
        "technique": ("technik", "methode", "methodik", "untersuchungstechnik", "protokoll"),
        "examination": ("untersuchung", "untersuchungen", "art der untersuchung"),
        "recommendation": ("empfehlung", "empfehlungen", "procedere"),
        "addendum": ("nachtrag", "addendum"),
    },
    abbreviations=frozenset(_GERMAN_ABBREVIATIONS.split()),
    ordinals=True,
)
