"""Knowledge that a run has of its reports: the part that it reads, and the network for it. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from scanweave.engine.settings import checked
from scanweave.errors import ScanweaveError
from scanweave.files import is_plain, read_json
from scanweave.framework.reported.settings import TextSettings
from scanweave.studies.report_languages import ENGLISH, GERMAN, Language

LANGUAGES: Mapping[str, Language] = {"english": ENGLISH, "german": GERMAN}
FEED_FORWARD = 4
"""Width of the layers between attention, in widths of the network (Devlin et al., NAACL 2019)."""
_ADVICE = "Name the folder of a BERT that transformers saved"
Width = Annotated[int, Field(ge=1, le=2**14)]


class BertShape(BaseModel):
    """Configuration of a BERT, by the names of transformers; what a file says beside it is not taken over."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    hidden_size: Width
    num_attention_heads: Width
    intermediate_size: Width
    num_hidden_layers: int = Field(ge=1, le=1000)
    max_position_embeddings: Width
    vocab_size: int = Field(ge=1, le=2**20)
    pad_token_id: int = Field(ge=0, le=2**20)
    type_vocab_size: int = Field(2, ge=1, le=2**10)
    layer_norm_eps: float = Field(1e-12, gt=0, le=1)
    hidden_act: Literal["gelu", "gelu_new", "relu", "silu"] = "gelu"
    hidden_dropout_prob: float = Field(0.1, ge=0, lt=1)
    attention_probs_dropout_prob: float = Field(0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(f"{self.num_attention_heads} heads do not divide a width of {self.hidden_size}")
        return self


class TextPlan(BaseModel):
    """Hold how reports are read.

    Attributes:
        sections: Sections that are read, in order.
        language: Of the reports.
        most_tokens: Pieces of words that are read of each.
        bert: Configuration of the network, as transformers names it.
        frozen: Whether its weights stay as they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sections: tuple[str, ...]
    language: Literal["english", "german"]
    most_tokens: int
    bert: BertShape
    frozen: bool


def plan_text(settings: TextSettings, pieces: int, padding: int) -> TextPlan:
    """Return how reports are read.

    Args:
        settings: What the user decided.
        pieces: Size of the tokenizer's vocabulary.
        padding: Number of its piece that says nothing.

    Raises:
        ScanweaveError: The folder holds no BERT, or one of fewer pieces or positions than are needed.
    """
    rates = dict.fromkeys(["hidden_dropout_prob", "attention_probs_dropout_prob"], settings.dropout)
    where: str | Path = "text"
    if settings.weights is None:
        bert: dict[str, Any] = {
            "hidden_size": settings.width,
            "num_attention_heads": settings.heads,
            "intermediate_size": FEED_FORWARD * settings.width,
            "max_position_embeddings": settings.most_tokens,
            "vocab_size": pieces,
            "num_hidden_layers": settings.layers,
        }
    else:
        where, bert = settings.weights / "config.json", _of_folder(settings, pieces)
    return TextPlan(
        sections=settings.sections,
        language=settings.language,
        most_tokens=settings.most_tokens,
        bert=checked(BertShape, bert | rates | {"pad_token_id": padding}, where),
        frozen=settings.frozen,
    )


def _of_folder(settings: TextSettings, pieces: int) -> dict[str, Any]:
    path = Path(settings.weights or "") / "config.json"
    if not is_plain(path):
        raise ScanweaveError(path, "is not there", _ADVICE)
    found = read_json(path, _ADVICE)
    if not isinstance(found, dict) or found.get("model_type") != "bert":
        kind = found.get("model_type") if isinstance(found, dict) else None
        raise ScanweaveError(path, f"is no BERT but {kind or 'something else'}", _ADVICE)
    least = {"vocab_size": pieces, "max_position_embeddings": settings.most_tokens, "num_hidden_layers": 1}
    for name, number in least.items():
        own = found.get(name)
        if not isinstance(own, int) or own < number:
            raise ScanweaveError(path, f"{name} is {own}, where {number} are needed", _ADVICE)
    return {**found, "num_hidden_layers": min(settings.layers, found["num_hidden_layers"])}
