"""Split the text of a report into sentences and list items."""

from __future__ import annotations

import re

from scanweave.studies.report_languages import ENGLISH, Language

SHORTEST_LAST_WORD_LETTERS = 4
"""A stop before a small letter ends a sentence only after a word of so many letters: shorter ones are often cut off."""

_BEFORE_NUMBERS = ("no", "nos", "nr")
"""Words that are abbreviations only before a number: "No. 3"."""

_STOP = re.compile(r"[.!?]+[\"')\]]?(?=\s|$)|(?<=[a-zäöüß]{2})\.(?=[A-ZÄÖÜ][a-zäöü])")
_LAST_WORD = re.compile(r"[\w.]*\w$")
_BULLET = re.compile(r"^\s*(?:[-*•–]\s+|\(?\d{1,2}[.)]\s+)+(?=\S)")
_ONLY_NUMBER = re.compile(r"^\(?\d{1,2}$")
_BREAK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*•–]\s|\(?\d{1,2}[.)]\s|[A-ZÄÖÜ][\w/ -]{1,30}:))")
_NUMBERED = re.compile(r"(?:(?<=\s)|^)\(?(\d{1,2})([.)])\s+(?=\S)")


def split_sentences(text: str, language: Language = ENGLISH) -> tuple[str, ...]:
    """Return the sentences of `text` in order, each on one line, without the numbers and bullets of lists.

    A stop ends a sentence unless it follows an abbreviation or an initial, stands within a number (2.5), or follows a
    number where the language writes ordinals so. A stop that is glued to the next sentence ("clear.The") ends one too.
    Lines that begin with a bullet, a number or a heading of an organ ("Heart: normal") begin one.
    """
    made = list[str]()
    for block in _BREAK.split(text):
        for item in _list_items(" ".join(block.split())):
            made += _sentences(item, language)
    return tuple(made)


def _list_items(text: str) -> list[str]:
    """Return the items of `1) … 2) …` or `1. … 2. …`; text without such a list is one item.

    After `)` an item needs no stop before it; `2.` without one may be the end of a sentence ("segment 2.").
    """
    cuts, expected = [0], 1
    for marker in _NUMBERED.finditer(text):
        start = marker.start()
        begins = marker[2] == ")" or start == 0 or text[start - 2] in ".;:!?"
        if begins and int(marker[1]) == expected:
            expected += 1
            cuts.append(start)
    if expected < 3:
        return [text]
    return [text[start:stop] for start, stop in zip(cuts, [*cuts[1:], len(text)], strict=True)]


def _sentences(text: str, language: Language) -> list[str]:
    made, start = list[str](), 0
    for stop in _STOP.finditer(text):
        if _ends(text, start, stop, language):
            made.append(text[start : stop.end()])
            start = stop.end()
    made.append(text[start:])
    cleaned = (_BULLET.sub("", piece).strip() for piece in made)
    return [piece for piece in cleaned if any(map(str.isalnum, piece))]


def _ends(text: str, start: int, stop: re.Match[str], language: Language) -> bool:
    after = text[stop.end() : stop.end() + 2].lstrip()[:1]
    if not after or stop[0][0] != "." or len(stop[0].rstrip("\"')]")) > 1:
        return True
    before = text[max(start, stop.start() - 40) : stop.start()].lstrip()
    word = (_LAST_WORD.search(before) or [""])[0]
    if _ONLY_NUMBER.match(text[start : stop.start()].strip()):
        return False  # the number of a list item, which belongs to what follows
    if after.isdecimal() and word.lower() in _BEFORE_NUMBERS:
        return False
    if word.isdecimal():
        return not after.isdecimal() and not (language.ordinals and len(word) < 3)
    if word.lower() in language.abbreviations or (len(word) == 1 and word.isalpha()):
        return False
    if after.islower():
        return "." not in word and len(word) >= SHORTEST_LAST_WORD_LETTERS
    return True
