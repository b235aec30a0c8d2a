"""A network begun from weights learnt elsewhere, with an account of what of them fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from scanweave.engine.run import Run, kept_steps
from scanweave.engine.settings import StartSettings
from scanweave.engine.weight_shapes import Grids, is_positions, stem_of, with_channels, with_positions
from scanweave.engine.weight_sources import find_weights, origin_of
from scanweave.errors import ScanweaveError
from scanweave.files import file_sha256

LEAST_MATCHED_FRACTION = 0.8
"""Of the parameters' numbers: below, the weights are hardly those of this network."""
NAMES_SHOWN = 3
"""Most names in a line."""
Weights = Mapping[str, Tensor]
Convert = Callable[[Weights, Run | None], Weights]
"""Makes the weights of another network those of this one: tensors by name, and the run that they come from, if any."""


@dataclass
class StartAudit:
    """Record of which weights of a file fit a network.

    Attributes:
        source: What was named: a run, a file or builtin:NAME.
        file: The file that was read.
        sha256: Its hash.
        parts: The parts of the network that were to be filled; empty: all of it.
        parameters: Numbers in the parameters that were to be filled.
        matched_parameters: Those of them that were filled.
        matched: Tensors taken as they are.
        adapted: Tensors made to fit, with their shapes before and after.
        absent: Tensors of the network that the file has not.
        other_shape: Tensors that the file has in a shape that cannot be made to fit, with both shapes.
        unused: Tensors of the file that the network has not, or not in these parts.
    """

    source: str
    file: str
    sha256: str
    parts: list[str] = field(default_factory=list)
    parameters: int = 0
    matched_parameters: int = 0
    matched: list[str] = field(default_factory=list)
    adapted: dict[str, str] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    other_shape: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)

    @property
    def fraction(self) -> float:
        """Numbers filled, of those that were to be filled."""
        return self.matched_parameters / max(1, self.parameters)

    @property
    def record(self) -> dict[str, Any]:
        """The audit as `run.json` holds it: counts of what fits, names of what does not."""
        return {**asdict(self), "matched": len(self.matched), "fraction": round(self.fraction, 4)}

    @property
    def line(self) -> str:
        """The audit in one line."""
        of = f" of {', '.join(self.parts)}" if self.parts else ""
        told = [
            f"{len(self.matched)} tensors as they are",
            *(f"{name} {shapes}" for name, shapes in self.adapted.items()),
            _listed(self.absent, "absent"),
            _listed([f"{name} {shapes}" for name, shapes in self.other_shape.items()], "of another shape"),
            _listed(self.unused, "unused"),
        ]
        return (
            f"start weights: {100 * self.fraction:.1f} %{of} ({self.parameters / 1e6:.3g} million parameters) from "
            f"{self.source} (sha256 {self.sha256[:12]}): {' · '.join(filter(None, told))}"
        )


def load_start_weights(
    network: nn.Module,
    source: str | Path,
    *,
    parts: Sequence[str] = (),
    rename: Mapping[str, str] | None = None,
    grids: Grids | None = None,
    allow_partial: bool = False,
    convert: Convert | None = None,
) -> StartAudit:
    """Fill a network with start weights as far as they fit, and return the audit.

    The kernel of the first convolution is made to fit other input channels, and learnt positions other grids; all
    other tensors must have the same shape.

    Args:
        network: What is filled, in place; nothing is changed when an error is raised.
        source: RUN folder, FILE.safetensors or builtin:NAME.
        parts: Names of the submodules to fill, such as "encoder"; none: the whole network.
        rename: Prefix in the file → prefix in the network; the longest that fits counts, "" fits all.
        grids: Tokens along each axis in the file and in the network, where positions are no square or cube.
        allow_partial: Whether less than 80 % of the parameters may be matched.
        convert: Says what the weights of a run are in this network, before anything is renamed.

    Raises:
        ScanweaveError: The source is not there or damaged, holds NaN, or too little of it fits.
        ValueError: The network has no such part.
    """
    path = find_weights(source)
    read: Weights = _read(path)
    weights = _renamed(convert(read, origin_of(source)) if convert else read, rename or {}, path)
    prefixes = [f"{part}." for part in parts]
    known = dict(network.named_modules())
    if strange := [part for part in parts if part not in known]:
        raise ValueError(f"the network has no part {strange[0]!r}")
    wanted = {
        name: value
        for name, value in network.state_dict().items()
        if not prefixes or any(map(name.startswith, prefixes))
    }
    audit = StartAudit(str(source), str(path), file_sha256(path), parts=list(parts))
    fitting = _Fitting(network, parts, grids, audit)
    filled = {name: found for name, value in wanted.items() if (found := fitting.fit(name, value, weights)) is not None}
    audit.unused = sorted(weights.keys() - wanted.keys())
    counted = {name: weight.numel() for name, weight in network.named_parameters() if name in wanted}
    audit.parameters = sum(counted.values())
    audit.matched_parameters = sum(count for name, count in counted.items() if name in filled)
    if audit.fraction < LEAST_MATCHED_FRACTION and not allow_partial:
        reason = f"fits only {100 * audit.fraction:.1f} % of the network's parameters ({_misfit(audit)})"
        raise ScanweaveError(path, reason, "Name the weights of such a network, or allow a partial match")
    network.load_state_dict({**network.state_dict(), **filled})
    return audit


def begin_from(
    run: Run, network: nn.Module, start: StartSettings, say: Callable[[str], None], convert: Convert | None = None
) -> None:
    """Fill the network of a run that has not begun, record and tell what fits; do nothing where it has begun.

    A run that has begun has all it needs in its checkpoints: the source may be gone by then.

    Args:
        run: The run, or its stage.
        network: What is filled, in place.
        start: Which weights, for which part of it; no source: nothing is done.
        say: Takes the audit in a line.
        convert: As in `load_start_weights`.

    Raises:
        ScanweaveError: The network has no such part, or as `load_start_weights`.
    """
    if not start.begins or run.finished or kept_steps(run.checkpoints):
        return
    if start.part and start.part not in dict(network.named_modules()):
        known = ", ".join(name for name, _ in network.named_children())
        reason = f"the network has no part '{start.part}'"
        raise ScanweaveError("start.part", reason, f"Choose from {known}, or leave it empty for all of the network")
    parts = [start.part] if start.part else []
    audit = load_start_weights(
        network, start.source, parts=parts, rename=start.rename, allow_partial=start.partial, convert=convert
    )
    run.note_training(start_weights=audit.record)
    if run.main:
        say(audit.line)


class _Fitting:
    """Tensors of a file for a network, one by one."""

    def __init__(self, network: nn.Module, parts: Sequence[str], grids: Grids | None, audit: StartAudit) -> None:
        stems = {part: stem_of(network.get_submodule(part)) for part in parts or [""]}
        self._stems = {f"{part}.{name}".lstrip(".") for part, (name, _) in stems.items() if name}
        self._axes = next((axes for _, axes in stems.values() if axes), 0) or stem_of(network)[1]
        self._grids, self._audit = grids, audit

    def fit(self, name: str, wanted: Tensor, weights: Mapping[str, Tensor]) -> Tensor | None:
        """Return the tensor of a name in the shape wanted, None where the file has none; note it in the audit."""
        audit, value = self._audit, weights.get(name)
        if value is None:
            audit.absent.append(name)
            return None
        if value.shape == wanted.shape:
            audit.matched.append(name)
            return value
        shapes = f"{_shape(value)} → {_shape(wanted)}"
        made = self._made(name, value, wanted)
        if made is None:
            audit.other_shape[name] = shapes
        else:
            audit.adapted[name] = shapes
        return made

    def _made(self, name: str, value: Tensor, wanted: Tensor) -> Tensor | None:
        if name in self._stems and value.shape[:1] + value.shape[2:] == wanted.shape[:1] + wanted.shape[2:]:
            return with_channels(value, wanted.shape[1])
        if is_positions(name):
            return with_positions(value, wanted.shape, self._axes, self._grids)
        return None


def _read(path: Path) -> dict[str, Tensor]:
    try:
        weights = dict(load_file(path))
    except (OSError, SafetensorError) as error:
        reason = f"cannot be read ({' '.join(str(error).split())[:200]})"
        raise ScanweaveError(path, reason, "Restore the file, or name another") from error
    for name, value in weights.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise ScanweaveError(path, f"{name} holds NaN or infinite weights", "Name other weights")
    return weights


def _renamed(weights: Mapping[str, Tensor], rename: Mapping[str, str], path: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        before = max((prefix for prefix in rename if name.startswith(prefix)), key=len, default=None)
        new = name if before is None else rename[before] + name.removeprefix(before)
        if new in found:
            raise ScanweaveError(path, f"two tensors of it would be {new}", "Rename its prefixes apart")
        found[new] = value
    return found


def _misfit(audit: StartAudit) -> str:
    shapes = [f"{name} {shape}" for name, shape in audit.other_shape.items()]
    told = [_listed(shapes, "of another shape"), _listed(audit.absent, "absent"), _listed(audit.unused, "unused")]
    return " · ".join(filter(None, told))


def _listed(names: Sequence[str], what: str) -> str:
    if not names:
        return ""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"{len(names)} {what} ({', '.join(names[:NAMES_SHOWN])}{more})"


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "scalar"
