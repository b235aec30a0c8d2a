"""MOME's network: each modality by itself through layers with its own experts, then all together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from math import prod
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from scanweave.engine.saved_encoder import SavedEncoder
from scanweave.errors import ScanweaveError
from scanweave.nets.axis_order import ordered_encoder
from scanweave.nets.encoder_scales import feature_grids
from scanweave.nets.encoders import Encoder
from scanweave.systems.mome.config import NetworkSettings
from scanweave.systems.mome.experts import Adapter, Layer, SoftMixture
from scanweave.systems.mome.planning import TABLE, ImagePlan, MomePlan, VariablePlan
from scanweave.systems.mome.stems import POSITION_DEVIATION, FeatureStem, Stem, Tokens

Batch = Mapping[str, Tensor]
ANSWER, JOINT = "answer", "joint"
"""Stream of the token that the answer is read from; adapter of the soft layers."""
HEAD_SCALE = 1e-3
"""Factor on the head's first weights, as published: a first answer is near to even."""
SLOWEST = 1e4
"""Longest wave of the code of a frame's time, in frames."""


class Stream(NamedTuple):
    """Tokens of one modality, of the samples that have it.

    Attributes:
        name: Of the modality.
        tokens: `(b, n, D)`.
        there: Which of them are there `(b, n)`; None: all.
        rows: Place of each sample in the batch `(b,)`.
    """

    name: str
    tokens: Tensor
    there: Tensor | None
    rows: Tensor


class MomeNetwork(nn.Module):
    """Answers from any modalities. What a sample lacks has no token; so no bit of an answer depends on it.

    A batch holds for each image modality m of which any sample has one: `image/m` `(b, C, [Z,] Y, X)`, of frames as
    time `(b, T, [Z,] Y, X)`; `rows/m` `(b,)`, the places of these samples in the batch; where images are pasted
    `extent/m` `(b, axes)` [voxels]; of frames as time `frames/m` and `frames_there/m` `(b, T)`, their places in time,
    and which of them there are. And of all samples `values` and `values_there` `(B, V)`, the variables of the table and
    which of them are known; where images are pasted, `place` `(B, 3)`, see `Stem`.

    With `network.evidence` the logits are prior + Σ_m e_m + h: what each modality m tells by itself, from the mean of
    its tokens after the layers in which it is alone, and what the answer's token adds.

    Start weights address the parts by name: `encoders`, `stems`, `layers`, `variables`, `head`.

    Args:
        plan: Modalities and outputs K.
        settings: Sizes.
    """

    prior: Tensor

    def __init__(self, plan: MomePlan, settings: NetworkSettings) -> None:
        super().__init__()
        self.plan, self.settings = plan, settings
        width = settings.width
        self.encoders = nn.ModuleDict(
            {str(n): _encoder(one.encoder, image_channels(plan, n)) for n, one in enumerate(plan.images) if one.encoder}
        )
        self.stems = nn.ModuleList(self._stem(n, image) for n, image in enumerate(plan.images))
        self.variables = VariableTokens(plan.variables, width) if plan.variables else None
        self.answer = nn.Parameter(torch.empty(width))
        nn.init.trunc_normal_(self.answer, std=POSITION_DEVIATION)
        layers = list(_layers(plan, settings))
        self.layers = nn.ModuleList(layers)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, len(plan.outputs))
        self.head.weight.data.mul_(HEAD_SCALE)
        nn.init.zeros_(self.head.bias)
        self.evidence = nn.ModuleDict()
        if settings.evidence:
            self.evidence.update(
                {str(n): _evidence_head(width, len(plan.outputs)) for n in range(len(plan.modalities))}
            )
            self.register_buffer("prior", torch.tensor(plan.prior_logits, dtype=torch.float32), persistent=False)
        self.stand_ins = nn.ParameterDict()
        if settings.absent == "learned":
            self.stand_ins.update(
                {str(n): nn.Parameter(torch.randn(width) * POSITION_DEVIATION) for n in range(len(plan.modalities))}
            )
        if settings.absent == "mean":
            for n, image in enumerate(plan.images):
                self.register_buffer(f"mean_{n}", torch.zeros(image_channels(plan, n), *image.size))
        if settings.backbone == "frozen":
            for part in chain.from_iterable(layer.backbone() for layer in layers):
                part.requires_grad_(False)

    def _stem(self, number: int, image: ImagePlan) -> nn.Module:
        settings = self.settings
        if str(number) in self.encoders:
            encoder: Any = self.encoders[str(number)]
            level = _level(encoder, settings.stride)
            grids = feature_grids(encoder, image_channels(self.plan, number), image.size)
            return FeatureStem(encoder.channels[level], prod(grids[level]), settings.width)
        channels = image_channels(self.plan, number)
        return Stem(channels, image.size, settings.stem, settings.width, settings.stride, settings.stem_norm)

    def train(self, mode: bool = True) -> Self:
        """Set training; batch norms of encoders keep the statistics that they were pre-trained with.

        A batch may hold one image of a modality alone, and what it holds depends on what patients lack.
        """
        super().train(mode)
        for layer in self.encoders.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.eval()
        return self

    def forward(self, batch: Batch) -> Tensor:
        """Map a batch to logits `(B, K)`."""
        return self.trained(batch)[0]

    def trained(self, batch: Batch) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Map a batch to logits `(B, K)`, and to those that each modality gives by itself.

        Returns:
            The joint logits; and of each modality that any sample has its own `(b, K)`, with the places of these
            samples in the batch `(b,)`: none where `network.evidence` is 0.
        """
        streams = self._apart(batch)
        logits: Tensor = self.head(self._together(streams, len(batch["values"])))
        if not self.evidence:
            return logits, []
        logits, alone = logits + self.prior, list[tuple[Tensor, Tensor]]()
        for one in streams[:-1]:
            found = self.evidence[self._adapter(one.name)](_mean_token(one)).to(logits.dtype)
            logits = logits.index_add(0, one.rows, found)
            alone.append((found + self.prior, one.rows))
        return logits, alone

    def embed(self, batch: Batch) -> Tensor:
        """Map a batch to what the head reads `(B, D)`.

        Raises:
            ScanweaveError: A sample has no modality at all.
        """
        return self._together(self._apart(batch), len(batch["values"]))

    def _apart(self, batch: Batch) -> list[Stream]:
        """Return the modalities of a batch, the token of the answer last, after the layers in which each is alone."""
        count = len(batch["values"])
        streams = list(self.streams(batch))
        _refuse_empty(streams, count)
        streams.append(self._answers(count))
        for layer in self.layers[: self.settings.sparse_layers]:
            streams = [one._replace(tokens=layer(one.tokens, one.there, self._adapter(one.name))) for one in streams]
        return streams

    def _together(self, streams: Sequence[Stream], count: int) -> Tensor:
        """Return what the head reads `(B, D)`, after the layers in which all tokens see each other."""
        tokens, there = joined(streams, count)
        for layer in self.layers[self.settings.sparse_layers :]:
            tokens = layer(tokens, there, JOINT)
        normed: Tensor = self.norm(tokens[:, -1])
        return normed

    def streams(self, batch: Batch) -> Iterator[Stream]:
        """Yield the tokens of each modality that any sample has, in the order of the plan."""
        count, device = len(batch["values"]), self.answer.device
        for number, image in enumerate(self.plan.images):
            filled = self._filled(batch, number, image.name)
            if f"rows/{image.name}" in filled:
                made = self._image_tokens(filled, number, image.name)
                stream = Stream(image.name, made.values, made.there, filled[f"rows/{image.name}"])
                yield self._with_stand_ins(stream, number, count)
            elif self.settings.absent == "learned":
                empty = self.answer.new_zeros(0, 1, self.settings.width)
                none = torch.zeros(0, dtype=torch.long, device=device)
                yield self._with_stand_ins(Stream(image.name, empty, None, none), number, count)
        if self.variables is not None:
            yield from self._table(self.variables, batch, count)

    def _answers(self, count: int) -> Stream:
        rows = torch.arange(count, device=self.answer.device)
        return Stream(ANSWER, self.answer.expand(count, 1, -1), None, rows)

    def _adapter(self, name: str) -> str:
        return ANSWER if name == ANSWER else str(self.plan.modalities.index(name))

    def _image_tokens(self, batch: Batch, number: int, name: str) -> Tokens:
        image, extent = batch[f"image/{name}"], batch.get(f"extent/{name}")
        rows, place = batch[f"rows/{name}"], batch.get("place")
        axes = image.ndim - 2
        place = None if place is None else place[rows][:, -axes:]
        if f"frames/{name}" not in batch:
            return self._tokens(number, image, extent, place)
        times, known = batch[f"frames/{name}"], batch[f"frames_there/{name}"]
        count = times.shape[1]
        extents = None if extent is None else extent.repeat_interleave(count, 0)
        places = None if place is None else place.repeat_interleave(count, 0)
        values, there = self._tokens(number, image.flatten(0, 1).unsqueeze(1), extents, places)
        values = values.view(-1, count, *values.shape[1:]) + time_code(times, self.settings.width)[:, :, None]
        within = torch.ones(values.shape[:3], dtype=torch.bool, device=values.device) & known[..., None]
        within = within if there is None else within & there.view(-1, count, *there.shape[1:])
        return Tokens(values.flatten(1, 2), within.flatten(1))

    def _tokens(self, number: int, image: Tensor, extent: Tensor | None, place: Tensor | None) -> Tokens:
        """Return the tokens of images of one modality, by its encoder if it has one."""
        seen = image
        if str(number) in self.encoders:
            encoder: Any = self.encoders[str(number)]
            seen = encoder(image)[_level(encoder, self.settings.stride)]
        made: Tokens = self.stems[number](seen, extent, place)
        return made

    def _table(self, variables: VariableTokens, batch: Batch, count: int) -> Iterator[Stream]:
        values, known = batch["values"], batch["values_there"]
        if self.settings.absent in ("zeros", "mean"):  # of numbers the mean of the training studies is 0, both times
            known = known | variables.numeric
        rows = known.any(1).nonzero()[:, 0]
        if not len(rows) and self.settings.absent != "learned":
            return
        stream = Stream(TABLE, variables(values[rows]), known[rows], rows)
        yield self._with_stand_ins(stream, len(self.plan.images), count)

    def _with_stand_ins(self, stream: Stream, number: int, count: int) -> Stream:
        """The stream with one learnt token for each sample that lacks the modality."""
        if self.settings.absent != "learned" or len(stream.rows) == count:
            return stream
        lacking = torch.ones(count, dtype=torch.bool, device=stream.rows.device)
        lacking[stream.rows] = False
        rows, n = lacking.nonzero()[:, 0], stream.tokens.shape[1]
        stand_in = self.stand_ins[str(number)].expand(len(rows), n, -1)
        first = (torch.arange(n, device=rows.device) == 0).expand(len(rows), n)
        there = torch.ones(stream.tokens.shape[:2], dtype=torch.bool, device=rows.device)
        there = there if stream.there is None else stream.there
        return Stream(
            stream.name, torch.cat([stream.tokens, stand_in]), torch.cat([there, first]), torch.cat([stream.rows, rows])
        )

    def _filled(self, batch: Batch, number: int, name: str) -> Batch:
        """The batch with an empty or a mean image for each sample that lacks one, where settings say so."""
        if self.settings.absent not in ("zeros", "mean"):
            return batch
        count = len(batch["values"])
        rows = batch.get(f"rows/{name}", torch.zeros(0, dtype=torch.long, device=self.answer.device))
        if len(rows) == count:
            return batch
        lacking = torch.ones(count, dtype=torch.bool, device=rows.device)
        lacking[rows] = False
        added = lacking.nonzero()[:, 0]
        one = self._stand_in_image(number)
        images = one.expand(len(added), *one.shape)
        if len(rows):
            images = torch.cat([batch[f"image/{name}"], images])
        return {**batch, f"image/{name}": images, f"rows/{name}": torch.cat([rows, added])}

    def _stand_in_image(self, number: int) -> Tensor:
        if self.settings.absent == "mean":
            mean: Tensor = getattr(self, f"mean_{number}")
            return mean
        return self.answer.new_zeros(image_channels(self.plan, number), *self.plan.images[number].size)


class VariableTokens(nn.Module):
    """One token a variable of the table: an embedding of its category, or of its name and its number.

    Args:
        variables: Those of the run V.
        width: Of a token D.
    """

    numeric: Tensor
    first: Tensor

    def __init__(self, variables: Sequence[VariablePlan], width: int) -> None:
        super().__init__()
        sizes = [len(variable.categories or ()) for variable in variables]
        firsts = [sum(sizes[:n]) for n in range(len(sizes))]
        self.register_buffer("numeric", torch.tensor([v.categories is None for v in variables]), persistent=False)
        self.register_buffer("first", torch.tensor(firsts), persistent=False)
        self.name, self.slope = (nn.Parameter(torch.randn(len(variables), width) * 0.5) for _ in range(2))
        self.categories = nn.Embedding(max(1, sum(sizes)), width)
        nn.init.normal_(self.categories.weight, std=0.5)

    def forward(self, values: Tensor) -> Tensor:
        """Map values `(B, V)` to tokens `(B, V, D)`; those of absent values mean nothing."""
        numbers = values[..., None] * self.slope
        codes = torch.where(self.numeric, 0.0, values).long() + self.first
        codes = codes.clamp(max=self.categories.num_embeddings - 1)
        made: Tensor = self.name + torch.where(self.numeric[:, None], numbers, self.categories(codes))
        return made


def joined(streams: Sequence[Stream], count: int) -> tuple[Tensor, Tensor | None]:
    """Return all tokens of each sample `(B, N, D)`, the answer's last, and which are there `(B, N)`; None: all."""
    first = streams[0].tokens
    lengths = [stream.tokens.shape[1] for stream in streams]
    tokens = first.new_zeros(count, sum(lengths), first.shape[2])
    there = torch.zeros(count, sum(lengths), dtype=torch.bool, device=first.device)
    start = 0
    for stream, length in zip(streams, lengths, strict=True):
        seen = torch.ones(len(stream.rows), length, dtype=torch.bool, device=first.device)
        part = slice(start, start + length)
        tokens[stream.rows, part] = stream.tokens
        there[stream.rows, part] = seen if stream.there is None else stream.there
        start += length
    return tokens, None if bool(there.all()) else there


def _evidence_head(width: int, outputs: int) -> nn.Sequential:
    """A head that at first tells nothing."""
    linear = nn.Linear(width, outputs)
    linear.weight.data.mul_(HEAD_SCALE)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(nn.LayerNorm(width), linear)


def _mean_token(stream: Stream) -> Tensor:
    """The mean `(b, D)` of the tokens that are there."""
    if stream.there is None:
        return stream.tokens.mean(1)
    there = stream.there[..., None].to(stream.tokens.dtype)
    return (stream.tokens * there).sum(1) / there.sum(1).clamp(min=1)


def time_code(times: Tensor, width: int) -> Tensor:
    """Return waves of times, in frames `(…, width)`, as Vaswani et al. (NeurIPS 2017) tell places."""
    half = (width + 1) // 2
    rates = SLOWEST ** (-torch.arange(half, device=times.device) / half)
    waves = times[..., None] * rates
    return torch.cat([waves.sin(), waves.cos()], dim=-1)[..., :width]


def make_network(plan: MomePlan, settings: NetworkSettings) -> MomeNetwork:
    """Return the network of a run with random weights."""
    return MomeNetwork(plan, settings)


def trained_parts(network: MomeNetwork) -> dict[str, tuple[int, int]]:
    """Return by part of the network how many parameters are trained, and how many there are."""
    found: dict[str, tuple[int, int]] = {}
    for name, parameter in network.named_parameters():
        part = "adapters" if ".adapters." in name else name.partition(".")[0]
        part = "positions" if name.endswith(".positions") else part
        trained, every = found.get(part, (0, 0))
        found[part] = (trained + parameter.numel() * parameter.requires_grad, every + parameter.numel())
    return found


def _layers(plan: MomePlan, settings: NetworkSettings) -> Iterator[Layer]:
    width, total = settings.width, settings.sparse_layers + settings.soft_layers
    narrow, hidden = max(1, round(width * settings.adapter_ratio)), max(1, round(width * settings.hidden))
    names = [*map(str, range(len(plan.modalities))), ANSWER]
    for number in range(total):
        if number < settings.sparse_layers:
            adapters = {name: Adapter(width, narrow) for name in names}
        else:
            mixture = SoftMixture(narrow, settings.experts, settings.slots) if settings.experts else None
            adapters = {JOINT: Adapter(width, narrow, mixture)}
        drop = settings.drop_path * number / max(1, total - 1)
        yield Layer(width, settings.heads, hidden, adapters, drop)


def _encoder(saved: SavedEncoder, channels: int) -> nn.Module:
    """Return a new encoder as that of a pre-training run, of images of so many channels."""
    made: nn.Module = ordered_encoder(saved.name, channels, saved.dimensions, saved.options, saved.axes, "ZYX")
    return made


def _level(encoder: Encoder, stride: int) -> int:
    """Return the number of the coarsest feature whose places are no larger than `stride` voxels, else of the finest."""
    fine = [number for number, steps in enumerate(encoder.strides) if max(steps) <= stride]
    return max(fine, default=0)


def image_channels(plan: MomePlan, number: int) -> int:
    """Return the channels of an image modality: frames of a series, or one."""
    return (plan.images[number].frames or 1) if plan.frames_as == "channels" else 1


def _refuse_empty(streams: Sequence[Stream], count: int) -> None:
    there = torch.zeros(count, dtype=torch.bool)
    for stream in streams:
        there[stream.rows.cpu()] = True
    if not bool(there.all()):
        raise ScanweaveError("modalities", "a study has none of those of the run", "Leave it out")
