"""Which systems there are, told without importing any of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from scanweave.errors import ScanweaveError


@dataclass(frozen=True)
class Entry:
    """What is known of a system before it is loaded.

    Attributes:
        name: What commands and `run.json` call it; its folder is `scanweave/systems/<name>/`.
        title: Its full name.
        wing: The family of systems that it belongs to.
        question: What it answers, in one line.
        paper: The work that it comes from.
        arxiv: Number of that work on arXiv, empty where it is not there.
        class_name: Its class in `system.py`.
        plan_class: Module and class of what the `plan.json` of its runs holds; loads without torch. Empty if
            `answers` is labels.
        verbs: What it offers.
        presets: Keys of `PRESETS` in its `config.py`, the default first.
        answers: What `predict` makes of a study: images, or labels.
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
    answers: Literal["images", "labels"] = "images"

    @property
    def module(self) -> str:
        """Dotted name of its package."""
        return f"scanweave.systems.{self.name}"

    def load(self) -> Any:
        """Import the system and return its class."""
        return getattr(import_module(f"{self.module}.system"), self.class_name)

    def plan(self, run: Path) -> Any:
        """What a run of it makes (`targets`), and of what (`sources`); imports no torch."""
        module, _, name = self.plan_class.partition(":")
        return getattr(import_module(module), name).load(run / "plan.json")

    def preset(self, name: str) -> Any:
        """The settings of a preset; imports its `config.py` only.

        Raises:
            ScanweaveError: There is no such preset.
        """
        if name not in self.presets:
            raise ScanweaveError(
                "preset", f"{self.name} has no preset '{name}'", f"Choose one of {', '.join(self.presets)}"
            )
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
        verbs=("fit", "predict", "evaluate", "rank", "explain", "report", "import-weights"),
        presets=("small", "paper"),
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
        verbs=("fit", "predict", "evaluate", "audit", "report"),
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
        name="adamedgraph",
        title="AdaMedGraph",
        wing="diagnosis",
        question="What will become of a patient, and which similar patients say so?",
        paper="Lian et al., AdaMedGraph: Adaboosting graph neural networks for personalized medicine, ML4H 2023",
        arxiv="2311.14304",
        class_name="AdaMedGraph",
        plan_class="",
        verbs=("fit", "predict", "evaluate", "explain", "report"),
        presets=("small", "paper"),
        answers="labels",
    ),
)

SYSTEMS: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}
"""All systems by name."""


def entry(name: str) -> Entry:
    """What is known of the system `name`.

    Raises:
        ScanweaveError: There is no such system.
    """
    if name not in SYSTEMS:
        raise ScanweaveError("system", f"there is no system '{name}'", f"Choose one of {', '.join(SYSTEMS)}")
    return SYSTEMS[name]


def load(name: str) -> Any:
    """Import the system `name` and return its class.

    Raises:
        ScanweaveError: There is no such system.
    """
    return entry(name).load()
