"""Any subset of sequences to any sequence: sources fused in latent space, skips, and a regression that is corrected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from types import MappingProxyType
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.nets.layers import channels_last
from scanweave.systems.seq2seq.config import NetworkSettings
from scanweave.systems.seq2seq.frame_values import EVERY_FRAME, SeriesNodes, SomeFrames, resampling
from scanweave.systems.seq2seq.fusion import Fused, SourceFusion
from scanweave.systems.seq2seq.hyperconv import HyperConv, Kernel
from scanweave.systems.seq2seq.network import (
    SLOPE,
    ResidualBlock,
    Seq2SeqNetwork,
    activated,
    convolved,
    hyper_convolution,
    normalisation,
    plain_convolution,
    stage,
)
from scanweave.systems.seq2seq.regression import VoxelwiseRegression, shown

NO_NODES: Mapping[int, SeriesNodes] = MappingProxyType({})
"""Of sequences of which none is a series."""
START = 0.2
"""Share of the usual size that the last convolution starts with."""


class TargetParts(NamedTuple):
    """Parts of the network made for one target, once however many slices follow.

    Attributes:
        decoder: Kernels of the decoder.
        attention: Kernels of the attention, fine to coarse.
        gates: How open each skip is by channel, coarse to fine, each `(F_l,)` in [0, 1].
    """

    decoder: list[Kernel]
    attention: list[Kernel]
    gates: list[Tensor]


class Encoded(NamedTuple):
    """A source and its features.

    Attributes:
        frames: The middle slices of what was given, or the volumes, `(B, T, 1, [D,] H, W)` in [-1, 1]; of a series
            those that the regression knows.
        levels: Their means over the frames, fine to coarse.
        moments: Of a series the features of each of its frames, but for the latent, `(B, T, F_l, [d,] h, w)`; none of
            what is no series, or one whose values are not known.
        values: Of these frames `(B, T)`.
    """

    frames: Tensor
    levels: list[Tensor]
    moments: list[Tensor]
    values: Tensor | None

    def rows(self, which: Tensor) -> Encoded:
        """Return some samples of the batch, `(B,)` booleans."""
        levels, moments = ([level[which] for level in part] for part in (self.levels, self.moments))
        return Encoded(self.frames[which], levels, moments, None if self.values is None else self.values[which])

    def at(self, level: int, weights: Tensor) -> Tensor:
        """Return the features of one size between its frames, `(B · K, F_l, [d,] h, w)`, by weights `(B, K, T)`."""
        return torch.einsum("bkt,bt...->bk...", weights, self.moments[level]).flatten(0, 1)


class SharedEncoder(nn.Module):
    """A first convolution that knows its source, and what all sources share: so these go through it in one batch.

    Its result is kept before the activation too: what is bent only after it was fused can depend on several sources
    together.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        convolution = hyper_convolution if settings.source_code else plain_convolution
        widths = settings.channels
        self.first = convolution(settings, settings.image_channels, widths[0], settings.kernel_size)
        self.down = nn.ModuleList(plain_convolution(settings, a, b, 3, 2) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(normalisation(settings, width) for width in widths)
        self.blocks = nn.ModuleList(ResidualBlock(settings, plain_convolution) for _ in range(settings.blocks))
        self.lean = settings.recompute

    def forward(self, x: Tensor, kernels: Sequence[Kernel]) -> list[Tensor]:
        """Map `(B, C, [D,] H, W)` to features of each size, fine to coarse; the last, `(B, F, [d,] h, w)`, go on."""
        return self.deepened(self.begun(x, kernels))

    def begun(self, x: Tensor, kernels: Sequence[Kernel]) -> Tensor:
        """Return the finest features, before their activation."""
        made: Tensor = self.norms[0](convolved(self.first, channels_last(x), iter(kernels)))
        return made

    def deepened(self, finest: Tensor) -> list[Tensor]:
        """Return these and the coarser ones."""
        levels, x = [finest], F.leaky_relu(finest, SLOPE)
        for layer, norm in zip(self.down, self.norms[1:], strict=True):
            x = stage(layer, x, iter(()), partial(activated, layer, norm), lean=self.lean)
            levels.append(x)
        for block in self.blocks:
            x = block(x, iter(()))
        return [*levels[:-1], x]


class SkipDecoder(nn.Module):
    """Residual blocks, then up-samplings, to each the fused features of that size are added, by gates of the target.

    Every convolution is a `HyperConv`. Those that lead to a larger size come before the up-sampling, where there are
    fewer voxels. The last starts small: before any training the answer is nearly the regression.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        widths = settings.channels[::-1]
        self.mode = "bilinear" if settings.dimensions == 2 else "trilinear"
        self.blocks = nn.ModuleList(ResidualBlock(settings, hyper_convolution) for _ in range(settings.blocks))
        self.up = nn.ModuleList(hyper_convolution(settings, a, b) for a, b in pairwise(widths))
        self.up_norms = nn.ModuleList(normalisation(settings, width) for width in widths[1:])
        self.gates = nn.ModuleList(nn.Linear(settings.code_length, width) for width in widths[1:])
        images = settings.made_channels
        self.joined = hyper_convolution(settings, widths[-1] + images, widths[-1])
        self.refined = hyper_convolution(settings, widths[-1], widths[-1])
        self.last = hyper_convolution(settings, widths[-1], images)
        self.lean = settings.recompute
        with torch.no_grad():
            self.last.bank.mul_(START)  # type: ignore[operator]

    def forward(self, series: Tensor, skips: Sequence[Tensor], begun: Tensor, parts: TargetParts) -> Tensor:
        """Return what is added to the regression, in standard deviations of the target, `(B, 1, [D,] H, W)`.

        Args:
            series: Latents `(B, F, [d,] h, w)`.
            skips: Fused features of the larger sizes, fine to coarse.
            begun: The regression, standardised, `(B, 1, [D,] H, W)`.
            parts: Of the target.
        """
        own, x = iter(parts.decoder), series
        for block in self.blocks:
            x = block(x, own)
        for layer, norm, gate, skip in zip(self.up, self.up_norms, parts.gates, skips[::-1], strict=True):
            x = stage(layer, x, own, partial(self._enlarged, layer, norm, gate, skip), lean=self.lean)
        x = torch.cat([x, begun], dim=1)
        for layer in (self.joined, self.refined):
            x = stage(layer, x, own, partial(activated, layer, nn.Identity()), lean=self.lean)
        return stage(self.last, x, own, partial(convolved, self.last), lean=self.lean)

    def _enlarged(
        self, layer: nn.Module, norm: nn.Module, gate: Tensor, skip: Tensor, x: Tensor, kernels: Iterator[Kernel]
    ) -> Tensor:
        x = F.interpolate(convolved(layer, x, kernels), size=skip.shape[2:], mode=self.mode)
        return F.leaky_relu_(norm(x + skip * gate.view(1, -1, *[1] * (skip.ndim - 2))), SLOPE)


class FusionNetwork(Seq2SeqNetwork):
    """x̂_t = r_t(S) + D(z_t(S)), with r the regression on the given sources S and z their fused features.

    Args:
        settings: Sizes.
        sequences: How many there are.
        nodes: Values of the frames at which the regression knows each series, by its number; see `series_nodes`.
    """

    encoder_class: ClassVar[type[nn.Module]] = SharedEncoder
    decoder_class: ClassVar[type[nn.Module]] = SkipDecoder
    encoder: SharedEncoder
    decoder: SkipDecoder

    def __init__(self, settings: NetworkSettings, sequences: int, nodes: Mapping[int, SeriesNodes] = NO_NODES) -> None:
        super().__init__(settings)
        self.nodes = dict(nodes)
        self.fusion = SourceFusion(settings.code_length, settings.channels, settings.rank, settings.dimensions)
        self.regression = VoxelwiseRegression(sequences, {n: len(own.values) for n, own in self.nodes.items()})
        convolution = nn.Conv2d if settings.dimensions == 2 else nn.Conv3d
        widths = settings.channels[:-1] if self.nodes else ()
        self.changes = nn.ModuleList(_silent(convolution(width, width, kernel_size=1)) for width in widths)
        for layer in self.modules():
            if isinstance(layer, HyperConv):
                with torch.no_grad():  # else a mixture of the bank is smaller by √r, and signals fade by layers
                    layer.bank.mul_(settings.rank**0.5)

    def ready(
        self,
        number: int,
        x: Tensor,
        kernels: Sequence[Kernel],
        shifts: Tensor | None = None,
        known: Tensor | None = None,
        values: Tensor | None = None,
    ) -> Encoded:
        """Encode frames `(B, T, C, [D,] H, W)` of one source.

        Args:
            number: Of the source.
            x: Its frames, or some of them.
            kernels: Of the source.
            shifts: What `shifts_in` says of these frames.
            known: Of a series, the frames that the regression knows, `(B, nodes, C, [D,] H, W)`; None: `x` are these.
            values: Of a series, those of the frames `(B, T)` or `(1, T)`; None: they are not known.
        """
        levels = self._frame_levels(self.regression.standardised(x, number), kernels, 0)
        moments = levels[:-1] if number in self.nodes and values is not None else []
        values = values.expand(len(x), -1) if moments and values is not None else None
        frames = _middle(x if known is None else known)
        return Encoded(frames, self._means(levels, shifts), moments, values)

    def ready_together(self, scans: Mapping[int, Tensor]) -> dict[int, Encoded]:
        """Encode sources that are no series, each `(B, 1, C, [D,] H, W)`, in one batch: faster, equal but for rounding.

        Not where the bits of one source must not depend on which others are there.
        """
        kernels = {number: self.source(torch.tensor([number], device=x.device)) for number, x in scans.items()}
        begun = [self.encoder.begun(self.regression.standardised(x[:, 0], n), kernels[n]) for n, x in scans.items()]
        levels = self.encoder.deepened(torch.cat(begun))
        levels[-1] = self.encoder_lstm(levels[-1][:, None])[:, 0]
        apart = zip(*(level.chunk(len(scans)) for level in levels), strict=True)
        return {n: Encoded(_middle(x), [*own], [], None) for (n, x), own in zip(scans.items(), apart, strict=True)}

    def target_parts(self, target: int) -> TargetParts:
        """Make what depends on the target alone."""
        code = self.code_of(torch.tensor([target], device=self.code.weight.device))
        decoder = [layer.kernel(code) for layer in self.decoder.modules() if isinstance(layer, HyperConv)]
        attention = [layer.kernel(code) for layer in self.fusion.modules() if isinstance(layer, HyperConv)]
        return TargetParts(decoder, attention, [torch.sigmoid(gate(code))[0] for gate in self.decoder.gates])

    def correct(
        self,
        sources: Mapping[int, Encoded],
        target: int,
        parts: TargetParts,
        around: float,
        *,
        frames: int = 1,
        some: SomeFrames = EVERY_FRAME,
        attended: bool = True,
    ) -> tuple[Tensor, Fused]:
        """Return the target `(B, frames, C, [D,] H, W)`, not yet within [-1, 1], and what it was fused from.

        The regression makes it, of a series each frame, from the frames of each source; the network adds the rest.

        Args:
            sources: The given sources by number; the target is none of them.
            target: Its number.
            parts: Made for it.
            around: Its background in [-1, 1].
            frames: How many to make.
            some: Which ones, in place of the first.
            attended: Whether sources are weighted by place too.
        """
        levels = {number: source.levels for number, source in sources.items()}
        fused = self.fusion(levels, target, parts.attention, attended=attended)
        seen, scale = shown({n: source.frames.amax(1) for n, source in sources.items()}), self.regression.spread[target]

        def corrected(frame: Tensor, skips: Sequence[Tensor], begun: Tensor, seen: Tensor) -> Tensor:
            known = self.regression.standardised(begun, target)
            return torch.where(seen, begun + scale * self.decoder(frame, skips, known, parts), around)

        number = torch.tensor([target], device=seen.device)
        series = self.unroll_some(fused.levels[-1], number, frames, some)
        frames = series.shape[1]
        begun = self._begun(sources, target, around, some, frames)
        between = self._between(sources, target, some)

        def skips(which: slice, count: int) -> list[Tensor]:
            if not between:
                return [_for_each(level, count) for level in fused.levels[:-1]]
            chosen = {n: weights[:, which] for n, weights in between.items()}
            return self._skips(sources, target, parts, chosen, count, attended=attended)

        if frames > 1 and not self.training:  # one by one: memory does not grow with their number
            pairs = zip(series.unbind(1), begun.unbind(1), strict=True)
            made = [corrected(x, skips(slice(k, k + 1), 1), one, seen) for k, (x, one) in enumerate(pairs)]
            return torch.stack(made, dim=1), fused
        whole = skips(slice(None), frames)
        folded = corrected(series.flatten(0, 1), whole, begun.flatten(0, 1), _for_each(seen, frames))
        return folded.view(-1, frames, *folded.shape[1:]), fused

    def _between(self, sources: Mapping[int, Encoded], target: int, some: SomeFrames) -> dict[int, Tensor]:
        """Return the weights `(B, K, T)` by which frames of sources make those that are asked for, by number.

        Of sources whose frames have values of the same kind as the target's alone: times go with times.
        """
        wanted = some.shown
        if target not in self.nodes or wanted is None:
            return {}
        own, found = self.nodes[target], dict[int, Tensor]()
        for number, source in sources.items():
            if source.values is not None and self.nodes[number].kind == own.kind:
                there = wanted * (own.unit / self.nodes[number].unit)
                found[number] = _weights(source.values, there, source.frames)
        return found

    def _skips(
        self,
        sources: Mapping[int, Encoded],
        target: int,
        parts: TargetParts,
        between: Mapping[int, Tensor],
        count: int,
        *,
        attended: bool,
    ) -> list[Tensor]:
        """Return fused features of the larger sizes for some frames of a target, `(B · K, F_l, [d,] h, w)`.

        Of a source that is over time too they are those of its frames at that time, and how these differ from the mean
        of all: in one frame alone fat without signal looks like a lesion before contrast agent.
        """
        made = []
        for level, kernel in enumerate(parts.attention[:-1]):
            features = {n: _for_each(one.levels[level], count) for n, one in sources.items()}
            for number, weights in between.items():
                then = sources[number].at(level, weights)
                features[number] = then + self.changes[level](features[number] - then)
            made.append(self.fusion.at_level(level, features, target, kernel, attended=attended)[0])
        return made

    def _begun(
        self, sources: Mapping[int, Encoded], target: int, around: float, some: SomeFrames, frames: int
    ) -> Tensor:
        """Return the regression's frames of a target, `(B, frames, C, [D,] H, W)`: between those that it knows, linear.

        Of what is no series the same one, so often; of a series of which nothing is told the mean.
        """
        given = {n: one.frames if n in self.nodes else one.frames.mean(1) for n, one in sources.items()}
        found = self.regression(given, target, around)
        if target not in self.nodes:
            return found[:, None].expand(-1, frames, *found.shape[1:])
        values = some.shown
        if values is None:
            return found.mean(1, keepdim=True).expand(-1, frames, *found.shape[2:])
        nodes = torch.tensor([self.nodes[target].values], device=found.device)
        return torch.einsum("bkn,bn...->bk...", _weights(nodes, values, found), found)

    def answer(
        self,
        sources: Mapping[int, Encoded],
        target: int,
        parts: TargetParts,
        around: float,
        *,
        frames: int = 1,
        some: SomeFrames = EVERY_FRAME,
        attended: bool = True,
    ) -> Tensor:
        """Return the target in [-1, 1], its background where no source shows anything; see `correct`."""
        made, _ = self.correct(sources, target, parts, around, frames=frames, some=some, attended=attended)
        return made.clamp(-1, 1)


def _middle(x: Tensor) -> Tensor:
    """Return the middle slices of stacks `(B, T, C, H, W)`, or volumes `(B, T, 1, D, H, W)` as they are."""
    place = (x.shape[2] - 1) // 2
    return x[:, :, place : place + 1]


def _weights(values: Tensor, wanted: Tensor, like: Tensor) -> Tensor:
    """Return the weights `(B, K, T)` by which frames of these values `(B, T)` make those of others `(B, K)`; see there.

    Either may have one row for all samples; `like (B, …)` says how many there are.
    """
    rows = max(len(values), len(wanted))
    pairs = zip(values.expand(rows, -1).tolist(), wanted.expand(rows, -1).tolist(), strict=True)
    made = torch.from_numpy(np.stack([resampling(own, asked) for own, asked in pairs]))
    return made.to(like).expand(len(like), -1, -1)


def _silent(convolution: nn.Conv2d | nn.Conv3d) -> nn.Module:
    """Return a convolution that gives nothing before any training."""
    nn.init.zeros_(convolution.weight)
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return convolution


def _for_each(x: Tensor, frames: int) -> Tensor:
    """Return `(B, …)` once for each frame, `(B · frames, …)`."""
    return x if frames == 1 else x.repeat_interleave(frames, 0)


def make_network(
    settings: NetworkSettings, sequences: int, nodes: Mapping[int, SeriesNodes] = NO_NODES
) -> Seq2SeqNetwork:
    """Return the network of some settings, for a number of sequences; `nodes` as of `FusionNetwork`."""
    return FusionNetwork(settings, sequences, nodes) if settings.fusion == "latent" else Seq2SeqNetwork(settings)
