"""Films and reports through the network: vectors of both, and where in a film words are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from scanweave.augment.crops import central_crop
from scanweave.framework.reported.tokens import ReportTokenizer
from scanweave.framework.reported.zero_shot import unit
from scanweave.systems.mgca.network import MgcaNetwork, Read
from scanweave.systems.mgca.planning import MgcaPlan
from scanweave.systems.mgca.samples import whole_film

BATCH = 32
"""Studies or reports that go through the network at once."""


class PairReader:
    """A network ready to look at films and to read reports.

    Args:
        network: On its device.
        plan: Films, and their size.
        tokenizer: Cuts reports.
        crop: Share of each axis that the network sees.
        temperature: Of attention between words and regions.
    """

    def __init__(
        self, network: MgcaNetwork, plan: MgcaPlan, tokenizer: ReportTokenizer, crop: float, temperature: float
    ) -> None:
        self.network, self.plan, self.tokenizer = network.eval(), plan, tokenizer
        self.crop, self.temperature = crop, temperature

    @property
    def device(self) -> torch.device:
        """Device on which it computes."""
        return self.network.prototypes.device

    def film(self, volume: Any, name: str) -> Tensor:
        """Return a prepared film as the network takes it `(1, 1, Y, X)`, its middle where it sees less than all."""
        whole = whole_film(volume, name, self.plan, self.crop)
        middle = central_crop(whole.shape[1:], self.plan.size).read(whole)
        return torch.as_tensor(middle)[None].to(self.device)

    def image(self, volumes: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the vector of a study `(d,)`, of length 1: that of the mean over its films.

        Args:
            volumes: Prepared films that are present, `(X, Y, Z)`.
        """
        return self.images([volumes])[0]

    def images(self, studies: Iterable[Mapping[str, Any]]) -> NDArray[np.float64]:
        """Return the vectors of studies `(N, d)`, see `image`; some are in memory at once."""
        found: list[NDArray[np.float64]] = []
        waiting: list[list[Tensor]] = []
        for volumes in studies:
            waiting.append([self.film(volume, name) for name, volume in volumes.items()])
            if len(waiting) == BATCH:
                found += self._looked(waiting)
                waiting = []
        found += self._looked(waiting) if waiting else []
        return np.stack(found) if found else np.zeros((0, self.network.prototypes.shape[1]))

    def _looked(self, several: Sequence[Sequence[Tensor]]) -> list[NDArray[np.float64]]:
        with torch.inference_mode():
            made = self.network.look(torch.cat([film for films in several for film in films])).film.cpu().double()
        ends = np.cumsum([len(films) for films in several])[:-1]
        return [unit(own.mean(axis=0)) for own in np.split(made.numpy(), ends)]

    def reports(self, several: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """Return the vectors of reports `(N, d)`, of length 1.

        Args:
            several: The sentences of each.
        """
        made = [self._read(several[k : k + BATCH]).report.cpu().double() for k in range(0, len(several), BATCH)]
        return torch.cat(made).numpy()

    def sentences(self, several: Sequence[str]) -> NDArray[np.float64]:
        """Return the vectors of sentences, each as a report of its own `(N, d)`."""
        return self.reports([[sentence] for sentence in several])

    def word_maps(self, volume: Any, name: str, reports: Sequence[Sequence[str]]) -> list[tuple[Tensor, Tensor]]:
        """Return of each report where each of its words is looked for in a film, and the weights of the words.

        Args:
            volume: The prepared film.
            name: Of the film.
            reports: Sentences of each.

        Returns:
            Attention of each word over the film, which sums to 1 over regions, of the size of the network's input
            `(W, Y, X)`; and weights that sum to 1 `(W,)`.
        """
        film = self.film(volume, name)
        with torch.inference_mode():
            seen = self.network.look(film)
        found = []
        for sentences in reports:
            read = self._read([sentences])
            cosines = torch.einsum("wd,md->wm", read.words[0], seen.regions[0]) / self.temperature
            shares = cosines.softmax(dim=1).view(-1, 1, *seen.places)
            whole = F.interpolate(shares, size=film.shape[2:], mode="bilinear", align_corners=False)
            found.append((whole[:, 0].cpu(), read.weights[0].cpu()))
        return found

    def _read(self, several: Sequence[Sequence[str]]) -> Read:
        pieces = [self.tokenizer.tokens(sentences) for sentences in several]
        ids, words = (torch.from_numpy(np.stack([getattr(one, what) for one in pieces])) for what in ("ids", "words"))
        with torch.inference_mode():
            return self.network.read(ids.to(self.device), words.to(self.device))


def words_map(maps: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Return one map of several sentences `(Y, X)`: the mean over them of their words' maps by weight.

    Args:
        maps: What `PairReader.word_maps` returns of each.
    """
    return torch.stack([torch.einsum("w,wyx->yx", weights, each) for each, weights in maps]).mean(dim=0)
