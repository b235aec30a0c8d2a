"""Whole volumes from whole volumes: overlapping stacks of slices, each source encoded once, each kernel made once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from scanweave.studies.preparation import BACKGROUND
from scanweave.systems.seq2seq.config import SamplingSettings, SynthesisSettings
from scanweave.systems.seq2seq.hyperconv import Kernel
from scanweave.systems.seq2seq.network import Seq2SeqNetwork

Volume = NDArray[np.float32]


ALL = "all"
"""Source of a prediction combined from all others."""


class Made(NamedTuple):
    """One prediction: `kind` is pair, self or all; `sources` how many it was made from; in [-1, 1]."""

    kind: Literal["pair", "self", "all"]
    source: str
    target: str
    sources: int
    volume: Volume


class Synthesizer:
    """A network ready to make volumes.

    Args:
        network: On its device.
        sequences: Names in the order of their numbers.
        settings: Batch size.
        sampling: Size of the crops that a 3D network was trained on.
        backgrounds: What surrounds each sequence, in [-1, 1]; -1 for one that is not named.
    """

    def __init__(
        self,
        network: Seq2SeqNetwork,
        sequences: Sequence[str],
        settings: SynthesisSettings,
        sampling: SamplingSettings,
        backgrounds: Mapping[str, float],
    ) -> None:
        self.network, self.sequences = network.eval(), tuple(sequences)
        self.settings, self.sampling, self.backgrounds = settings, sampling, backgrounds
        self._sources: dict[str, list[Kernel]] = {}
        self._targets: dict[str, list[Kernel]] = {}

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return self.network.code.weight.device

    @torch.inference_mode()
    def source_kernels(self, source: str) -> list[Kernel]:
        """The encoder's kernels of one source, made on first use."""
        if source not in self._sources:
            self._sources[source] = self.network.source(self._number(source))
        return self._sources[source]

    @torch.inference_mode()
    def target_kernels(self, target: str) -> list[Kernel]:
        """The decoder's kernels of one target, made on first use."""
        if target not in self._targets:
            self._targets[target] = self.network.target(self._number(target))
        return self._targets[target]

    @torch.inference_mode()
    def translate(self, source: str, volume: Volume, targets: Sequence[str]) -> dict[str, Volume]:
        """Every target from one volume `(X, Y, Z)` of the source in [-1, 1], on the same grid."""
        if not targets:
            return {}
        slices = torch.from_numpy(np.ascontiguousarray(volume.transpose(2, 1, 0)))
        make = self._stacks if self.network.settings.dimensions == 2 else self._windows
        kernels = [self.target_kernels(target) for target in targets]
        made = make(slices, self.backgrounds.get(source, BACKGROUND), self.source_kernels(source), kernels)
        return {name: result.numpy().transpose(2, 1, 0) for name, result in zip(targets, made, strict=True)}

    def combine(self, volumes: Mapping[str, Volume], targets: Sequence[str]) -> dict[str, Volume]:
        """Every target from all sources but itself, averaged in image space (spec a.4)."""
        return {made.target: made.volume for made in predictions(self, volumes, targets) if made.kind == "all"}

    def _number(self, sequence: str) -> Tensor:
        return torch.tensor([self.sequences.index(sequence)], device=self.device)

    def _stacks(
        self, slices: Tensor, around: float, source: Sequence[Kernel], targets: Sequence[Sequence[Kernel]]
    ) -> list[Tensor]:
        """2.5D: every slice is the mean over the stacks that hold it."""
        size = self.network.settings.slices
        reach = (size - 1) // 2
        depth, height, width = slices.shape
        padded = F.pad(
            _to_stride(slices, self.network.settings.stride, around),
            (0, 0, 0, 0, reach, size - 1 - reach),
            value=around,
        )
        sums = [torch.zeros(depth + size - 1, *padded.shape[1:]) for _ in targets]
        for start in range(0, depth, self.settings.batch_size):
            rows = range(start, min(depth, start + self.settings.batch_size))
            batch = torch.stack([padded[row : row + size] for row in rows]).unsqueeze(1).to(self.device)
            latent = self.network.encode(batch, source)
            for total, own in zip(sums, targets, strict=True):
                made = self.network.decode(latent, own)[:, 0].float().cpu()
                for row, stack in zip(rows, made, strict=True):
                    total[row : row + size] += stack
        count = torch.zeros(depth + size - 1, 1, 1)
        for row in range(depth):
            count[row : row + size] += 1
        window = slice(reach, reach + depth)
        return [(total / count)[window, :height, :width] for total in sums]

    def _windows(
        self, slices: Tensor, around: float, source: Sequence[Kernel], targets: Sequence[Sequence[Kernel]]
    ) -> list[Tensor]:
        """3D: overlapping windows of the trained size, blended by a Gaussian."""
        from monai.inferers import sliding_window_inference  # seconds to import, and only volumes need it

        window = (self.sampling.depth, *self.sampling.crop)

        def translate(batch: Tensor) -> tuple[Tensor, ...]:
            latent = self.network.encode(batch.unsqueeze(1), source)
            return tuple(self.network.decode(latent, own)[:, 0] for own in targets)

        made = sliding_window_inference(
            slices[None, None], window, 1, translate, overlap=0.25, mode="gaussian", cval=around,
            padding_mode="constant", sw_device=self.device, device="cpu",
        )  # fmt: skip
        results = (made,) if isinstance(made, Tensor) else made  # MONAI unwraps a tuple of one
        return [result[0, 0].float() for result in results]


def predictions(
    synthesizer: Synthesizer, volumes: Mapping[str, Volume], targets: Sequence[str], *, include_self: bool = False
) -> Iterator[Made]:
    """Every target from every single source, then from all but itself (their mean), sources in a fixed order."""
    sums: dict[str, Volume] = {}
    counts = dict.fromkeys(targets, 0)
    for source in sorted(volumes):
        wanted = [target for target in targets if target != source or include_self]
        for target, made in synthesizer.translate(source, volumes[source], wanted).items():
            yield Made("self" if source == target else "pair", source, target, 1, made)
            if source != target:
                sums[target] = sums[target] + made if target in sums else made
                counts[target] += 1
    for target, total in sums.items():
        yield Made("all", ALL, target, counts[target], total / np.float32(counts[target]))


def _to_stride(slices: Tensor, stride: int, around: float) -> Tensor:
    height, width = slices.shape[-2:]
    return F.pad(slices, (0, -width % stride, 0, -height % stride), value=around)
