"""Whole volumes from whole volumes: overlapping stacks of slices, each source encoded once, each kernel made once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from scanweave.engine.progress import in_parts, tell_share
from scanweave.nets.sizes import window_count
from scanweave.studies.preparing.preparation import BACKGROUND
from scanweave.studies.preparing.series_frames import SeriesFrames
from scanweave.systems.seq2seq.config import SamplingSettings, SynthesisSettings
from scanweave.systems.seq2seq.frame_values import EVERY_FRAME, NONE, SomeFrames, frame_values, resampling
from scanweave.systems.seq2seq.fusion_network import Encoded, FusionNetwork, TargetParts
from scanweave.systems.seq2seq.hyperconv import Kernel
from scanweave.systems.seq2seq.network import Seq2SeqNetwork

Volume = NDArray[np.float32]
Make = Callable[[Mapping[str, Tensor]], Iterable[Tensor]]
"""Makes images `(B, T', C, [D,] H, W)` of crops of some sequences, each `(B, T, C, [D,] H, W)`."""
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
        series: The typical frames of each sequence that is a series, by the plan. Volumes of these are `(X, Y, Z, T)`,
            of all others `(X, Y, Z)`.
    """

    def __init__(
        self,
        network: Seq2SeqNetwork,
        sequences: Sequence[str],
        settings: SynthesisSettings,
        sampling: SamplingSettings,
        backgrounds: Mapping[str, float],
        series: Mapping[str, SeriesFrames] = NONE,
    ) -> None:
        self.series, self.told = series, NONE
        self.network, self.sequences = network.eval(), tuple(sequences)
        self.settings, self.sampling, self.backgrounds = settings, sampling, backgrounds
        self._sources: dict[str, list[Kernel]] = {}
        self._targets: dict[str, list[Kernel]] = {}
        self._parts: dict[str, TargetParts] = {}

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        return self.network.code.weight.device

    def of_study(self, told: Mapping[str, SeriesFrames]) -> Self:
        """Return the same for a study with these series; others have the frames that are typical by the plan."""
        made = copy(self)
        made.told = told
        return made

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

    def frames(self, name: str) -> SomeFrames:
        """Return all frames of a sequence as the network is told them; of what is no series nothing is told."""
        if name not in self.series:
            return EVERY_FRAME
        typical = self.series[name]
        return SomeFrames.whole(frame_values(self.told.get(name, typical), typical), self.device)

    @torch.inference_mode()
    def translate(self, source: str, volume: Volume, targets: Sequence[str]) -> dict[str, Volume]:
        """Return every target from one volume of the source in [-1, 1], on its grid; NaN is background.

        Args:
            source: Its name.
            volume: `(X, Y, Z)`, of a series `(X, Y, Z, T)`.
            targets: What is made.
        """
        if not targets:
            return {}
        network, own, given = self.network, self.source_kernels(source), self.frames(source)
        shifts = network.shifts_in(self._number(source), given.shown)
        wanted = {target: self.frames(target) for target in targets}

        def make(batches: Mapping[str, Tensor]) -> Iterator[Tensor]:
            latent = network.encode(batches[source], own, shifts)
            once = network.unroll(latent)
            for target, some in wanted.items():
                series = (
                    once if target not in self.series else network.unroll_some(latent, self._number(target), 1, some)
                )
                yield network.decode_frames(series, self.target_kernels(target))

        return self._through({source: volume}, make, targets)

    def combine(self, volumes: Mapping[str, Volume], targets: Sequence[str]) -> dict[str, Volume]:
        """Return every target from all sources but itself, averaged in image space (spec a.4)."""
        number = sum(source != target for source in volumes for target in targets) + len(targets)
        made_by_network = in_parts(predictions(self, volumes, targets), number)
        return {made.target: made.volume for made in made_by_network if made.kind == "all"}

    def _number(self, sequence: str) -> Tensor:
        return torch.tensor([self.sequences.index(sequence)], device=self.device)

    def _through(self, volumes: Mapping[str, Volume], make: Make, results: Sequence[str]) -> dict[str, Volume]:
        """Return volumes by name, put together from what `make` makes of the crops of some volumes.

        One whose name is of a series is `(X, Y, Z, T)`, any other `(X, Y, Z)`.
        """
        found = zip(results, self._put_together(volumes, make), strict=True)
        return {name: (made if name in self.series else made[0]).numpy().T for name, made in found}

    def _put_together(self, volumes: Mapping[str, Volume], make: Make) -> list[Tensor]:
        """Return what `make` makes of crops of some volumes as whole ones, each `(T, Z, Y, X)`."""
        slices: dict[str, Tensor] = {}
        for name, volume in volumes.items():
            around = self.backgrounds.get(name, BACKGROUND)
            own = torch.from_numpy(np.nan_to_num(volume.T, nan=around))
            slices[name] = own if own.ndim == 4 else own[None]
        through = self._stacks if self.network.settings.dimensions == 2 else self._windows
        return through(slices, make)

    def _padded(self, name: str, slices: Tensor, sides: Sequence[int]) -> Tensor:
        return F.pad(slices, list(sides), value=self.backgrounds.get(name, BACKGROUND))

    def _stacks(self, slices: Mapping[str, Tensor], make: Make) -> list[Tensor]:
        """Go through in 2.5D: every slice is the mean over the stacks that hold it."""
        settings = self.network.settings
        size, reach = settings.slices, (settings.slices - 1) // 2
        depth, height, width = next(iter(slices.values())).shape[1:]
        sides = (0, -width % settings.stride, 0, -height % settings.stride)
        beyond = (0, 0, 0, 0, reach, size - 1 - reach)  # no stack in training holds an empty slice beside a full one
        padded = {n: F.pad(self._padded(n, own, sides), beyond, mode="replicate") for n, own in slices.items()}
        plane = next(iter(padded.values())).shape[2:]
        sums: list[Tensor] = []
        at_once = self._stacks_at_once(plane.numel())
        for start in range(0, depth, at_once):
            tell_share(start / depth)
            rows = range(start, min(depth, start + at_once))
            batches = {
                name: torch.stack([own[:, row : row + size] for row in rows]).to(self.device)
                for name, own in padded.items()
            }
            for number, made in enumerate(make(batches)):
                here = made.float().cpu().transpose(0, 1)  # (T, B, C, H, W)
                made_at_once = here.shape[2]
                if number == len(sums):
                    sums.append(torch.zeros(len(here), depth + made_at_once - 1, *plane))
                for place in reversed(range(made_at_once)):  # a slice's sum goes by rows, whatever the batches are
                    sums[number][:, start + place : start + place + len(rows)] += here[:, :, place]
        return [self._mean_slices(total, depth)[..., :height, :width] for total in sums]

    @staticmethod
    def _mean_slices(total: Tensor, depth: int) -> Tensor:
        """Divide the sums of slices by how many stacks made each, and cut them to those of the volume."""
        at_once = total.shape[1] - depth + 1
        count = torch.zeros(total.shape[1], 1, 1)
        for row in range(depth):
            count[row : row + at_once] += 1
        reach = (at_once - 1) // 2
        return total.div_(count)[:, reach : reach + depth]

    def _stacks_at_once(self, pixels: int) -> int:
        """Return how many stacks of slices of that many pixels go through the network in one pass."""
        if self.device.type != "cpu":
            return self.settings.batch_size
        return min(self.settings.batch_size, max(1, CPU_PIXELS // pixels))

    def _windows(self, slices: Mapping[str, Tensor], make: Make) -> list[Tensor]:
        """Go through in 3D: overlapping windows of the trained size, blended by a Gaussian."""
        from monai.inferers import sliding_window_inference  # seconds to import, and only volumes need it

        window = (self.sampling.depth, *self.sampling.crop)
        shape = next(iter(slices.values())).shape[1:]
        lacking = [max(0, size - there) for size, there in zip(window, shape, strict=True)]
        sides = [part for lack in reversed(lacking) for part in (lack // 2, lack - lack // 2)]
        padded = torch.cat([self._padded(name, own, sides) for name, own in slices.items()])
        frames = [len(own) for own in slices.values()]
        number, seen = window_count(shape, window, OVERLAP), 0

        def windowed(batch: Tensor) -> tuple[Tensor, ...]:
            nonlocal seen
            seen += len(batch)
            tell_share(min(1.0, seen / number))
            parts = zip(slices, torch.split(batch.unsqueeze(2), frames, dim=1), strict=True)
            return tuple(made[:, :, 0] for made in make(dict(parts)))  # frames as channels

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
        return [one[0][(slice(None), *box)].float() for one in found]


class FusingSynthesizer(Synthesizer):
    """A network that fuses sources, ready to make volumes; see `Synthesizer`."""

    network: FusionNetwork

    def translate(self, source: str, volume: Volume, targets: Sequence[str]) -> dict[str, Volume]:
        """Return every target from one volume of the source in [-1, 1], on its grid; see `Synthesizer`."""
        return self.from_subsets({source: volume}, [((source,), target) for target in targets])

    def fuse(self, volumes: Mapping[str, Volume], targets: Sequence[str]) -> dict[str, Volume]:
        """Return every target from all volumes but its own."""
        others = {target: tuple(name for name in volumes if name != target) for target in targets}
        return self.from_subsets(volumes, [(others[target], target) for target in targets])

    @torch.inference_mode()
    def from_subsets(
        self,
        volumes: Mapping[str, Volume],
        wanted: Sequence[tuple[tuple[str, ...], str]],
        *,
        attended: bool = True,
    ) -> dict[str, Volume]:
        """Return targets, each from some of the volumes in [-1, 1], `(X, Y, Z)` or `(X, Y, Z, T)`; NaN is background.

        Args:
            volumes: The sources; each is encoded once.
            wanted: Names of the sources and of the target, each target once.
            attended: Whether sources are weighted by place too.
        """
        if not wanted:
            return {}
        place = {name: self.sequences.index(name) for name in (*volumes, *(target for _, target in wanted))}
        used = {name for names, _ in wanted for name in names}
        targets = [target for _, target in wanted]

        def make(batches: Mapping[str, Tensor]) -> Iterator[Tensor]:
            ready = {name: self._ready(name, batch) for name, batch in batches.items()}
            for names, target in wanted:
                yield self.network.answer(
                    {place[name]: ready[name] for name in names},
                    place[target],
                    self._target_parts(target),
                    self.backgrounds.get(target, BACKGROUND),
                    some=self.frames(target),
                    attended=attended,
                )

        given = {name: volume for name, volume in volumes.items() if name in used}
        return self._through(given, make, targets)

    def _ready(self, source: str, batch: Tensor) -> Encoded:
        """Encode crops of one source."""
        told, number = self.frames(source).shown, self.sequences.index(source)
        shifts = self.network.shifts_in(self._number(source), told)
        known = None
        if number in self.network.nodes and told is not None:
            weights = resampling(told[0].tolist(), self.network.nodes[number].values)
            known = torch.einsum("nt,bt...->bn...", torch.from_numpy(weights).to(batch), batch)
        return self.network.ready(number, batch, self.source_kernels(source), shifts, known, told)

    @torch.inference_mode()
    def contributions(self, volumes: Mapping[str, Volume], target: str) -> tuple[dict[str, Volume], Volume]:
        """Return the weight of each source for a target, and what their weighting by place changes.

        Args:
            volumes: Scans in [-1, 1], as in `from_subsets`; all but the target itself are sources. NaN is background.
            target: The target.

        Returns:
            The weight of each source in the fused latent, voxel by voxel, 1 together; and |prediction with attention -
            prediction without|, the task-specific enhanced map of TSF-Seq2Seq (TSEM), in [0, 2]; of a series its mean
            over the frames. All are `(X, Y, Z)`.
        """
        given = {name: volume for name, volume in volumes.items() if name != target}
        place = {name: self.sequences.index(name) for name in (*given, target)}
        parts, around = self._target_parts(target), self.backgrounds.get(target, BACKGROUND)

        some = self.frames(target)

        def make(batches: Mapping[str, Tensor]) -> list[Tensor]:
            sources = {place[name]: self._ready(name, batch) for name, batch in batches.items()}
            made, fused = self.network.correct(sources, place[target], parts, around, some=some)
            plain, _ = self.network.correct(sources, place[target], parts, around, some=some, attended=False)
            weights = [self._enlarged(fused.weights[place[name]], made.shape[2:])[:, None] for name in batches]
            effect = (made.clamp(-1, 1) - plain.clamp(-1, 1)).abs()
            return [*weights, effect if effect.shape[1] == 1 else effect.mean(1, keepdim=True)]

        *weights, effect = self._put_together(given, make)
        return dict(zip(given, (weight[0].numpy().T for weight in weights), strict=True)), effect[0].numpy().T

    def _enlarged(self, weight: Tensor, shape: Sequence[int]) -> Tensor:
        """Return weights `(B, 1, [d,] h, w)` of a latent at the size of images `(C, [D,] H, W)`."""
        mode = "bilinear" if weight.ndim == 4 else "trilinear"
        large = F.interpolate(weight, size=list(shape[1:]), mode=mode)
        return large.expand(-1, shape[0], *[-1] * (weight.ndim - 2))

    def _target_parts(self, target: str) -> TargetParts:
        if target not in self._parts:
            self._parts[target] = self.network.target_parts(self.sequences.index(target))
        return self._parts[target]


def ready_synthesizer(network: Seq2SeqNetwork, *about: Any) -> Synthesizer:
    """Return what makes volumes with a network; `about` is what `Synthesizer` takes besides."""
    return (FusingSynthesizer if isinstance(network, FusionNetwork) else Synthesizer)(network, *about)


def predictions(
    synthesizer: Synthesizer,
    volumes: Mapping[str, Volume],
    targets: Sequence[str],
    *,
    include_self: bool = False,
) -> Iterator[Made]:
    """Yield every target from every single source, then from all but itself, sources in a fixed order.

    "All" is the mean of those sources that cover a voxel; where none does, the background of the target.
    """
    means: dict[str, CoveredMean] = {}
    for source in sorted(volumes):
        wanted = [target for target in targets if target != source or include_self]
        covered = covered_by(volumes[source])
        for target, made in synthesizer.translate(source, volumes[source], wanted).items():
            yield Made("self" if source == target else "pair", source, target, 1, made)
            if source != target:
                means.setdefault(target, CoveredMean(made.shape)).add(made, covered)
    if isinstance(synthesizer, FusingSynthesizer):
        for target, made in synthesizer.fuse(volumes, list(means)).items():
            yield Made("all", ALL, target, means[target].volumes, made)
        return
    for target, mean in means.items():
        yield Made("all", ALL, target, mean.volumes, mean.value(synthesizer.backgrounds.get(target, BACKGROUND)))


def means_of_others(volumes: Mapping[str, Volume], targets: Sequence[str]) -> Iterator[Made]:
    """Yield the control: for every target the mean of all other scans, each in [-1, 1]; the same for all its frames."""
    for target in targets:
        mean = CoveredMean(volumes[target].shape)
        for source in sorted(volumes):
            if source != target:
                mean.add(_like(mean_frame(volumes[source]), volumes[target]), covered_by(volumes[source]))
        if mean.volumes:
            yield Made("mean", MEAN, target, mean.volumes, mean.value(BACKGROUND))


def covered_by(volume: Volume) -> NDArray[np.bool_]:
    """Tell which voxels `(X, Y, Z)` a volume covers, or all frames of a series `(X, Y, Z, T)`."""
    return ~np.isnan(volume) if volume.ndim == 3 else ~np.asarray(np.isnan(volume).any(axis=-1))


def mean_frame(volume: Volume) -> Volume:
    """Return a volume `(X, Y, Z)`; of a series `(X, Y, Z, T)` its mean over the frames."""
    return volume if volume.ndim == 3 else np.asarray(volume.mean(axis=-1))


def frames_of(volume: Volume) -> list[Volume]:
    """Return the frames of a series `(X, Y, Z, T)`, or a volume `(X, Y, Z)` alone."""
    return [volume] if volume.ndim == 3 else list(np.moveaxis(volume, -1, 0))


def _like(volume: Volume, other: Volume) -> Volume:
    """Return a volume once for each frame of another."""
    return volume if other.ndim == 3 else np.broadcast_to(volume[..., None], other.shape)


class CoveredMean:
    """A mean over volumes, voxel by voxel over those that cover it.

    Args:
        shape: Of the volumes, `(X, Y, Z)` or `(X, Y, Z, T)`.

    Attributes:
        volumes: How many were added.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.volumes = 0
        self._total = np.zeros(shape, dtype=np.float32)
        self._count = np.zeros(shape, dtype=np.uint16)

    def add(self, volume: Volume, covered: NDArray[np.bool_]) -> None:
        """Count a volume where its source covers, `(X, Y, Z)`."""
        self.volumes += 1
        covered = covered if volume.ndim == covered.ndim else covered[..., None]
        self._total += np.where(covered, volume, np.float32(0))
        self._count += covered

    def value(self, nowhere: float) -> Volume:
        """Return the mean; `nowhere` where no volume covers."""
        mean = self._total / np.maximum(self._count, 1).astype(np.float32)
        return np.where(self._count > 0, mean, np.float32(nowhere))
