"""Whole volumes from whole volumes: overlapping stacks of slices, each source encoded once, each kernel made once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from scanweave.engine.progress import in_parts, tell_share
from scanweave.nets.sizes import window_count
from scanweave.studies.preparing.preparation import BACKGROUND
from scanweave.systems.seq2seq.config import SamplingSettings, SynthesisSettings
from scanweave.systems.seq2seq.hyperconv import Kernel
from scanweave.systems.seq2seq.network import Seq2SeqNetwork

Volume = NDArray[np.float32]
OVERLAP = 0.25
"""Share of a window of a 3D network that the next one covers too."""
CPU_PIXELS = 120_000
"""Most pixels of a forward pass on a CPU: larger ones leave its caches and cost more a pixel."""

ALL, MEAN = "all", "mean"
"""Sources that are several: a prediction combined from all others, and the mean of all others without the network."""


class Made(NamedTuple):
    """One prediction in [-1, 1], and how many sources it was made from.

    `kind`: from one other ("pair"), from itself ("self"), from all others ("all"); or, as a control without the
    network, the mean of all others ("mean").
    """

    kind: Literal["pair", "self", "all", "mean"]
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
        """Device of the network."""
        return self.network.code.weight.device

    @torch.inference_mode()
    def source_kernels(self, source: str) -> list[Kernel]:
        """Return the encoder's kernels of one source, made on first use."""
        if source not in self._sources:
            self._sources[source] = self.network.source(self._number(source))
        return self._sources[source]

    @torch.inference_mode()
    def target_kernels(self, target: str) -> list[Kernel]:
        """Return the decoder's kernels of one target, made on first use."""
        if target not in self._targets:
            self._targets[target] = self.network.target(self._number(target))
        return self._targets[target]

    @torch.inference_mode()
    def translate(self, source: str, volume: Volume, targets: Sequence[str]) -> dict[str, Volume]:
        """Return every target from one volume `(X, Y, Z)` of the source in [-1, 1], on its grid; NaN is background."""
        if not targets:
            return {}
        around = self.backgrounds.get(source, BACKGROUND)
        slices = torch.from_numpy(np.nan_to_num(volume.transpose(2, 1, 0), nan=around))
        make = self._stacks if self.network.settings.dimensions == 2 else self._windows
        kernels = [self.target_kernels(target) for target in targets]
        made = make(slices, around, self.source_kernels(source), kernels)
        return {name: result.numpy().transpose(2, 1, 0) for name, result in zip(targets, made, strict=True)}

    def combine(self, volumes: Mapping[str, Volume], targets: Sequence[str]) -> dict[str, Volume]:
        """Return every target from all sources but itself, averaged in image space (spec a.4)."""
        number = sum(source != target for source in volumes for target in targets) + len(targets)
        made_by_network = in_parts(predictions(self, volumes, targets), number)
        return {made.target: made.volume for made in made_by_network if made.kind == "all"}

    def _number(self, sequence: str) -> Tensor:
        return torch.tensor([self.sequences.index(sequence)], device=self.device)

    def _stacks(
        self, slices: Tensor, around: float, source: Sequence[Kernel], targets: Sequence[Sequence[Kernel]]
    ) -> list[Tensor]:
        """Translate in 2.5D: every slice is the mean over the stacks that hold it."""
        size = self.network.settings.slices
        reach = (size - 1) // 2
        depth, height, width = slices.shape
        padded = F.pad(
            _to_stride(slices, self.network.settings.stride, around),
            (0, 0, 0, 0, reach, size - 1 - reach),
            value=around,
        )
        sums = [torch.zeros(depth + size - 1, *padded.shape[1:]) for _ in targets]
        at_once = self._stacks_at_once(padded[0])
        for start in range(0, depth, at_once):
            tell_share(start / depth)
            rows = range(start, min(depth, start + at_once))
            batch = torch.stack([padded[row : row + size] for row in rows]).unsqueeze(1).to(self.device)
            latent = self.network.unroll(self.network.encode(batch, source))
            for total, own in zip(sums, targets, strict=True):
                made = self.network.decode_frames(latent, own)[:, 0].float().cpu()
                for place in reversed(range(size)):  # the sum of a slice goes by rows, whatever the batches are
                    total[start + place : start + place + len(rows)] += made[:, place]
        count = torch.zeros(depth + size - 1, 1, 1)
        for row in range(depth):
            count[row : row + size] += 1
        window = slice(reach, reach + depth)
        return [(total / count)[window, :height, :width] for total in sums]

    def _stacks_at_once(self, one: Tensor) -> int:
        """Return how many stacks of slices such as this one go through the network in one pass."""
        if self.device.type != "cpu":
            return self.settings.batch_size
        return min(self.settings.batch_size, max(1, CPU_PIXELS // one.numel()))

    def _windows(
        self, slices: Tensor, around: float, source: Sequence[Kernel], targets: Sequence[Sequence[Kernel]]
    ) -> list[Tensor]:
        """Translate in 3D: overlapping windows of the trained size, blended by a Gaussian."""
        from monai.inferers import sliding_window_inference  # seconds to import, and only volumes need it

        window = (self.sampling.depth, *self.sampling.crop)

        number, seen = window_count(slices.shape, window, OVERLAP), 0

        def translate(batch: Tensor) -> tuple[Tensor, ...]:
            nonlocal seen
            seen += len(batch)
            tell_share(min(1.0, seen / number))
            latent = self.network.unroll(self.network.encode(batch.unsqueeze(1), source))
            return tuple(self.network.decode_frames(latent, own)[:, 0] for own in targets)

        made = sliding_window_inference(
            slices[None, None],
            window,
            1,
            translate,
            overlap=OVERLAP,
            mode="gaussian",
            cval=around,
            padding_mode="constant",
            sw_device=self.device,
            device="cpu",
        )
        results = (made,) if isinstance(made, Tensor) else made  # MONAI unwraps a tuple of one
        return [result[0, 0].float() for result in results]


def predictions(
    synthesizer: Synthesizer, volumes: Mapping[str, Volume], targets: Sequence[str], *, include_self: bool = False
) -> Iterator[Made]:
    """Yield every target from every single source, then from all but itself, sources in a fixed order.

    "All" is the mean of those sources that cover a voxel; where none does, the background of the target.
    """
    means: defaultdict[str, CoveredMean] = defaultdict(lambda: CoveredMean(next(iter(volumes.values())).shape))
    for source in sorted(volumes):
        wanted = [target for target in targets if target != source or include_self]
        covered = ~np.isnan(volumes[source])
        for target, made in synthesizer.translate(source, volumes[source], wanted).items():
            yield Made("self" if source == target else "pair", source, target, 1, made)
            if source != target:
                means[target].add(made, covered)
    for target, mean in means.items():
        yield Made("all", ALL, target, mean.volumes, mean.value(synthesizer.backgrounds.get(target, BACKGROUND)))


def means_of_others(volumes: Mapping[str, Volume], targets: Sequence[str]) -> Iterator[Made]:
    """Yield the control: for every target the mean of all other scans, each in [-1, 1]."""
    for target in targets:
        mean = CoveredMean(volumes[target].shape)
        for source in sorted(volumes):
            if source != target:
                mean.add(volumes[source], ~np.isnan(volumes[source]))
        if mean.volumes:
            yield Made("mean", MEAN, target, mean.volumes, mean.value(BACKGROUND))


class CoveredMean:
    """A mean over volumes, voxel by voxel over those that cover it.

    Args:
        shape: Of the volumes.

    Attributes:
        volumes: How many were added.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.volumes = 0
        self._total = np.zeros(shape, dtype=np.float32)
        self._count = np.zeros(shape, dtype=np.uint16)

    def add(self, volume: Volume, covered: NDArray[np.bool_]) -> None:
        """Count a volume where it covers."""
        self.volumes += 1
        self._total += np.where(covered, volume, np.float32(0))
        self._count += covered

    def value(self, nowhere: float) -> Volume:
        """Return the mean; `nowhere` where no volume covers."""
        mean = self._total / np.maximum(self._count, 1).astype(np.float32)
        return np.where(self._count > 0, mean, np.float32(nowhere))


def _to_stride(slices: Tensor, stride: int, around: float) -> Tensor:
    height, width = slices.shape[-2:]
    return F.pad(slices, (0, -width % stride, 0, -height % stride), value=around)
