"""Reports as vectors of their words, so that reports that say the same in other words are alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from scanweave.studies.report_languages import Language
from scanweave.studies.report_negation import denied_parts

MOST_TERMS = 2_048
"""Words, the commonest, by which reports are compared."""
_WORD = re.compile(r"[^\W\d_]{2,}")
_DENIED = "not "
"""Put before what a sentence denies: an effusion and no effusion share no word."""


class ReportTerms:
    """Vectors of reports by the words in them and by how rare these are (tf–idf), denied words apart.

    Args:
        texts: The sentences of each report, from which the words and their rarity are learnt.
        language: Of the reports.
    """

    def __init__(self, texts: Iterable[Sequence[str]], language: Language) -> None:
        self.language = language
        known = [text for text in texts if any(self._terms(text))]
        self._vectors = TfidfVectorizer(analyzer=self._terms, max_features=MOST_TERMS)
        self._speaks = bool(known)
        if self._speaks:
            self._vectors.fit(known)

    def vector(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """Return the vector of a report `(T,)`, of length 1, or 0 where it has no known word."""
        if not self._speaks:
            return np.zeros(1, dtype=np.float32)
        found: NDArray[np.float32] = self._vectors.transform([sentences]).toarray()[0].astype(np.float32)
        return found

    def _terms(self, sentences: Sequence[str]) -> Iterator[str]:
        for sentence in sentences:
            denied = denied_parts(sentence, self.language)
            for word in _WORD.finditer(sentence):
                is_denied = any(start <= word.start() < stop for start, stop in denied)
                yield f"{_DENIED if is_denied else ''}{word.group().lower()}"
