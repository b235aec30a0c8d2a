"""Integrated gradients of one answer (Sundararajan et al., ICML 2017): where in each image it comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from captum.attr import IntegratedGradients
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.measures.pointing import pointing_hit
from scanweave.report.attention import attention_overlay
from scanweave.report.saving import save_figure
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.geometry import resample
from scanweave.studies.preparing.preparation import Frame, to_native
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study
from scanweave.systems.mome.config import ExplainOptions
from scanweave.systems.mome.fitted import FittedMome
from scanweave.systems.mome.inputs import StudyInput
from scanweave.systems.mome.network import MomeNetwork, make_network
from scanweave.systems.mome.planning import ImagePlan

TOGETHER = 4
"""Steps that go through the network at once."""
MASK = "lesion"
"""Mask against which maps are scored, where a study has it."""


class Attribution(NamedTuple):
    """Sum of an answer over the voxels of a study's images.

    Attributes:
        maps: By modality, of the size of the network's input, summed over channels or frames.
        error: By how much all of it misses what the images add, as a share of that.
    """

    maps: dict[str, Tensor]
    error: float


class _OfImages(nn.Module):
    """The log-odds of one output as a function of the images alone."""

    def __init__(self, network: MomeNetwork, batch: dict[str, Tensor], names: list[str], number: int) -> None:
        super().__init__()
        self.network, self.batch, self.names, self.number = network, batch, names, number

    def forward(self, *images: Tensor) -> Tensor:
        count = len(images[0])
        batch = {name: values.repeat(count, *[1] * (values.ndim - 1)) for name, values in self.batch.items()}
        for name, image in zip(self.names, images, strict=True):
            batch[f"image/{name}"] = image
            batch[f"rows/{name}"] = torch.arange(count, device=image.device)
        logits = self.network(batch)
        if self.network.plan.kind == "findings":
            return logits[:, self.number]
        others = torch.cat([logits[:, : self.number], logits[:, self.number + 1 :]], dim=1)
        return logits[:, self.number] - others.logsumexp(1)


def attribute(network: MomeNetwork, batch: dict[str, Tensor], number: int, steps: int) -> Attribution:
    """Return what each voxel adds to the log-odds of output `number`, from images of 0, their mean, on.

    Args:
        network: In evaluation mode.
        batch: One study.
        number: Of the output.
        steps: Of the integral.
    """
    names = [image.name for image in network.plan.images if f"image/{image.name}" in batch]
    of_images = _OfImages(network, batch, names, number)
    images = tuple(batch[f"image/{name}"] for name in names)
    made, missed = IntegratedGradients(of_images).attribute(
        images, n_steps=steps, internal_batch_size=TOGETHER, return_convergence_delta=True
    )
    with torch.no_grad():
        added = of_images(*images) - of_images(*(torch.zeros_like(image) for image in images))
    error = float(missed.abs() / added.abs().clamp(min=1e-6))
    return Attribution({n: one[0].detach().sum(0).cpu() for n, one in zip(names, made, strict=True)}, error)


def random_twin(network: MomeNetwork) -> MomeNetwork:
    """Return a network of random weights: maps that look like its own show the image, not what was learnt.

    Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = make_network(network.plan, network.settings)
        for name, parameter in made.named_parameters():
            if name.endswith("gate"):
                nn.init.ones_(parameter)
            if name.startswith("head.weight"):
                nn.init.normal_(parameter)
    return made.to(network.answer.device).eval().requires_grad_(False)


def map_study(
    fitted: FittedMome, study: Study, given: StudyInput, number: int, folder: Path, options: ExplainOptions
) -> dict[str, Any]:
    """Write maps of where an answer comes from as NIfTI on the native grids, with a picture of each modality.

    Returns:
        Plain values: study, output, error of completeness, likeness to the maps of random weights, and by modality the
        picture and, where the study has a mask `lesion`, whether the brightest voxel lies in it and the share of the
        map that does.
    """
    batch = fitted.diagnoser.batch([given])
    found = attribute(fitted.diagnoser.network, batch, number, options.gradient_steps)
    control = attribute(random_twin(fitted.diagnoser.network), batch, number, options.gradient_steps)
    prepared, output = fitted.prepared(study), fitted.plan.outputs[number]
    images: list[dict[str, Any]] = []
    for name, values in found.maps.items():
        frame = prepared.frames[name]  # type: ignore[union-attr]  # it has images
        native = _native(values, frame, fitted, fitted.plan.image(name))
        scan = Scan.of(native, frame.native.affine, space=frame.native.space)
        stem = f"{study.id}_{name}_{output}_gradients"
        about = {"system": fitted.run.record["system"], "method": "integrated gradients", "of": output}
        write_scan(folder / study.id / f"{stem}.nii.gz", scan, about | {"study": study.id})
        save_figure(_drawn(study.scans[name], native, output), folder / study.id / f"{stem}.png")
        images.append({"modality": name, "picture": f"{study.id}/{stem}.png", **_score(study, scan)})
    alike = {n: _likeness(found.maps[n], control.maps[n]) for n in found.maps}
    return {
        "study": study.id,
        "output": output,
        "error": round(found.error, 4),
        "likeness_to_random": {name: round(value, 4) for name, value in alike.items()},
        "images": images,
    }


def _native(values: Tensor, frame: Frame, fitted: FittedMome, image: ImagePlan) -> NDArray[np.float32]:
    """Return a map on the native grid of its scan; 0 where the network did not look."""
    mode = "bilinear" if values.ndim == 2 else "trilinear"
    sizes = [frame.shape[axis] for axis in image.axes]
    grown = F.interpolate(values[None, None], size=sizes, mode=mode, align_corners=False)[0, 0].numpy().T
    prepared = grown if image.thin is None else np.expand_dims(grown, image.thin)
    full = np.zeros(frame.working.shape, np.float32)
    full[frame.box] = prepared
    return to_native(full, frame, fitted.preparation)


def _drawn(scan: Scan, native: NDArray[np.float32], output: str) -> Any:
    anatomy = np.asarray(scan.data, dtype=np.float32)
    anatomy = anatomy.mean(axis=-1) if anatomy.ndim == 4 else anatomy
    return attention_overlay(anatomy, np.maximum(native, 0), scan.geometry.spacing, f"what speaks for {output}")


def _score(study: Study, scan: Scan) -> dict[str, float]:
    """Say how much of a map lies in the lesion, where there is a mask."""
    if MASK not in study.masks or not scan.geometry.is_placed:
        return {}
    mask = study.masks[MASK]
    data = np.asarray(mask.data, dtype=np.float32)
    inside = resample(data, mask.geometry, scan.geometry, "nearest", outside=0) > 0
    if not inside.any():
        return {}
    values = np.abs(np.asarray(scan.data))
    total = float(values.sum())
    return {
        "pointing": float(pointing_hit(values, inside)),
        "mass": float(values[inside].sum() / total) if total else 0.0,
        "volume": float(inside.mean()),
    }


def _likeness(a: Tensor, b: Tensor) -> float:
    """Return the correlation of two maps' sizes."""
    pair = torch.stack([a.abs().flatten(), b.abs().flatten()])
    return float(torch.corrcoef(pair)[0, 1].nan_to_num())
