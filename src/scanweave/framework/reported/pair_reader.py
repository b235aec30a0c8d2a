"""Images and reports through a network: vectors of both, and where in an image words are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.augment.crops import central_crop
from scanweave.framework.reported.pair_plan import PairPlan
from scanweave.framework.reported.pair_samples import plain_pieces, whole_scan
from scanweave.framework.reported.tokens import FIRST, LAST, ReportTokenizer
from scanweave.framework.reported.zero_shot import unit

BATCH = 32
"""Reports that go through the network at once."""
IMAGES = {2: 32, 3: 2}
"""Films or volumes, likewise: one volume of a large input takes a gigabyte."""
MODES = {2: "bilinear", 3: "trilinear"}
"""How maps are enlarged, by the dimensions of an image."""


class PairNetwork(Protocol):
    """A network that maps images and reports to one space of d numbers; vectors have length 1."""

    def images(self, x: Tensor) -> Tensor:
        """Return the vectors `(B, d)` of images `(B, 1, [Z,] Y, X)`."""
        ...

    def places(self, x: Tensor) -> Tensor:
        """Return what the vector of an image would be if it looked like one of its places everywhere `(B, d, …)`."""
        ...

    def reports(self, pieces: Mapping[str, Tensor]) -> Tensor:
        """Return the vectors `(B, d)` of reports; pieces by the names of `Tokens`, `(B, L)` each."""
        ...

    def draft(self, several: Sequence[Tensor], first: int, last: int) -> list[int]:
        """Return the pieces of a report on the images of one study, each `(1, 1, [Z,] Y, X)`."""
        ...

    def attention(self, x: Tensor, pieces: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return where each word of a report is looked for in an image `(W, …)`, and the words' weights `(W,)`.

        Args:
            x: One image `(1, 1, [Z,] Y, X)`.
            pieces: Of one report, by the names of `Tokens`, `(1, L)` each.
        """
        ...


class PairReader:
    """A network ready to look at images and to read reports.

    Args:
        network: A `PairNetwork` on its device.
        plan: Images, and their size.
        tokenizer: Cuts reports.
        crop: Share of each axis that the network sees.
    """

    def __init__(self, network: nn.Module, plan: PairPlan, tokenizer: ReportTokenizer, crop: float) -> None:
        self.network: Any = network.eval()
        self.plan, self.tokenizer, self.crop = plan, tokenizer, crop
        self.device = next(network.parameters()).device

    def scan(self, volume: Any, name: str) -> Tensor:
        """Return a prepared image as the network takes it `(1, 1, [Z,] Y, X)`: its middle where it sees a part."""
        whole = whole_scan(volume, name, self.plan, self.crop)
        middle = central_crop(whole.shape[1:], self.plan.size).read(whole)
        return torch.as_tensor(middle)[None].to(self.device)

    def image(self, volumes: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the vector of a study `(d,)`, of length 1: that of the mean over its images.

        Args:
            volumes: Prepared images that are present, `(X, Y, Z)`.
        """
        return self.images([volumes])[0]

    def images(self, studies: Iterable[Mapping[str, Any]]) -> NDArray[np.float64]:
        """Return the vectors of studies `(N, d)`, see `image`; some are in memory at once."""
        found: list[NDArray[np.float64]] = []
        waiting: list[list[Tensor]] = []
        for volumes in studies:
            waiting.append([self.scan(volume, name) for name, volume in volumes.items()])
            if len(waiting) == IMAGES[self.plan.dimensions]:
                found += self._looked(waiting)
                waiting = []
        found += self._looked(waiting) if waiting else []
        return np.stack(found) if found else np.zeros((0, 1))

    def _looked(self, several: Sequence[Sequence[Tensor]]) -> list[NDArray[np.float64]]:
        every = torch.cat([image for images in several for image in images])
        with torch.inference_mode():
            parts = [self.network.images(some).cpu() for some in torch.split(every, IMAGES[self.plan.dimensions])]
        made = torch.cat(parts).double()
        ends = np.cumsum([len(images) for images in several])[:-1]
        return [unit(own.mean(axis=0)) for own in np.split(made.numpy(), ends)]

    def reports(self, several: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """Return the vectors of reports `(N, d)`, of length 1.

        Args:
            several: The sentences of each.
        """
        with torch.inference_mode():
            made = [
                self.network.reports(self.pieces(several[k : k + BATCH])).cpu().double()
                for k in range(0, len(several), BATCH)
            ]
        return torch.cat(made).numpy()

    def sentences(self, several: Sequence[str]) -> NDArray[np.float64]:
        """Return the vectors of sentences, each as a report of its own `(N, d)`."""
        return self.reports([[sentence] for sentence in several])

    def draft(self, volumes: Mapping[str, Any]) -> str:
        """Return a report on a study's images; a run that does not draft has none.

        Args:
            volumes: Prepared images that are present, `(X, Y, Z)`.
        """
        images, special = [self.scan(volume, name) for name, volume in volumes.items()], self.tokenizer.special
        with torch.inference_mode():
            ids = self.network.draft(images, special[FIRST], special[LAST])
        return self.tokenizer.text(ids)

    def likeness_map(self, volume: Any, name: str, direction: NDArray[np.float64]) -> Tensor:
        """Return how much each place of an image is like what a direction points at, at least 0 `([Z,] Y, X)`.

        Args:
            volume: The prepared image.
            name: Of the image.
            direction: Of a finding (see `prompt_directions`), or the vector of a sentence `(d,)`.
        """
        image = self.scan(volume, name)
        with torch.inference_mode():
            places = self.network.places(image)[0].double().cpu()
        made = torch.einsum("d...,d->...", places, torch.from_numpy(direction))
        return self._enlarged((made - made.min())[None], image)[0]

    def word_maps(self, volume: Any, name: str, reports: Sequence[Sequence[str]]) -> list[tuple[Tensor, Tensor]]:
        """Return of each report where each of its words is looked for in an image, and the weights of the words.

        Args:
            volume: The prepared image.
            name: Of the image.
            reports: Sentences of each.

        Returns:
            Attention of each word over the image, which sums to 1 over its places, of the size of the network's input
            `(W, [Z,] Y, X)`; and weights that sum to 1 `(W,)`.
        """
        image, found = self.scan(volume, name), []
        for sentences in reports:
            with torch.inference_mode():
                shares, weights = self.network.attention(image, self.pieces([sentences]))
            found.append((self._enlarged(shares, image).cpu(), weights.cpu()))
        return found

    def pieces(self, several: Sequence[Sequence[str]]) -> dict[str, Tensor]:
        """Return the pieces of reports by the names of `Tokens`, `(N, L)` each."""
        each = [plain_pieces(self.tokenizer.tokens(sentences)) for sentences in several]
        return {name: torch.stack([one[name] for one in each]).to(self.device) for name in each[0]}

    def _enlarged(self, maps: Tensor, image: Tensor) -> Tensor:
        """Return maps `(N, …)` as large as an image `(1, 1, [Z,] Y, X)`."""
        mode = MODES[self.plan.dimensions]
        return F.interpolate(maps[:, None], size=image.shape[2:], mode=mode, align_corners=False)[:, 0]


def words_map(maps: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Return one map of several sentences `([Z,] Y, X)`: the mean over them of their words' maps by weight.

    Args:
        maps: What `PairReader.word_maps` returns of each.
    """
    return torch.stack([torch.einsum("w,w...->...", weights, each) for each, weights in maps]).mean(dim=0)
