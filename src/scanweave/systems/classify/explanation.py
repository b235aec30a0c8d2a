"""Maps of where the network looked, Grad-CAM (Selvaraju et al. 2017) or occlusion, on the native grid, and pictures.

captum's Grad-CAM; MONAI's comes out inverted.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from captum.attr import LayerGradCam, Occlusion
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from scanweave.errors import ScanweaveError
from scanweave.files import write_json
from scanweave.framework.classification.surest import surest_studies
from scanweave.framework.trial import Trial
from scanweave.framework.whole_images.maps import native_scan_of
from scanweave.measures.map_boxes import map_boxes
from scanweave.nets.classification_network import ClassificationNetwork
from scanweave.report.attention import attention_overlay
from scanweave.report.saving import save_figure, save_table
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.formats.json_boxes import write_box_json
from scanweave.studies.preparing.preparation import PreparedStudy
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study
from scanweave.systems.classify.config import ExplainOptions
from scanweave.systems.classify.fitted import FittedClassify
from scanweave.wording import nearest

FILE, TABLE = "explanation.json", "explanation.csv"
ADVICE = "Explain again"
METHODS = {"gradcam": "Grad-CAM", "occlusion": "occlusion"}
STRIDE_SHARE = 0.5
"""Of the window: how far it moves between two trials of an occlusion."""
Method = Literal["gradcam", "occlusion"]


class _Tapped(nn.Module):
    """A classification network whose last feature has a module of its own, for hooks.

    Of classes, which exclude each other, the logits are centred: their mean says nothing, and without this a class that
    wins because the others lose has an empty map.
    """

    def __init__(self, network: ClassificationNetwork, exclusive: bool) -> None:
        super().__init__()
        self.network, self.tap, self.exclusive = network, nn.Identity(), exclusive

    def forward(self, image: Tensor, present: Tensor) -> Tensor:
        feature = self.tap(self.network.feature(image, present))
        made = self.network.answer(feature, image, present)
        return made - made.mean(dim=1, keepdim=True) if self.exclusive else made


class Explained(NamedTuple):
    """A map of one study.

    Attributes:
        study: The study.
        shares: Probability of each class or finding.
        of: Which of them the map is of.
        scan: Name of a scan that the network saw; of views, of which each has a map, the one that speaks most for it.
        anatomy: That scan, on its own grid.
        map: What speaks for it, on the native grid, at least 0.
    """

    study: Study
    shares: NDArray[np.float64]
    of: str
    scan: str
    anatomy: Scan
    map: Scan


def explain(fitted: FittedClassify, trial: Trial, options: ExplainOptions) -> pd.DataFrame:
    """Write a map and a picture of studies, the surest of each class or finding first; of films the map's boxes too.

    Args:
        fitted: The fitted run.
        trial: The studies, and where the results go.
        options: Method, what is explained, of how many.

    Returns:
        One row a study, as in `explanation.csv`.

    Raises:
        ScanweaveError: There is no such class or finding, or no study could be explained.
    """
    outputs = fitted.plan.outputs
    if options.of and options.of not in outputs:
        raise ScanweaveError("of", f"the run does not tell '{options.of}'", nearest(options.of, outputs))
    told = dict(trial.each(fitted.probabilities))
    chosen = surest_studies(told, outputs, options.of, options.maps)
    rows = []
    for name, number in chosen.items():
        made = explained(fitted, trial.study(name), number, options)
        rows.append(_written(fitted, made, trial, options, told[name][number]))
        trial.say(f"{name}: {METHODS[options.method]} of {outputs[number]}, probability {told[name][number]:.2f}")
    table = pd.DataFrame(rows)
    save_table(table, trial.folder / TABLE)
    about = {**trial.about, "left_out": trial.left_out, "method": options.method}
    write_json(trial.folder / FILE, {"format": 1, "about": about, "rows": rows})
    trial.note()
    return table


def explained(fitted: FittedClassify, study: Study, number: int, options: ExplainOptions) -> Explained:
    """Return the map of class or finding `number` of a study."""
    prepared = fitted.prepared(study)
    maps = input_maps(fitted, prepared, number, options)
    most = max(maps, key=lambda name: float(maps[name].sum()))  # the only one, but of views
    shares = fitted.classifier.probabilities([prepared.volumes])[0]
    made = native_map(fitted, prepared, most, maps[most])
    return Explained(study, shares, fitted.plan.outputs[number], most, study.scans[most], made)


def input_maps(
    fitted: FittedClassify, prepared: PreparedStudy, number: int, options: ExplainOptions
) -> dict[str, Tensor]:
    """Return what speaks for class or finding `number` in each view that is present, or in the first of the channels.

    Args:
        fitted: The fitted run.
        prepared: A study made ready.
        number: Of the output.
        options: Method and window.

    Returns:
        Of each scan a map of the size of the network's input `([Z,] Y, X)`.
    """
    image, present = fitted.classifier.input(prepared.volumes)
    exclusive = fitted.plan.kind == "classes"
    maps = attribution(fitted.classifier.network, image, present, number, options, exclusive)
    names = [name for name in fitted.plan.scans if name in prepared.volumes]
    return dict(zip(names, maps, strict=False))  # channels share one


def native_map(fitted: FittedClassify, prepared: PreparedStudy, name: str, shown: Tensor) -> Scan:
    """Return a map of `input_maps` on the native grid of its scan."""
    return native_scan_of(shown, prepared.frames[name], fitted.plan, fitted.preparation, fitted.config.sampling.crop)


def attribution(
    network: ClassificationNetwork,
    image: Tensor,
    present: Tensor,
    number: int,
    options: ExplainOptions,
    exclusive: bool = False,
) -> Tensor:
    """Return what speaks for an output `(1, [Z,] Y, X)`, at least 0, of the size of the network's input.

    Of a network of views there is one map for each that is present, in order.

    Args:
        network: In evaluation mode.
        image: `(1, C, [Z,] Y, X)`.
        present: Which channels are there `(1, C)`.
        number: Of the output.
        options: Method and window.
        exclusive: Whether the outputs are classes, of which one is true, rather than findings.
    """
    tapped = _Tapped(network, exclusive).eval()
    if options.method == "gradcam":
        made = LayerGradCam(tapped, tapped.tap).attribute(
            image, target=number, additional_forward_args=(present,), relu_attributions=True
        )
        mode = "bilinear" if image.ndim == 4 else "trilinear"
        whole = F.interpolate(made.detach(), size=image.shape[2:], mode=mode, align_corners=False)
        return whole[:, 0].cpu()
    together = 1 if network.views else image.shape[1]  # channels hide together
    window = [max(1, edge // options.window) for edge in image.shape[2:]]
    strides = [max(1, round(edge * STRIDE_SHARE)) for edge in window]
    with torch.no_grad():
        made = Occlusion(tapped).attribute(
            image,
            sliding_window_shapes=(together, *window),
            strides=(together, *strides),
            target=number,
            additional_forward_args=(present,),
            perturbations_per_eval=8,
        )
    shown = made[0][present[0]] if network.views else made[0].sum(dim=0, keepdim=True)
    return shown.clamp(min=0).cpu()


def _written(
    fitted: FittedClassify, made: Explained, trial: Trial, options: ExplainOptions, share: float
) -> dict[str, Any]:
    name, folder = made.study.id, trial.folder / made.study.id
    about = {"system": trial.run.record["system"], "method": options.method, "of": made.of, "study": name}
    write_scan(folder / f"{name}_{options.method}.nii.gz", made.map, about)
    if made.map.geometry.shape[2] == 1:
        named = next((name for name, output in fitted.plan.findings.items() if output == made.of), made.of)
        found = map_boxes(made.map.data, named, float(share))
        write_box_json(folder / f"{name}_{options.method}_boxes.json", found)
    figure = attention_overlay(
        np.asarray(made.anatomy.data, dtype=np.float32),
        np.asarray(made.map.data),
        made.map.geometry.spacing,
        f"{METHODS[options.method]} of {made.of}",
    )
    picture = f"{name}/{name}_{options.method}.png"
    save_figure(figure, trial.folder / picture)
    return {
        "study": name,
        "patient": made.study.patient,
        "of": made.of,
        "scan": made.scan,
        "probability": round(float(share), 4),
        "method": options.method,
        "picture": picture,
    }
