"""The systems that there are, told without importing any of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.framework.options import VerbOptions
from scanweave.wording import choice

GROUP = "scanweave.systems"
"""Entry points by which another package offers a system."""
_BROKEN = (ImportError, AttributeError, NameError, OSError, RuntimeError, SyntaxError, TypeError, ValueError)
"""Ends of the import of a package that is at fault."""


@dataclass(frozen=True)
class Entry:
    """A system as it is known before it is loaded.

    Attributes:
        name: What commands and `run.json` call it; its folder is `scanweave/systems/<name>/`.
        title: Its full name.
        wing: The family of systems that it belongs to.
        question: What it answers, in one line.
        paper: The work that it comes from.
        arxiv: Number of that work on arXiv, empty where it is not there.
        class_name: Its class in `system.py`.
        plan_class: Module and class of what its runs know of their data, with `targets` and `sources`.
        verbs: What it offers.
        presets: Keys of `PRESETS` in its `config.py`, the default first.
        plan_file: File in a run that holds it.
        package: Dotted name of its package; of another's, that of its entry point unless told.
        exported_class: Module and class that predicts from an exported file of it; empty: no file of it can.
    """

    name: str
    title: str
    wing: str
    question: str
    paper: str
    arxiv: str
    class_name: str
    plan_class: str
    verbs: tuple[str, ...]
    presets: tuple[str, ...]
    plan_file: str = "plan.json"
    package: str = ""
    exported_class: str = ""

    @property
    def module(self) -> str:
        """Dotted name of its package."""
        return self.package or f"scanweave.systems.{self.name}"

    def load(self) -> Any:
        """Import the system and return its class."""
        return getattr(import_module(f"{self.module}.system"), self.class_name)

    def plan(self, run: Path) -> Any:
        """Return what a run of it makes (`targets`), and of what (`sources`)."""
        module, _, name = self.plan_class.partition(":")
        return getattr(import_module(module), name).load(run / self.plan_file)

    def options(self, verb: str) -> type[VerbOptions]:
        """Return the options that it adds to a verb; imports its `config.py` only."""
        own: Mapping[str, type[VerbOptions]] = getattr(import_module(f"{self.module}.config"), "OPTIONS", {})
        return own.get(verb, VerbOptions)

    def preset(self, name: str) -> Any:
        """Return the settings of a preset; imports its `config.py` only.

        Raises:
            ScanweaveError: There is no such preset.
        """
        if name not in self.presets:
            raise ScanweaveError("preset", f"{self.name} has no preset '{name}'", choice(name, self.presets))
        presets: Mapping[str, Any] = import_module(f"{self.module}.config").PRESETS
        return presets[name]


_ENTRIES = (
    Entry(
        name="seq2seq",
        title="Seq2Seq",
        wing="synthesis",
        question="Which MR sequence can be made from which others, and what does each show that no other does?",
        paper="Han et al., Synthesis-based imaging-differentiation representation learning for multi-sequence 3D/4D "
        "MRI, Medical Image Analysis 2024",
        arxiv="2302.00517",
        class_name="Seq2Seq",
        plan_class="scanweave.studies.preparing.plan:Plan",
        verbs=("fit", "predict", "evaluate", "rank", "explain", "export", "report", "import-weights"),
        presets=("small", "paper", "best"),
    ),
    Entry(
        name="ultra",
        title="ULTRA",
        wing="reconstruction",
        question="Can noisy energy bins of spectral CT be cleaned together, so that materials can be told apart?",
        paper="Wu et al., Deep learning based spectral CT imaging, Neural Networks 2021",
        arxiv="",
        class_name="Ultra",
        plan_class="scanweave.systems.ultra.plan:SpectralPlan",
        verbs=("fit", "predict", "evaluate", "audit", "export", "report"),
        presets=("small", "paper"),
    ),
    Entry(
        name="acid",
        title="ACID",
        wing="reconstruction",
        question="Few views or low dose: an image that is true to its data, and how far can it be trusted?",
        paper="Wu et al., Stabilizing deep tomographic reconstruction (parts A and B), Patterns 2022",
        arxiv="2008.01846",
        class_name="AcidSystem",
        plan_class="scanweave.systems.acid.plan:AcidPlan",
        verbs=("fit", "predict", "evaluate", "audit", "report"),
        presets=("small", "large"),
    ),
    Entry(
        name="segment",
        title="Segment",
        wing="everyday",
        question="Where are the structures of these scans, whichever of the scans are there?",
        paper="Isensee et al., nnU-Net: a self-configuring method for deep learning-based biomedical image "
        "segmentation, Nature Methods 2021",
        arxiv="1904.08128",
        class_name="Segment",
        plan_class="scanweave.studies.preparing.plan:Plan",
        verbs=("fit", "predict", "evaluate", "prune", "export", "report"),
        presets=("small", "nnunet"),
        exported_class="scanweave.framework.segmentation.exported:ExportedSegmentation",
    ),
    Entry(
        name="classify",
        title="Classify",
        wing="everyday",
        question="Which class, or which findings, do these films or volumes show, whichever of the scans are there?",
        paper="Rajpurkar et al., CheXNet: radiologist-level pneumonia detection on chest X-rays with deep learning, "
        "2017; He et al., Deep residual learning for image recognition, CVPR 2016",
        arxiv="1711.05225",
        class_name="Classify",
        plan_class="scanweave.systems.classify.planning:ClassifyPlan",
        verbs=("fit", "predict", "evaluate", "explain", "prune", "export", "report"),
        presets=("small", "chexnet"),
        plan_file="question.json",
        exported_class="scanweave.systems.classify.exported:ExportedClassify",
    ),
    Entry(
        name="detect",
        title="Detect",
        wing="diagnosis",
        question="Where in a film are the findings, and which does it have?",
        paper="Luo et al., Rethinking annotation granularity for overcoming shortcuts in deep learning-based "
        "radiograph diagnosis: a multicenter study, Radiology: Artificial Intelligence 2022",
        arxiv="2104.10553",
        class_name="Detect",
        plan_class="scanweave.systems.detect.planning:DetectPlan",
        verbs=("fit", "predict", "evaluate", "report"),
        presets=("small", "chexdet", "d-fine"),
        plan_file="question.json",
    ),
    Entry(
        name="mome",
        title="MOME",
        wing="diagnosis",
        question="What is the answer, from whichever scans, films and variables a patient has, and what did each give?",
        paper="Luo et al., A large model for non-invasive and personalized management of breast cancer from "
        "multiparametric MRI, Nature Communications, 2025",
        arxiv="2408.12606",
        class_name="Mome",
        plan_class="scanweave.systems.mome.planning:MomePlan",
        verbs=("fit", "predict", "evaluate", "explain", "report", "import-weights"),
        presets=("small", "malignancy", "subtype", "response", "paper"),
        plan_file="question.json",
    ),
    Entry(
        name="adamedgraph",
        title="AdaMedGraph",
        wing="diagnosis",
        question="What will become of a patient, and which similar patients say so?",
        paper="Lian et al., AdaMedGraph: Adaboosting graph neural networks for personalized medicine, ML4H 2023",
        arxiv="2311.14304",
        class_name="AdaMedGraph",
        plan_class="scanweave.systems.adamedgraph.record:Record",
        verbs=("fit", "predict", "evaluate", "explain", "report"),
        presets=("small", "paper"),
        plan_file="question.json",
    ),
    Entry(
        name="mim",
        title="MiM",
        wing="pre-training",
        question="Many volumes and few labels: an encoder that has seen them all before it learns from the labels",
        paper="Zhuang et al., MiM: Mask in Mask Self-Supervised Pre-Training for 3D Medical Image Analysis, IEEE "
        "Transactions on Medical Imaging 2025",
        arxiv="2404.15580",
        class_name="Mim",
        plan_class="scanweave.systems.mim.planning:MimPlan",
        verbs=("fit", "predict", "evaluate", "export", "report"),
        presets=("small", "paper", "mae", "simmim"),
    ),
    Entry(
        name="freetumor",
        title="FreeTumor",
        wing="synthesis",
        question="Few drawn tumours and many scans without: do made ones, where I want them, help to find real ones?",
        paper="Wu et al., FreeTumor: large-scale generative tumor synthesis in computed tomography images, Nature "
        "Communications 2025",
        arxiv="2502.18519",
        class_name="FreeTumor",
        plan_class="scanweave.systems.freetumor.plan:TumourPlan",
        verbs=("fit", "predict", "evaluate", "synthesize", "export", "report"),
        presets=("small", "best", "faithful", "rules"),
        exported_class="scanweave.framework.segmentation.exported:ExportedSegmentation",
    ),
    Entry(
        name="mgca",
        title="MGCA",
        wing="pre-training",
        question="Films with reports and no labels: which findings are there, and where in a film do words look?",
        paper="Wang et al., Multi-granularity cross-modal alignment for generalized medical visual representation "
        "learning, NeurIPS 2022",
        arxiv="2210.06044",
        class_name="Mgca",
        plan_class="scanweave.framework.reported.pair_plan:PairPlan",
        verbs=("fit", "predict", "evaluate", "explain", "search", "export", "report"),
        presets=("small", "paper"),
        plan_file="question.json",
    ),
    Entry(
        name="mg3d",
        title="MG-3D",
        wing="pre-training",
        question="CT with reports and no labels: which findings are there, and does a report tell what is hidden?",
        paper="Ni et al., MG-3D: Multi-Grained Knowledge-Enhanced 3D Medical Vision-Language Pre-training, 2024",
        arxiv="2412.05876",
        class_name="Mg3d",
        plan_class="scanweave.framework.reported.pair_plan:PairPlan",
        verbs=("fit", "predict", "evaluate", "explain", "search", "export", "report"),
        presets=("small", "paper"),
        plan_file="question.json",
    ),
)

OURS: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}
"""The systems of this package by name."""


@cache
def systems() -> dict[str, Entry]:
    """Return all systems by name: ours, and those that installed packages offer.

    A package offers a system by an entry point of the group `scanweave.systems` that names its `Entry`.

    Raises:
        ScanweaveError: A package's entry point cannot be loaded, names no `Entry`, or takes the name of another system.
    """
    found = dict(OURS)
    for point in metadata.entry_points(group=GROUP):
        where = f"entry point {point.value}"
        try:
            offered = point.load()
        except _BROKEN as error:
            raise ScanweaveError(where, f"cannot be loaded ({error})", "Mend or remove its package") from error
        if not isinstance(offered, Entry):
            raise ScanweaveError(where, "names no scanweave.systems.registry.Entry", "Mend or remove its package")
        if offered.name in found:
            raise ScanweaveError(where, f"takes the name '{offered.name}' of another system", "Remove its package")
        found[offered.name] = offered if offered.package else replace(offered, package=point.module)
    return found


def entry(name: str) -> Entry:
    """Return what is known of the system `name`.

    Raises:
        ScanweaveError: There is no such system.
    """
    if name not in systems():
        raise ScanweaveError("system", f"there is no system '{name}'", choice(name, systems()))
    return systems()[name]


def load(name: str) -> Any:
    """Import the system `name` and return its class.

    Raises:
        ScanweaveError: There is no such system.
    """
    return entry(name).load()
