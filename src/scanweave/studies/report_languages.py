"""Name the headings and abbreviations of radiology reports in a language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Denials:
    """Words by which a language says that something is absent, lower case.

    Attributes:
        before: Words that deny what follows them.
        after: Words that deny what stands before them.
        seeming: Phrases that hold one of these and deny nothing; `…` stands for up to three words.
        ends: Words at which what is denied ends.
    """

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    seeming: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()


@dataclass(frozen=True)
class Language:
    """Language of reports, as far as their structure needs it; make one of your own for others.

    Attributes:
        headings: Words that head a section, lower case, by the section's key. A heading that is listed under two keys
            gives its text to both.
        abbreviations: What ends with a full stop and does not end a sentence, lower case, without the last stop.
        ordinals: Whether `3.` before a noun is an ordinal ("3. Rippe"), and so ends no sentence.
        denials: How it says that something is absent.
    """

    headings: Mapping[str, tuple[str, ...]]
    abbreviations: frozenset[str]
    ordinals: bool = False
    denials: Denials = Denials()


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
    denials=Denials(
        before=(
            "no",
            "not",
            "without",
            "negative for",
            "free of",
            "free from",
            "clear of",
            "absence of",
            "rather than",
            "lack of",
            "lacks",
            "devoid of",
            "fails to show",
            "neither",
            "nor",
        ),
        after=(
            "not seen",
            "not identified",
            "not visible",
            "not visualized",
            "not present",
            "not demonstrated",
            "not evident",
            "not appreciated",
            "not noted",
            "no longer seen",
            "no longer visible",
            "no longer identified",
            "no longer present",
            "absent",
            "excluded",
            "ruled out",
            "unlikely",
            ": none",
        ),
        seeming=(
            "no … change",
            "no … increase",
            "no … decrease",
            "no … improvement",
            "no … comparison",
            "no … comparisons",
            "no … prior",
            "no … priors",
            "no … previous",
            "no other",
            "not … changed",
            "not … increased",
            "not … decreased",
            "not … resolve",
            "not … available",
            "not … included",
            "not certain",
            "not only",
            "not necessarily",
            "not … excluded",
            "not … ruled out",
            "cannot … excluded",
            "cannot … ruled out",
            "excluded on",
            "without … change",
            "without … contrast",
        ),
        ends=(
            "but",
            "however",
            "although",
            "though",
            "except",
            "apart from",
            "aside from",
            "other than",
            "with the exception of",
            "whereas",
            "while",
            "otherwise",
            "there is",
            "there are",
            "is seen in",
            "which",
            ";",
        ),
    ),
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
    denials=Denials(
        before=("kein", "keine", "keinen", "keiner", "keines", "keinerlei", "nicht", "ohne", "weder", "frei von"),
        after=(
            "nicht nachweisbar",
            "nicht abgrenzbar",
            "nicht erkennbar",
            "nicht sichtbar",
            "nicht nachzuweisen",
            "nicht vorhanden",
            "ausgeschlossen",
        ),
        seeming=(
            "keine … änderung",
            "keine … veränderung",
            "keine … voruntersuchung",
            "keine … voraufnahmen",
            "nicht … ausgeschlossen",
            "nicht … auszuschließen",
            "nicht sicher",
            "ohne … kontrastmittel",
        ),
        ends=("aber", "jedoch", "sondern", "außer", "bis auf", "abgesehen von", "ansonsten", "hingegen", ";"),
    ),
)
