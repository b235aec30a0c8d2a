"""Settings that all systems have that learn from images and their reports. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PositiveInt, field_validator, model_validator

from scanweave.engine.settings import Layers, Names, Settings
from scanweave.framework.classification.settings import EvaluateOptions as AnswerOptions


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


class EvaluateOptions(AnswerOptions):
    """Options of `evaluate`."""

    prompts: Path | None = Field(
        None, description="Other sentences for the findings of the run, as prompts.file; its thresholds stay."
    )
    keys: Names = Field(
        (), description="Labels whose values say that two reports mean the same; none named: their words alone."
    )
