"""What a run knows of its reports: which part of them it reads, and the network that reads it. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from scanweave.errors import ScanweaveError
from scanweave.files import is_plain, read_json
from scanweave.framework.reported.settings import TextSettings
from scanweave.studies.report_languages import ENGLISH, GERMAN, Language

LANGUAGES: Mapping[str, Language] = {"english": ENGLISH, "german": GERMAN}
FEED_FORWARD = 4
"""Width of the layers between attention, in widths of the network (Devlin et al., NAACL 2019)."""
KEPT = (
    "hidden_size",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "max_position_embeddings",
    "type_vocab_size",
    "layer_norm_eps",
    "vocab_size",
    "pad_token_id",
)
"""Of the configuration of a BERT that is taken over, as transformers names it."""
_ADVICE = "Name the folder of a BERT that transformers saved"


class TextPlan(BaseModel):
    """How reports are read.

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
    bert: dict[str, int | float | str]
    frozen: bool


def plan_text(settings: TextSettings, pieces: int) -> TextPlan:
    """Return how reports are read.

    Args:
        settings: What the user decided.
        pieces: Size of the tokenizer's vocabulary.

    Raises:
        ScanweaveError: The folder holds no BERT, or one of fewer pieces or positions than are needed.
    """
    rates = dict.fromkeys(["hidden_dropout_prob", "attention_probs_dropout_prob"], settings.dropout)
    if settings.weights is None:
        if settings.width % settings.heads:
            reason = f"{settings.heads} heads do not divide a width of {settings.width}"
            raise ScanweaveError("text.heads", reason, "Give a divisor of text.width")
        bert: dict[str, Any] = {
            "hidden_size": settings.width,
            "num_attention_heads": settings.heads,
            "intermediate_size": FEED_FORWARD * settings.width,
            "max_position_embeddings": settings.most_tokens,
            "vocab_size": pieces,
            "num_hidden_layers": settings.layers,
        }
    else:
        bert = _of_folder(settings, pieces)
    return TextPlan(
        sections=settings.sections,
        language=settings.language,
        most_tokens=settings.most_tokens,
        bert=bert | rates,
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
    kept = {name: found[name] for name in KEPT if name in found}
    least = {"vocab_size": pieces, "max_position_embeddings": settings.most_tokens, "num_hidden_layers": 1}
    for name, number in least.items():
        own = found.get(name)
        if not isinstance(own, int) or own < number:
            raise ScanweaveError(path, f"{name} is {own}, where {number} are needed", _ADVICE)
    return {**kept, "num_hidden_layers": min(settings.layers, found["num_hidden_layers"])}
