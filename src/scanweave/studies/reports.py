"""Hold a radiologist's report: its text, its sections, its sentences; tell copies and empty ones."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from scanweave.studies.findings import Finding
from scanweave.studies.report_languages import ENGLISH, Language
from scanweave.studies.report_sentences import split_sentences
from scanweave.wording import count

PREAMBLE = "preamble"
"""Key of what stands before the first heading."""

CONTENT = ("findings", "impression", PREAMBLE)
"""Sections that say what is seen."""

NOTHING = frozenset({"none", "na", "n", "a", "nil", "not", "available", "unavailable", "keine", "keiner", "entfällt"})
"""Words of sections that say nothing; what de-identification leaves (`XXXX`, `___`) counts as no word."""


@dataclass(frozen=True)
class Report:
    """One report.

    Attributes:
        text: As it was written.
        sections: Text by section: `findings`, `impression`, `indication`, `comparison`, `technique`, `examination`,
            `recommendation`, `addendum`, and `preamble` before the first heading. No heading: no section.
        language: Its headings and abbreviations.
        terms: Keywords that came with it, such as MeSH terms.
        images: Names of its images.
    """

    text: str
    sections: Mapping[str, str] = field(default_factory=dict)
    language: Language = ENGLISH
    terms: tuple[str, ...] = ()
    images: tuple[str, ...] = ()

    def sentences(self, *sections: str) -> tuple[str, ...]:
        """Return the sentences of these sections in this order; none named: of the whole report, without headings."""
        if not sections and not self.sections:
            return split_sentences(self.text, self.language)
        texts = [self.sections.get(name, "") for name in sections or self.sections]
        return tuple(sentence for text in dict.fromkeys(texts) for sentence in split_sentences(text, self.language))


@dataclass(frozen=True)
class Duplicates:
    """Reports of equal words.

    Attributes:
        groups: Names of the reports of each group of two or more, in order.
        rate: Share of the reports that repeat an earlier one, in [0, 1]; empty reports count neither way.
    """

    groups: tuple[tuple[str, ...], ...]
    rate: float


def parse_report(text: str, language: Language = ENGLISH) -> Report:
    """Return the report in `text` with its sections.

    A heading is one of the language's heading words with a colon: at the start of a line or sentence in any case,
    elsewhere with a capital ("chest pain Findings:"), and in capitals even glued to a word ("effusionIMPRESSION:").
    It needs no colon where it stands alone in its line, or in capitals before a sentence of a text in mixed case.
    Sections of one key are joined. Nothing else is changed: the text of a section is that of the report.
    """
    found = [_heading(match) for match in _pattern(language).finditer(text) if _is_heading(text, match)]
    if not found:
        return Report(text, language=language)
    keys = _keys(language)
    pieces = {PREAMBLE: [text[: found[0][0]]]}
    for (_, stop, name), (end, _, _) in zip(found, [*found[1:], (len(text), 0, "")], strict=True):
        for key in keys[name]:
            pieces.setdefault(key, []).append(text[stop:end])
    joined = {key: "\n".join(filter(None, map(str.strip, parts))) for key, parts in pieces.items()}
    return Report(text, {key: part for key, part in joined.items() if part or key != PREAMBLE}, language)


def report_of_sections(
    sections: Mapping[str, str],
    language: Language = ENGLISH,
    terms: Sequence[str] = (),
    images: Sequence[str] = (),
) -> Report:
    """Return a report whose sections are known, such as columns of a table; the empty ones are left out."""
    kept = {key: part.strip() for key, part in sections.items() if part.strip()}
    text = "\n".join(f"{_title(key, language)}: {part}" for key, part in kept.items())
    return Report(text, kept, language, tuple(terms), tuple(images))


def flatten(report: Report) -> str:
    """Return the report as one paragraph: `FINDINGS: … IMPRESSION: …`; without sections, its text in one line."""
    parts = [f"{_title(key, report.language)}: {part}" for key, part in report.sections.items() if key != PREAMBLE]
    return " ".join(" ".join([report.sections.get(PREAMBLE, ""), *parts] if parts else [report.text]).split())


def is_empty(report: Report) -> bool:
    """Return whether a report says nothing of what is seen: no word but headings, the indication, or "None."."""
    texts = [report.sections.get(key, "") for key in CONTENT] if report.sections else [report.text]
    return not set(_words(" ".join(texts))) - NOTHING


def find_duplicates(reports: Mapping[str, Report], sections: Sequence[str] = CONTENT) -> Duplicates:
    """Return which reports have equal words, whatever their case, spaces and punctuation.

    Args:
        reports: By name.
        sections: What is compared; none: all of the report without headings. A report that has no sections is
            compared as a whole.
    """
    groups = dict[str, list[str]]()
    for name, report in reports.items():
        if not is_empty(report):
            groups.setdefault(digest_words(report, sections), []).append(name)
    written = sum(map(len, groups.values()))
    repeated = tuple(tuple(names) for names in groups.values() if len(names) > 1)
    return Duplicates(repeated, (written - len(groups)) / written if written else 0.0)


def judge_reports(reports: Mapping[str, Report]) -> tuple[Finding, ...]:
    """Return a finding for every empty report, and one for all copies with their rate."""
    empty = [name for name, report in reports.items() if is_empty(report)]
    found = [
        Finding("report-empty", "suspect", "the report says nothing of what is seen", "left out of learning", name)
        for name in empty
    ]
    copies = find_duplicates(reports)
    if copies.groups:
        repeated = sum(len(group) - 1 for group in copies.groups)
        words = f"{count(repeated, 'report')} of {len(reports) - len(empty)} repeat another ({copies.rate:.1%})"
        found.append(Finding("report-copy", "ok", words, "counted as equal, not as wrong pairs"))
    return tuple(found)


@lru_cache(maxsize=32)
def _pattern_of(words: tuple[str, ...]) -> re.Pattern[str]:
    # Longest first, so that "clinical history" is not read as "history".
    names = "|".join(re.escape(word).replace(r"\ ", r"[ \t]+") for word in sorted(words, key=len, reverse=True))
    return re.compile(rf"(?P<name>{names})(?P<end>[ \t]{{0,8}}:|(?=[\s]|$))", re.IGNORECASE)


def _pattern(language: Language) -> re.Pattern[str]:
    return _pattern_of(tuple(_keys(language)))


def _keys(language: Language) -> dict[str, tuple[str, ...]]:
    """Return the section keys of each heading word."""
    keys = dict[str, tuple[str, ...]]()
    for key, words in language.headings.items():
        for word in words:
            keys[word] = (*keys.get(word, ()), key)
    return keys


def _heading(match: re.Match[str]) -> tuple[int, int, str]:
    """Return where a heading starts and stops, and its words in lower case."""
    return match.start(), match.end(), " ".join(match["name"].lower().split())


def _is_heading(text: str, match: re.Match[str]) -> bool:
    name, colon = match["name"], bool(match["end"])
    before = text[max(0, match.start() - 9) : match.start()]
    line_start = not before.rpartition("\n")[2].strip() and (len(before) < 9 or "\n" in before or not before.strip())
    sentence_start = line_start or before.rstrip().endswith((".", "!", "?", ";", ":"))
    if colon:
        glued = before[-1:].isalnum() or before[-1:] in ("-", "/", "_")
        if glued:
            return name.isupper() and before[-1:].islower()
        return sentence_start or name[0].isupper()
    rest = text[match.end() : match.end() + 200]
    alone = line_start and not rest.partition("\n")[0].strip()
    if alone:
        return bool(rest.strip()) or name.isupper()
    follows = rest.lstrip()[:2]
    return sentence_start and name.isupper() and follows[:1].isupper() and not follows.isupper()


def _title(key: str, language: Language) -> str:
    return language.headings.get(key, (key,))[0].upper()


def digest_words(report: Report, sections: Sequence[str] = CONTENT) -> str:
    """Return a hash of the words of these sections: equal for reports that `find_duplicates` calls equal."""
    sentences = report.sentences(*sections) if report.sections else report.sentences()
    words = " ".join(_words(" ".join(sentences)))
    return hashlib.sha256(words.encode()).hexdigest()


def _words(text: str) -> list[str]:
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())
    return [word for word in words if set(word) - set("x_")]
