"""A report put together from statements: what is said, in which words and in which order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from scanweave.simulate.pairs import name_at
from scanweave.simulate.reports.phrases import (
    ASIDES,
    CLEAR,
    FILMS_ALONE,
    INDICATIONS,
    JOINT,
    LUNGS,
    NORMAL,
    WORDINGS,
    Phrases,
)
from scanweave.simulate.reports.settings import InstitutionName, ReportSettings
from scanweave.simulate.reports.statements import FILMS, Statement

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Institution:
    """Hold how one institution reports.

    Attributes:
        joint: Chance to speak of what is absent in one sentence.
        clear: Chance to call the lungs clear where nothing is in them.
        first: Chance of what is present to come before what is absent.
        impression: Chance of a report to have one.
        indication: Chance of a report to tell why the study was made.
        headed: Whether sentences are put under the organ's name: `HEART: …`.
        favourites: How much an institution keeps to a few sentences: shares go as rank to the power of minus this.
        standard: Chance of a report on a study without findings to be the institution's standard text, always the same.
    """

    joint: float
    clear: float
    first: float
    impression: float
    indication: float
    headed: bool
    favourites: float
    standard: float


INSTITUTIONS: dict[InstitutionName, Institution] = {
    "A": Institution(0.55, 0.6, 0.3, 0.99, 0.98, headed=False, favourites=1.0, standard=0.4),
    "B": Institution(0.3, 0.3, 0.8, 0.9, 0.5, headed=False, favourites=0.3, standard=0.0),
    "C": Institution(0.1, 0.2, 0.0, 0.8, 0.9, headed=True, favourites=1.2, standard=0.6),
}
"""Ours; A is to look like Open-I's, which `tests/simulate/test_simulated_reports.py` compares."""
HEADS: Mapping[str, str] = {
    "cardiomegaly": "HEART",
    "effusion": "PLEURA",
    "pneumothorax": "PLEURA",
    "consolidation": "LUNGS",
    "nodule": "LUNGS",
    "fracture": "BONES",
    "steatosis": "LIVER",
    "liver_lesion": "LIVER",
    "splenomegaly": "SPLEEN",
    "kidney_cyst": "KIDNEYS",
}


class Sentence(NamedTuple):
    """Hold a sentence and what it says: findings by name, and whether they are there; none of an aside."""

    text: str
    says: dict[str, bool]


class Written(NamedTuple):
    """Hold a report.

    Attributes:
        sections: Text by section: `findings`, and where there are any `impression` and `indication`.
        sentences: Those of the findings, in order.
        institution: Who wrote it.
    """

    sections: dict[str, str]
    sentences: list[Sentence]
    institution: InstitutionName

    @property
    def said(self) -> dict[str, bool]:
        """Tell what the findings say, by finding; those that are not spoken of are left out."""
        return {name: there for one in self.sentences for name, there in one.says.items()}


def write_report(rng: Generator, statements: Sequence[Statement], system: str, settings: ReportSettings) -> Written:
    """Write a report.

    Args:
        rng: The source of randomness.
        statements: What is true of the study.
        system: What simulated it, `films` or `bodies`.
        settings: How it is reported.
    """
    name = name_at(settings.institutions, rng.random())
    writer = _Writer(rng, INSTITUTIONS[name], settings.wording, system)
    if not any(one.there for one in statements) and rng.random() < INSTITUTIONS[name].standard:
        return writer.standard(statements, name)
    kept = [one for one in statements if rng.random() >= (settings.missed if one.there else settings.omitted)]
    there, absent = ([one for one in kept if one.there is wanted] for wanted in (True, False))
    sentences = [*(writer.of(one) for one in there), *writer.of_absent(absent, _lungs_clear(statements, kept))]
    if rng.random() >= INSTITUTIONS[name].first:
        sentences = [sentences[place] for place in rng.permutation(len(sentences))]
    for number in rng.permutation(len(ASIDES[system]))[: max(int(rng.poisson(settings.asides)), not sentences)]:
        aside = Sentence(writer.expanded(ASIDES[system][number], {}), {})
        sentences.insert(int(rng.integers(len(sentences) + 1)), aside)
    sections = {"findings": " ".join(one.text for one in sentences)}
    missed = any(one.there for one in statements) and not there  # who missed it does not say that nothing is there
    if rng.random() < INSTITUTIONS[name].impression and not missed:
        sections["impression"] = writer.impression(there)
    if rng.random() < INSTITUTIONS[name].indication:
        sections["indication"] = writer.one_of(INDICATIONS)
    return Written({key: text for key, text in sections.items() if text}, sentences, name)


def _lungs_clear(statements: Sequence[Statement], kept: Sequence[Statement]) -> bool:
    """Tell whether all findings of the lungs that were looked for are absent, and are to be spoken of."""
    lungs = [one for one in statements if one.finding in LUNGS]
    return bool(lungs) and all(not one.there and one in kept for one in lungs)


class _Writer:
    """Put statements into words, in the manner of an institution."""

    def __init__(self, rng: Generator, institution: Institution, wording: str, system: str) -> None:
        self.rng, self.institution, self.wording, self.system = rng, institution, wording, system
        self.always_first = False

    def phrases(self, finding: str) -> Phrases:
        """Return the sentences of a finding."""
        return WORDINGS[self.wording][finding]

    def of(self, one: Statement) -> Sentence:
        """Return a sentence on one finding."""
        own = self.phrases(one.finding)
        text = self.expanded(self.fitting(own.there if one.there else own.absent, one.details), one.details)
        if self.institution.headed:
            text = f"{HEADS[one.finding]}: {text}"
        return Sentence(text, {one.finding: one.there})

    def of_absent(self, absent: Sequence[Statement], clear: bool) -> list[Sentence]:
        """Return sentences on what is absent, some of them on several; `clear`: the lungs may be called so."""
        left, made = list(absent), list[Sentence]()
        lungs = [one for one in left if one.finding in LUNGS]
        if self.rng.random() < self.institution.clear and clear:
            text = self.expanded(self.one_of(CLEAR[self.wording]), {})
            made.append(Sentence(text, {one.finding: False for one in lungs}))
            left = [one for one in left if one not in lungs]
        listed = [one for one in left if self.phrases(one.finding).noun]
        if len(listed) > 1 and self.rng.random() < self.institution.joint:
            nouns = [self.one_of(self.phrases(one.finding).noun) for one in listed]
            words = f"{', '.join(nouns[:-1])} or {nouns[-1]}"
            text = self.expanded(self.one_of(JOINT[self.wording]), {"list": words})
            made.append(Sentence(text, {one.finding: False for one in listed}))
            left = [one for one in left if one not in listed]
        return [*made, *(self.of(one) for one in left)]

    def impression(self, there: Sequence[Statement]) -> str:
        """Return what is present in short, or that nothing is."""
        if not there:
            return self.expanded(self.one_of(NORMAL[self.system]), {})
        parts = [
            self.expanded(self.fitting(self.phrases(one.finding).short, one.details), one.details) for one in there
        ]
        numbered = len(parts) > 1 and self.rng.random() < 0.5
        return " ".join(f"{place}. {part}." if numbered else f"{part}." for place, part in enumerate(parts, start=1))

    def standard(self, absent: Sequence[Statement], name: InstitutionName) -> Written:
        """Return the institution's text for a study without findings: the first of all sentences, and no aside."""
        self.always_first = True
        sentences = [self.of(one) for one in absent]
        texts = {"findings": " ".join(one.text for one in sentences), "impression": self.one_of(NORMAL[self.system])}
        return Written({key: self.expanded(text, {}) for key, text in texts.items()}, sentences, name)

    def fitting(self, sentences: Sequence[str], details: Mapping[str, str]) -> str:
        """Draw one of the sentences whose slots can be filled, and that are said of such images."""
        fit = [one for one in sentences if {*_SLOT.findall(one)} <= {*details}]
        films = self.system == FILMS
        return self.one_of([one for one in fit if films or not any(words in one for words in FILMS_ALONE)])

    def one_of(self, several: Sequence[str]) -> str:
        """Draw one; an institution keeps to those that come first, the more the higher its `favourites`."""
        if self.always_first:
            return several[0]
        shares = np.arange(1, len(several) + 1) ** -self.institution.favourites
        return several[int(self.rng.choice(len(several), p=shares / shares.sum()))]

    def expanded(self, sentence: str, details: Mapping[str, str]) -> str:
        """Return a sentence with its choices drawn and its slots filled, its first letter a capital."""
        while choice := _CHOICE.search(sentence):
            sentence = sentence[: choice.start()] + self.one_of(choice[1].split("|")) + sentence[choice.end() :]
        words = _SLOT.sub(lambda slot: details[slot[1]], sentence)
        return words[:1].upper() + words[1:]
