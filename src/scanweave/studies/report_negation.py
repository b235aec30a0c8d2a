"""Tell what a sentence of a report denies: words that deny, and how far they reach.

After NegEx (Chapman et al., J Biomed Inform 34, 2001): some words deny what follows, up to a word that ends it, others
what stands before; some phrases only seem to deny. Lists are ours, see `report_languages`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from scanweave.studies.report_languages import ENGLISH, Language

Part = tuple[int, int]
"""Where a part of a sentence begins, and where it ends (exclusive)."""


def denied_parts(sentence: str, language: Language = ENGLISH) -> list[Part]:
    """Return the parts of a sentence that it says are absent, in order; none overlap.

    A part goes from a word that denies to the end of the sentence or to a word that ends it ("but", "there is"); with a
    word that denies what stands before it ("not seen"), from the last such end, or a comma, to that word.
    """
    denials = language.denials
    seeming = [found.span() for found in _pattern(denials.seeming).finditer(sentence)] if denials.seeming else []
    ends = [found.start() for found in _pattern(denials.ends).finditer(sentence)] if denials.ends else []
    parts, after = list[Part](), list[Part]()
    for found in _pattern(denials.after).finditer(sentence) if denials.after else ():
        if not _within(found.span(), seeming):
            last = max((end for end in [*ends, *_commas(sentence)] if end < found.start()), default=0)
            parts.append((last, found.start()))
            after.append(found.span())
    for found in _pattern(denials.before).finditer(sentence) if denials.before else ():
        if not _within(found.span(), [*seeming, *after]):
            parts.append((found.end(), min((end for end in ends if end >= found.end()), default=len(sentence))))
    return _joined([part for part in parts if sentence[slice(*part)].strip(" ,.;:")])


def is_denied(sentence: str, terms: Sequence[str], language: Language = ENGLISH) -> bool | None:
    """Tell whether a sentence denies a finding that it names; None: it does not name it.

    Args:
        sentence: Of a report.
        terms: Names of the finding, such as `("effusion", "pleural fluid")`; the beginnings of words are enough.
        language: Of the report.
    """
    pattern = "|".join(re.escape(term) for term in terms)
    named = [found.span() for found in re.finditer(rf"\b(?:{pattern})", sentence, re.IGNORECASE)]
    if not named:
        return None
    parts = denied_parts(sentence, language)
    return all(_within(span, parts) for span in named)


@lru_cache(maxsize=64)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    # longest first, so that a phrase is found before its first word
    return re.compile("|".join(map(_whole, sorted(words, key=len, reverse=True))), re.IGNORECASE)


def _whole(words: str) -> str:
    """Return a pattern of words that are no part of longer ones; a mark may stand beside anything."""
    before, after = (mark if words[place].isalnum() else "" for place, mark in ((0, r"(?<!\w)"), (-1, r"(?!\w)")))
    several = re.escape(words).replace(r"\ …\ ", r"\s+(?:\w+\s+){0,3}").replace(r"\ ", r"\s+")
    return before + several + after


def _commas(sentence: str) -> list[int]:
    return [place for place, letter in enumerate(sentence) if letter == ","]


def _within(span: Part, parts: Sequence[Part]) -> bool:
    return any(start <= span[0] and span[1] <= stop for start, stop in parts)


def _joined(parts: Sequence[Part]) -> list[Part]:
    """Return parts in order, those that overlap as one."""
    made = list[Part]()
    for start, stop in sorted(parts):
        if made and start <= made[-1][1]:
            made[-1] = (made[-1][0], max(stop, made[-1][1]))
        else:
            made.append((start, stop))
    return made
