"""The parts of a network that read reports and write them, by the plan of a run."""

from __future__ import annotations

from scanweave.framework.reported.pair_plan import PairPlan
from scanweave.nets.report_drafter import ReportDrafter
from scanweave.nets.text_encoder import TextEncoder

DRAFTER_LAYERS = 2
"""Of the decoder that writes; ours."""


def text_encoder_of(plan: PairPlan) -> TextEncoder:
    """Return the BERT of a plan with random weights, which stay as they are where the plan says so.

    Raises:
        ScanweaveError: A library is not installed.
    """
    made = TextEncoder(plan.text.bert.model_dump())
    if plan.text.frozen:
        made.requires_grad_(False)
    return made


def drafter_of(plan: PairPlan, channels: int) -> ReportDrafter | None:
    """Return what writes reports, as wide as the BERT of the plan; None where the run drafts none.

    Args:
        plan: Reports.
        channels: Of a place of an image.
    """
    if not plan.drafts:
        return None
    bert = plan.text.bert
    return ReportDrafter(
        channels,
        bert.vocab_size,
        bert.hidden_size,
        layers=DRAFTER_LAYERS,
        heads=bert.num_attention_heads,
        most=plan.text.most_tokens,
        padding=bert.pad_token_id,
        dropout=bert.hidden_dropout_prob,
    )
