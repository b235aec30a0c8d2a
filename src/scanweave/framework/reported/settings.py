"""Settings that all systems have that learn from images and their reports. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PositiveInt, field_validator, model_validator

from scanweave.engine.settings import Layers, Name, Names, Settings, StartSettings, TrainingSettings
from scanweave.framework.classification.settings import EvaluateOptions as AnswerOptions
from scanweave.framework.options import VerbOptions
from scanweave.framework.whole_images.settings import InputSettings
from scanweave.studies.preparing.settings import PreparationSettings

MapsOf = Literal["places", "words"]
"""What a map of words is made of; see `ExplainOptions.maps_of`."""


class TextSettings(Settings):
    """Settings of the reports, and of the network that reads them."""

    sections: Names = Field(
        ("impression", "findings"), description="Sections that are read, in this order; of a text without any, all."
    )
    language: Literal["english", "german"] = Field("english", description="Of the reports.")
    most_tokens: int = Field(
        112, ge=8, le=512, description="Pieces of words that are read of a report; what follows is cut off."
    )
    vocabulary: int = Field(
        8_000,
        ge=64,
        le=2**17,
        description="Pieces up to which a tokenizer that is made from the reports takes words, beside all letters.",
    )
    weights: Path | None = Field(
        None,
        description="Folder of a BERT as transformers saves it (config.json, model.safetensors, tokenizer.json or "
        "vocab.txt), in place of one with random weights. Nothing is downloaded.",
    )
    width: PositiveInt = Field(768, description="Width of a BERT with random weights.")
    layers: Layers = Field(6, description="Layers that are kept, the first ones where a BERT has more.")
    heads: Layers = Field(12, description="Heads of attention of a BERT with random weights.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Rate of its dropout in training.")
    frozen: bool = Field(False, description="Whether its weights stay as they are.")

    @field_validator("weights")
    @classmethod
    def _absolute(cls, folder: Path | None) -> Path | None:
        """Make the folder absolute, since a run goes on from another working folder too."""
        return folder and folder.absolute()

    @model_validator(mode="after")
    def _frozen_weights_are_learnt(self) -> Self:
        if self.frozen and self.weights is None:
            raise ValueError("text.frozen keeps random weights as they are: name learnt ones by text.weights")
        return self

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        if self.weights is None:
            return {}
        return dict.fromkeys(["width", "heads", "vocabulary"], "with text.weights, which brings its own")


class PromptSettings(Settings):
    """Settings of findings that are told without labels, by sentences that name them."""

    file: Path | None = Field(
        None,
        description="TOML file: for each finding a table with `present` and `absent`, lists of sentences. Not given: "
        "sentences made of the names of the cohort's labels that are 0 or 1.",
    )
    findings: Names = Field((), description="Findings to tell; none named: all of the file, or of the cohort.")

    @field_validator("file")
    @classmethod
    def _absolute(cls, file: Path | None) -> Path | None:
        """Make the file absolute, likewise."""
        return file and file.absolute()


class PairLossSettings(Settings):
    """Settings of image against report, in every loss."""

    temperature: float = Field(0.07, gt=0, description="Of image against report.")
    copies: Literal["apart", "together"] = Field(
        "apart",
        description="Images whose reports have equal words: apart counts them as wrong pairs, as the papers do.",
    )
    draft: float = Field(
        0.0, ge=0, description="Weight of writing the report from the image, piece by piece; 0: no report is drafted."
    )


class PairSamplingSettings(Settings):
    """Settings of what a training sample shows."""

    crop: float = Field(0.875, gt=0, le=1, description="Share of each axis that a sample shows.")
    augment: bool = Field(False, description="Vary images, but for left and right, which reports name.")
    some_sentences: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of samples that read some sentences of their report only, drawn anew each time, so that "
        "single sentences are understood.",
    )


class PairConfig(Settings):
    """Every setting that systems share that learn from images and their reports; each gives its own values."""

    preset: str = Field("paper", description="Name of these values, kept for the record.")
    scans: Names = Field((), description="Images to read, one of them a sample; none named: all that the cohort has.")
    text: TextSettings = TextSettings()
    prompts: PromptSettings = PromptSettings()
    start: StartSettings = StartSettings()
    network: InputSettings
    objective: PairLossSettings
    sampling: PairSamplingSettings
    preparation: PreparationSettings = PreparationSettings(crop=False, orientation="LPS")
    training: TrainingSettings

    @model_validator(mode="after")
    def _batch_has_pairs(self) -> Self:
        if self.training.batch_size < 2:
            raise ValueError("training.batch_size must be 2 or more: a loss compares the images of a batch")
        return self


class EvaluateOptions(AnswerOptions):
    """Options of `evaluate`."""

    pointing: bool = Field(
        False,
        description="Also play the pointing game: is the map of a finding's sentences highest in its box or mask?",
    )
    maps_of: MapsOf = Field("places", description="As in `explain`.")
    drafts: bool = Field(False, description="Also measure what drafted reports say of known findings.")
    neighbours: Path | None = Field(
        None,
        description="Cohort of the run's training studies; the report of the likest one is the control of drafts.",
    )

    prompts: Path | None = Field(
        None, description="Other sentences for the findings of the run, as prompts.file; its thresholds stay."
    )
    keys: Names = Field(
        (), description="Labels whose values say that two reports mean the same; none named: their words alone."
    )

    def without_effect(self) -> dict[str, str]:
        """Return the options that the others leave without effect, and why."""
        found = super().without_effect() | ({} if self.pointing else {"maps_of": "without pointing"})
        return found | ({} if self.drafts else {"neighbours": "without drafts"})


class ExplainOptions(VerbOptions):
    """Options of `explain`."""

    of: Name = Field("", description="Finding whose sentences are looked for; not given: the most probable one.")
    text: str = Field("", description='Words to look for in place of a finding, such as "left rib fracture".')
    maps: int = Field(8, ge=1, description="Studies to explain at most.")
    maps_of: MapsOf = Field(
        "places",
        description="places: how like the sentences each place is, less those that deny a finding. words: where the "
        "network looks for each of their words.",
    )
    words: int = Field(0, ge=0, le=12, description="Words of the study's own report to map too, the weightiest first.")

    def without_effect(self) -> dict[str, str]:
        """Return the options that the others leave without effect, and why."""
        return {"of": "with text"} if self.text else {}
