"""Training samples: a volume and its report, and what is hidden of each."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scanweave.framework.reported.pair_fit import Pairs
from scanweave.framework.reported.pair_samples import PairSamples
from scanweave.framework.reported.study_texts import StudyText
from scanweave.framework.reported.text_plan import LANGUAGES
from scanweave.framework.reported.tokens import HIDDEN, NO_WORD, Tokens
from scanweave.systems.mg3d.config import Mg3dConfig, SamplingSettings
from scanweave.systems.mg3d.report_terms import ReportTerms

BLOCKS_STREAM = 4
"""Keeps what is hidden of a volume apart from what else is drawn from a seed."""


class GuidedSamples(PairSamples):
    """Samples of `PairSamples`, with `hidden` `(Z, Y, X)`, `masked` and `asked` `(L,)`, and `terms` `(T,)`.

    `hidden` says which voxels are hidden, `masked` are the pieces with hidden words masked, `asked` says which these
    are; `terms` is the vector of what is read of the report, where reports are compared.

    Args:
        pairs: Volumes, reports and the plan.
        config: Every setting.
    """

    def __init__(self, pairs: Pairs, config: Mg3dConfig) -> None:
        known = (pairs.parts.training, pairs.texts, pairs.tokenizer, pairs.plan)
        super().__init__(*known, config.sampling, config.training.seed)
        self.hiding: SamplingSettings = config.sampling
        self.terms: ReportTerms | None = None
        if config.objective.soft:
            texts = [one.sentences for one in self.texts.values()]
            self.terms = ReportTerms(texts, LANGUAGES[pairs.plan.text.language])

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return sample number `index`."""
        rng = np.random.default_rng([self.seed, BLOCKS_STREAM, index])
        return {**super().__getitem__(index), "hidden": hidden_blocks(self.plan.size, self.hiding, rng)}

    def read(self, text: StudyText, rng: np.random.Generator) -> dict[str, Any]:
        """Return the pieces of a report, some of its words hidden."""
        found, tokens = super().read(text, rng), self.tokenizer.tokens(text.sentences)
        asked = asked_pieces(tokens, self.hiding.masked, rng)
        masked = np.where(asked, self.tokenizer.special[HIDDEN], tokens.ids)
        found |= {"masked": torch.from_numpy(masked), "asked": torch.from_numpy(asked)}
        return found if self.terms is None else {**found, "terms": torch.from_numpy(self.terms.vector(text.sentences))}


def hidden_blocks(size: tuple[int, ...], settings: SamplingSettings, rng: np.random.Generator) -> Tensor:
    """Return which voxels of an input are hidden, booleans `(Z, Y, X)`: whole blocks, one of them at least is not.

    Args:
        size: Of the input.
        settings: Edge of a block, and the share that is hidden.
        rng: Source of chance.
    """
    grid = tuple(-(-edge // settings.block) for edge in size)
    count = int(np.prod(grid))
    number = min(max(1, round(settings.hidden * count)), max(1, count - 1))
    chosen = np.zeros(count, dtype=bool)
    chosen[rng.permutation(count)[:number]] = True
    made = torch.from_numpy(chosen.reshape(grid))
    for axis, edge in enumerate(size):
        made = made.repeat_interleave(settings.block, dim=axis).narrow(axis, 0, edge)
    return made


def asked_pieces(tokens: Tokens, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which pieces of a report are hidden `(L,)`: all of a word or none, one word at least.

    Args:
        tokens: The report.
        share: Of its words.
        rng: Source of chance.
    """
    words = int(tokens.words.max()) + 1
    if not words:
        return np.zeros(len(tokens.words), dtype=bool)
    chosen = rng.permutation(words)[: max(1, round(share * words))]
    return np.isin(tokens.words, chosen) & (tokens.words != NO_WORD)
