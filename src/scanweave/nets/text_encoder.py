"""A BERT that reads reports (Devlin et al., NAACL 2019), by the library transformers; nothing is ever downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from scanweave.external import require


class ReadText(NamedTuple):
    """Reports as a network reads them.

    Attributes:
        first: State of the first piece, which stands for the report `(B, D)`.
        states: State of each piece `(B, M, D)`; M is the longest report's, all that follows is padding.
        attention: How much the first piece attends to each in the last layer, the mean over heads `(B, M)`.
    """

    first: Tensor
    states: Tensor
    attention: Tensor


class TextEncoder(nn.Module):
    """Map the pieces of reports to states.

    Args:
        configuration: Of the BERT, as transformers names it.

    Attributes:
        width: D of its states.
    """

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__()
        library = require("transformers", "text")
        settings = library.BertConfig(**configuration)
        settings._attn_implementation = "eager"  # sdpa hands out no attention
        self.bert: Any = library.BertModel(settings, add_pooling_layer=False)
        self.width = int(settings.hidden_size)
        self.padding = int(settings.pad_token_id)

    def forward(self, ids: Tensor) -> ReadText:
        """Map numbers of pieces `(B, L)` to states; padding is attended to by nothing."""
        ids = self.trimmed(ids)
        mask = ids != self.padding
        made = self.bert(input_ids=ids, attention_mask=mask.long(), output_attentions=True)
        states: Tensor = made.last_hidden_state
        return ReadText(states[:, 0], states, made.attentions[-1][:, :, 0].mean(dim=1))

    def trimmed(self, ids: Tensor) -> Tensor:
        """Return pieces `(B, M)` without the columns at the end that are padding in every report."""
        return ids[:, : max(1, int((ids != self.padding).sum(dim=1).max()))]


def summed_words(states: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    """Sum the states of the pieces of each word, as MGCA does (arXiv 2210.06044, its code).

    Args:
        states: Of the pieces `(B, M, D)`; or a number of each `(B, M, 1)`.
        words: Word of each piece `(B, L)`, below 0 where it is none; from M on it is none.

    Returns:
        `(B, W, D)` and which words are there, booleans `(B, W)`; W is the most words of a report, 1 at least.
    """
    words = words[:, : states.shape[1]]
    count = max(1, int(words.max()) + 1)
    member = words.unsqueeze(-1) == torch.arange(count, device=words.device)
    made = torch.einsum("blw,bld->bwd", member.to(states.dtype), states)
    return made, member.any(dim=1)
