"""Choices made on validation images: step and threshold, the noise level, and what maps residuals back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import torch
from deepinv.physics import LinearPhysics
from pydantic import TypeAdapter, ValidationError
from torch import Generator, Tensor

from scanweave.errors import ScanweaveError
from scanweave.files import read_json, write_json
from scanweave.measures.batches import pieces, psnr
from scanweave.measures.stability.measuring import noise_level
from scanweave.physics.variation import TotalVariation
from scanweave.systems.acid.config import AcidConfig
from scanweave.systems.acid.error_norm import choose_feedback, feedback_map, measure_bren, plain
from scanweave.systems.acid.loop import Acid, Reconstruct, Record
from scanweave.systems.acid.measurement_pairs import Pairs
from scanweave.systems.acid.operators import is_complex

CHOICES = "acid.json"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Choices:
    """Choices of a run, made on its own images.

    Attributes:
        step: c of the loop.
        threshold: ε of the loop.
        feedback: What maps residuals back: "network", "dagger" or "adjoint".
        reason: Why that.
        noise: Typical ‖p − A f*‖ / ‖p‖: noise, and what the scanner's model leaves out.
        data_range: Span of the true images, for the PSNR.
        bren: Ratios by kind of image, see `bren.Ratio`.
        discrepancy: The loop stops an image where its residual falls below this many times `noise`; 0: never.
        tried: PSNR on validation images [dB] by step, threshold and discrepancy.
        tv_weight: Weight of the total variation that stands beside the loop, chosen on the same images.
        curve: ‖p − A f‖ / ‖p‖ by round, the mean over validation images, without a stop.
        part: Whose images all this was chosen on: "validation", or "training" where a fit has no validation part.
    """

    step: float
    threshold: float
    feedback: str
    reason: str
    noise: float
    discrepancy: float
    data_range: float
    tv_weight: float
    bren: dict[str, dict[str, float]] = field(default_factory=dict)
    tried: list[dict[str, float]] = field(default_factory=list)
    curve: list[float] = field(default_factory=list)
    part: str = "validation"

    def save(self, folder: Path) -> None:
        """Write them into a run."""
        write_json(folder / CHOICES, {"format": 1, **asdict(self)})

    @classmethod
    def load(cls, folder: Path) -> Choices:
        """Read what `save` wrote.

        Raises:
            ScanweaveError: It is absent or damaged.
        """
        advice = "Call the same fit again: it goes on where it stopped"
        values: Any = read_json(folder / CHOICES, advice)
        try:
            TypeAdapter(cls).validate_python(values)
        except ValidationError as error:
            fault = error.errors()[0]
            reason = f"not the choices of a run ({'.'.join(map(str, fault['loc']))}: {fault['msg']})"
            raise ScanweaveError(folder / CHOICES, reason, advice) from error
        return cls(**{name: value for name, value in values.items() if name in cls.__dataclass_fields__})


def choose(
    phi: Reconstruct,
    physics: LinearPhysics,
    pairs: Pairs,
    config: AcidConfig,
    data_range: float,
    say: Say = print,
    part: str = "validation",
) -> Choices:
    """Measure BREN and the noise, decide the feedback, and try steps and thresholds.

    Args:
        phi: The fitted network.
        physics: The scanner.
        pairs: Validation images.
        config: What is tried.
        data_range: Span of the true images.
        say: Takes lines about choices, and the warning where BREN reaches 1.
        part: Whose images they are, "validation" or "training".
    """
    pairs = pairs.first(config.tuning.images)
    generator = Generator().manual_seed(config.training.seed)
    ratios = measure_bren(phi, physics, pairs.truth, pairs.measurement, generator)
    kind, reason = choose_feedback(ratios, config.loop.feedback, say)
    noise = noise_level(physics, pairs.truth, pairs.measurement)
    feedback = feedback_map(kind, phi, physics, pairs.truth[:1])
    tried = _tried(phi, physics, pairs, config, data_range, feedback, noise)
    best = max(tried, key=lambda row: row["psnr"])
    stop = f"stop at {best['discrepancy']:g} of the noise" if best["discrepancy"] else "no stop"
    say(
        f"loop: step {best['step']:g}, threshold {best['threshold']:g}, {stop}, "
        f"feedback by {kind} ({reason}); {best['psnr']:.2f} dB on {len(pairs)} {part} images"
    )
    settings = config.loop.model_copy(update={"step": best["step"], "threshold": best["threshold"], "discrepancy": 0.0})
    record = Record()
    run_batched(Acid(phi, physics, settings, feedback=feedback, coupled=is_complex(physics)), pairs.measurement, record)
    return Choices(
        step=best["step"],
        threshold=best["threshold"],
        feedback=kind,
        reason=reason,
        noise=noise,
        discrepancy=best["discrepancy"],
        data_range=data_range,
        tv_weight=tune_variation(physics, pairs, config, data_range),
        bren=plain(ratios),
        tried=tried,
        curve=[float(values.mean()) for values in record.residual],
        part=part,
    )


def tune_variation(physics: LinearPhysics, pairs: Pairs, config: AcidConfig, data_range: float) -> float:
    """Return the weight of `physics.variation`, of `config.tuning.tv_weights`, that has the highest PSNR here."""
    found = {}
    for weight in config.tuning.tv_weights:
        made = run_batched(TotalVariation(physics, weight, coupled=is_complex(physics)), pairs.measurement)
        found[weight] = float(psnr(made, pairs.truth, data_range).mean())
    return max(found, key=lambda weight: found[weight])


def run_batched(
    acid: Reconstruct, measurement: Tensor, record: Record | None = None, batch: int = 16, *, keep: bool = False
) -> Tensor:
    """Reconstruct without derivatives, some images at a time; the records of all are joined."""
    made, records = [], []
    with torch.no_grad():
        for part in pieces(measurement, batch):
            records.append(Record())
            made.append(acid(part, records[-1], keep=keep) if isinstance(acid, Acid) else acid(part))
    if record is not None:
        _join(record, records)
    return torch.cat(made)


def _tried(
    phi: Reconstruct,
    physics: LinearPhysics,
    pairs: Pairs,
    config: AcidConfig,
    data_range: float,
    feedback: Reconstruct,
    noise: float,
) -> list[dict[str, float]]:
    steps = config.tuning.steps or (config.loop.step,)
    thresholds = config.tuning.thresholds or (config.loop.threshold,)
    levels = config.tuning.discrepancies or (config.loop.discrepancy,)
    rows = []
    for step, threshold in product(steps, thresholds if config.loop.sparsifier != "none" else (0.0,)):
        settings = config.loop.model_copy(update={"step": step, "threshold": threshold, "discrepancy": 0.0})
        acid, record = Acid(phi, physics, settings, feedback=feedback, coupled=is_complex(physics)), Record()
        try:
            run_batched(acid, pairs.measurement, record, batch=len(pairs), keep=True)
        except ScanweaveError:  # it diverged
            continue
        quality = torch.stack([psnr(image, pairs.truth, data_range) for image in record.images])
        for level in levels:
            value = float(_stopped(quality, torch.stack(record.residual), level * noise).mean())
            rows.append({"step": step, "threshold": threshold, "discrepancy": level, "psnr": value})
    if not rows:
        raise ScanweaveError("tuning.steps", "the iteration diverges with all of them", "Try smaller ones")
    return rows


def _stopped(quality: Tensor, residual: Tensor, bound: float) -> Tensor:
    """Return the quality `(B,)` of each sample at the first round of a residual within the bound, else at the last."""
    reached = residual <= bound
    first = torch.where(reached.any(dim=0), reached.int().argmax(dim=0), len(residual) - 1)
    return quality.gather(0, first[None])[0]


def _join(record: Record, parts: list[Record]) -> None:
    """Join the records of batches, some of which stopped sooner: a stopped sample stays as it is."""
    rounds = max(len(part.residual) for part in parts)
    for number in range(rounds):
        record.residual.append(torch.cat([part.residual[min(number, len(part.residual) - 1)] for part in parts]))
    if all(part.images for part in parts) and len({len(part.images) for part in parts}) == 1:
        record.images += [torch.cat(images) for images in zip(*(part.images for part in parts), strict=True)]
    for number in range(rounds - 1):
        for name in ("change", "step"):
            rows = [getattr(part, name) for part in parts]
            pieces = [
                row[number] if number < len(row) else torch.zeros_like(part.residual[0])
                for row, part in zip(rows, parts, strict=True)
            ]
            getattr(record, name).append(torch.cat(pieces))
