"""Whole volumes from whole volumes: overlapping stacks of slices, each source encoded once, each kernel made once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from scanweave.engine.progress import in_parts, tell_share
from scanweave.nets.sizes import window_count
from scanweave.studies.preparing.preparation import BACKGROUND
from scanweave.systems.seq2seq.config import SamplingSettings, SynthesisSettings
from scanweave.systems.seq2seq.fusion_network import FusionNetwork, TargetParts
from scanweave.systems.seq2seq.hyperconv import Kernel
from scanweave.systems.seq2seq.network import Seq2SeqNetwork

Volume = NDArray[np.float32]
Make = Callable[[Mapping[str, Tensor]], Sequence[Tensor]]
"""Makes images `(B, C, [D,] H, W)` of crops of some sequences, each `(B, 1, C, [D,] H, W)`."""
OVERLAP = 0.25
"""Share of a window of a 3D network that the next one covers too."""
CPU_PIXELS = 60_000
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
        own, kernels = self.source_kernels(source), [self.target_kernels(target) for target in targets]

        def make(batches: Mapping[str, Tensor]) -> list[Tensor]:
            latent = self.network.unroll(self.network.encode(batches[source], own))
            return [self.network.decode_frames(latent, kernel)[:, 0] for kernel in kernels]

        return dict(zip(targets, self._through({source: volume}, make, len(targets)), strict=True))

    def combine(self, volumes: Mapping[str, Volume], targets: Sequence[str]) -> dict[str, Volume]:
        """Return every target from all sources but itself, averaged in image space (spec a.4)."""
        number = sum(source != target for source in volumes for target in targets) + len(targets)
        made_by_network = in_parts(predictions(self, volumes, targets), number)
        return {made.target: made.volume for made in made_by_network if made.kind == "all"}

    def _number(self, sequence: str) -> Tensor:
        return torch.tensor([self.sequences.index(sequence)], device=self.device)

    def _through(self, volumes: Mapping[str, Volume], make: Make, results: int) -> list[Volume]:
        """Return `results` volumes `(X, Y, Z)`, put together from what `make` makes of the crops of some volumes."""
        slices: dict[str, Tensor] = {}
        for name, volume in volumes.items():
            around = self.backgrounds.get(name, BACKGROUND)
            slices[name] = torch.from_numpy(np.nan_to_num(volume.transpose(2, 1, 0), nan=around))
        through = self._stacks if self.network.settings.dimensions == 2 else self._windows
        return [made.numpy().transpose(2, 1, 0) for made in through(slices, make, results)]

    def _padded(self, name: str, slices: Tensor, sides: Sequence[int]) -> Tensor:
        return F.pad(slices, list(sides), value=self.backgrounds.get(name, BACKGROUND))

    def _stacks(self, slices: Mapping[str, Tensor], make: Make, results: int) -> list[Tensor]:
        """Go through in 2.5D: every slice is the mean over the stacks that hold it."""
        settings = self.network.settings
        size, reach = settings.slices, (settings.slices - 1) // 2
        depth, height, width = next(iter(slices.values())).shape
        sides = (0, -width % settings.stride, 0, -height % settings.stride, reach, size - 1 - reach)
        padded = {name: self._padded(name, own, sides) for name, own in slices.items()}
        plane = next(iter(padded.values())).shape[1:]
        sums = [torch.zeros(depth + size - 1, *plane) for _ in range(results)]
        at_once = self._stacks_at_once(plane.numel())
        for start in range(0, depth, at_once):
            tell_share(start / depth)
            rows = range(start, min(depth, start + at_once))
            batches = {
                name: torch.stack([own[row : row + size] for row in rows]).unsqueeze(1).to(self.device)
                for name, own in padded.items()
            }
            for total, made in zip(sums, make(batches), strict=True):
                here = made.float().cpu()
                for place in reversed(range(size)):  # the sum of a slice goes by rows, whatever the batches are
                    total[start + place : start + place + len(rows)] += here[:, place]
        count = torch.zeros(depth + size - 1, 1, 1)
        for row in range(depth):
            count[row : row + size] += 1
        window = slice(reach, reach + depth)
        return [(total / count)[window, :height, :width] for total in sums]

    def _stacks_at_once(self, pixels: int) -> int:
        """Return how many stacks of slices of that many pixels go through the network in one pass."""
        if self.device.type != "cpu":
            return self.settings.batch_size
        return min(self.settings.batch_size, max(1, CPU_PIXELS // pixels))

    def _windows(self, slices: Mapping[str, Tensor], make: Make, results: int) -> list[Tensor]:
        """Go through in 3D: overlapping windows of the trained size, blended by a Gaussian."""
        from monai.inferers import sliding_window_inference  # seconds to import, and only volumes need it

        window = (self.sampling.depth, *self.sampling.crop)
        shape = next(iter(slices.values())).shape
        lacking = [max(0, size - there) for size, there in zip(window, shape, strict=True)]
        sides = [part for lack in reversed(lacking) for part in (lack // 2, lack - lack // 2)]
        padded = torch.stack([self._padded(name, own, sides) for name, own in slices.items()])
        number, seen = window_count(shape, window, OVERLAP), 0

        def windowed(batch: Tensor) -> tuple[Tensor, ...]:
            nonlocal seen
            seen += len(batch)
            tell_share(min(1.0, seen / number))
            return tuple(make({name: batch[:, None, place : place + 1] for place, name in enumerate(slices)}))

        made = sliding_window_inference(
            padded[None],
            window,
            1,
            windowed,
            overlap=OVERLAP,
            mode="gaussian",
            sw_device=self.device,
            device="cpu",
        )
        found = (made,) if isinstance(made, Tensor) else made  # MONAI unwraps a tuple of one
        box = [slice(lack // 2, lack // 2 + there) for lack, there in zip(lacking, shape, strict=True)]
        return [one[0, 0][tuple(box)].float() for one in found[:results]]


class FusingSynthesizer(Synthesizer):
    """A network that fuses sources, ready to make volumes; see `Synthesizer`."""

    network: FusionNetwork

    @torch.inference_mode()
    def translate(self, source: str, volume: Volume, targets: Sequence[str]) -> dict[str, Volume]:
        """Return every target from one volume `(X, Y, Z)` of the source in [-1, 1], on its grid; NaN is background."""
        return self.from_subsets({source: volume}, [((source,), target) for target in targets])

    def fuse(self, volumes: Mapping[str, Volume], targets: Sequence[str]) -> dict[str, Volume]:
        """Return every target from all volumes but its own."""
        others = {target: tuple(name for name in volumes if name != target) for target in targets}
        return self.from_subsets(volumes, [(others[target], target) for target in targets])

    @torch.inference_mode()
    def from_subsets(
        self, volumes: Mapping[str, Volume], wanted: Sequence[tuple[tuple[str, ...], str]], *, attended: bool = True
    ) -> dict[str, Volume]:
        """Return targets, each from some of the volumes `(X, Y, Z)` in [-1, 1]; NaN is background.

        Args:
            volumes: The sources; each is encoded once.
            wanted: Names of the sources and of the target, each target once.
            attended: Whether sources are weighted by place too.
        """
        if not wanted:
            return {}
        place = {name: self.sequences.index(name) for name in (*volumes, *(target for _, target in wanted))}
        used = {name for names, _ in wanted for name in names}
        parts = {target: self._target_parts(target) for _, target in wanted}

        def make(batches: Mapping[str, Tensor]) -> list[Tensor]:
            ready = {name: self.network.ready(batch, self.source_kernels(name)) for name, batch in batches.items()}
            return [
                self.network.answer(
                    {place[name]: ready[name] for name in names},
                    place[target],
                    parts[target],
                    self.backgrounds.get(target, BACKGROUND),
                    attended=attended,
                )[:, 0]
                for names, target in wanted
            ]

        given = {name: volume for name, volume in volumes.items() if name in used}
        return dict(zip(parts, self._through(given, make, len(wanted)), strict=True))

    @torch.inference_mode()
    def contributions(self, volumes: Mapping[str, Volume], target: str) -> tuple[dict[str, Volume], Volume]:
        """Return how much each source counts for a target, and what their weighting by place changes.

        Args:
            volumes: Scans `(X, Y, Z)` in [-1, 1]; all but the target itself are sources. NaN is background.
            target: The target.

        Returns:
            The share of each source in the fused latent, voxel by voxel, 1 together; and |prediction with attention -
            prediction without|, the task-specific enhanced map of TSF-Seq2Seq (TSEM), in [0, 2].
        """
        given = {name: volume for name, volume in volumes.items() if name != target}
        place = {name: self.sequences.index(name) for name in (*given, target)}
        parts, around = self._target_parts(target), self.backgrounds.get(target, BACKGROUND)

        def make(batches: Mapping[str, Tensor]) -> list[Tensor]:
            sources = {place[n]: self.network.ready(x, self.source_kernels(n)) for n, x in batches.items()}
            made, fused = self.network.correct(sources, place[target], parts, around)
            plain, _ = self.network.correct(sources, place[target], parts, around, attended=False)
            shares = [self._enlarged(fused.weights[place[name]], made.shape[2:]) for name in batches]
            return [*shares, (made.clamp(-1, 1) - plain.clamp(-1, 1)).abs()[:, 0]]

        *shares, effect = self._through(given, make, len(given) + 1)
        return dict(zip(given, shares, strict=True)), effect

    def _enlarged(self, share: Tensor, shape: Sequence[int]) -> Tensor:
        """Return shares `(B, 1, [d,] h, w)` of a latent at the size of images `(C, [D,] H, W)`."""
        mode = "bilinear" if share.ndim == 4 else "trilinear"
        large = F.interpolate(share, size=list(shape[1:]), mode=mode)
        return large.expand(-1, shape[0], *[-1] * (share.ndim - 2))

    def _target_parts(self, target: str) -> TargetParts:
        if target not in self._parts:
            self._parts[target] = self.network.target_parts(self.sequences.index(target))
        return self._parts[target]

    @cached_property
    def _parts(self) -> dict[str, TargetParts]:
        return {}


def ready_synthesizer(network: Seq2SeqNetwork, *about: Any) -> Synthesizer:
    """Return what makes volumes with a network; `about` is what `Synthesizer` takes besides."""
    return (FusingSynthesizer if isinstance(network, FusionNetwork) else Synthesizer)(network, *about)


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
    if isinstance(synthesizer, FusingSynthesizer):
        for target, made in synthesizer.fuse(volumes, list(means)).items():
            yield Made("all", ALL, target, means[target].volumes, made)
        return
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
