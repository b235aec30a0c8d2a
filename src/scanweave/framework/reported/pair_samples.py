"""Training samples: an image of a study and its report; each a function of seed and number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scanweave.augment.augmentation import augmented
from scanweave.augment.crops import uniform_crop
from scanweave.augment.settings import FILM, QUANTITATIVE
from scanweave.framework.network_task import draw_study
from scanweave.framework.reported.pair_plan import PairPlan
from scanweave.framework.reported.settings import PairSamplingSettings
from scanweave.framework.reported.study_texts import StudyText
from scanweave.framework.reported.tokens import ReportTokenizer, Tokens
from scanweave.framework.whole_images.reading import whole_image
from scanweave.studies.preparing.prepared_cache import CachedStudy

MOST_BYTES_IN_MEMORY = 2**29
"""Of resized images that a reader keeps, so that small ones are read once."""
VARIED = {dimensions: one.model_copy(update={"flip_shares": 0.0}) for dimensions, one in ((2, FILM), (3, QUANTITATIVE))}
"""Left and right stay where they are: reports name them."""
KEY_DIGITS = 15
"""Of a hash in hexadecimals that fit a whole number of 64 bits."""


class PairSamples:
    """Samples `{"image": (1, [Z,] Y, X), "ids": (L,), "words": (L,), "sentences": (L,), "report", "read", …}`.

    Of several images one is drawn. `report` and `read` are hashes of the words of the report, and of those that are
    read of it; `number` is that of the study, `case` its name.

    Args:
        studies: Prepared training studies, each with an image.
        texts: Their reports, by study.
        tokenizer: Cuts them.
        plan: Images and their size.
        sampling: What a sample shows.
        seed: Of all draws.
    """

    def __init__(
        self,
        studies: Sequence[CachedStudy],
        texts: Mapping[str, StudyText],
        tokenizer: ReportTokenizer,
        plan: PairPlan,
        sampling: PairSamplingSettings,
        seed: int,
    ) -> None:
        self.studies, self.plan, self.sampling, self.seed = list(studies), plan, sampling, seed
        self.texts, self.tokenizer = {study.id: texts[study.id] for study in studies}, tokenizer
        self._kept: dict[tuple[int, str], Tensor] = {}
        self._room = MOST_BYTES_IN_MEMORY

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return sample number `index`."""
        number, rng = draw_study(range(len(self.studies)), self.seed, index)
        study = self.studies[number]
        names = [name for name in self.plan.scans if name in study.names]
        whole = self._whole(number, names[int(rng.integers(len(names)))])
        crop = uniform_crop(rng, whole.shape[1:], self.plan.size)
        if self.sampling.augment:
            image = augmented(whole, None, crop, self.seed, index, VARIED[self.plan.dimensions]).image
        else:
            image = torch.as_tensor(crop.read(whole))
        return {"image": image, **self._read(study.id, rng), "number": number, "case": study.id}

    def case(self, index: int) -> str:
        """Return the study of a sample, without reading it."""
        return draw_study(self.studies, self.seed, index)[0].id

    def read(self, text: StudyText, rng: np.random.Generator) -> dict[str, Any]:
        """Return what a network reads of a report, as tensors.

        Args:
            text: The report, or some of its sentences.
            rng: The sample's own source of chance.
        """
        return plain_pieces(self.tokenizer.tokens(text.sentences))

    def _read(self, name: str, rng: np.random.Generator) -> dict[str, Any]:
        """Return the pieces of a study's report, or of some of its sentences; and hashes of all of it and of these."""
        whole = text = self.texts[name]
        if rng.random() < self.sampling.some_sentences:
            kept = np.sort(rng.permutation(len(text.sentences))[: int(rng.integers(1, len(text.sentences) + 1))])
            text = text.of(tuple(text.sentences[place] for place in kept))
        return {**self.read(text, rng), "report": key_number(whole.key), "read": key_number(text.key)}

    def _whole(self, number: int, name: str) -> Tensor:
        if (number, name) in self._kept:
            return self._kept[number, name]
        found = whole_scan(self.studies[number].volume(name)[:], name, self.plan, self.sampling.crop)
        size = found.numel() * found.element_size()
        if size <= self._room:
            self._kept[number, name] = found
            self._room -= size
        return found


def whole_scan(volume: Any, name: str, plan: PairPlan, crop: float) -> Tensor:
    """Return a prepared image `(1, [Z,] Y, X)` of a size of which `crop` is the network's input.

    Args:
        volume: The image `(X, Y, Z)`; of a film one axis is one pixel long.
        name: Of the image.
        plan: Its axes and size.
        crop: Share of each axis that the network sees.
    """
    alone = plan.model_copy(update={"scans": (name,)})
    return whole_image({name: np.asarray(volume)}, alone, crop)[0]


def plain_pieces(tokens: Tokens) -> dict[str, Tensor]:
    """Return the pieces of a report as tensors, by the names of `Tokens`."""
    return {name: torch.from_numpy(numbers) for name, numbers in tokens._asdict().items()}


def key_number(key: str) -> int:
    """Return the hash of a report's words as a whole number."""
    return int(key[:KEY_DIGITS], 16)
