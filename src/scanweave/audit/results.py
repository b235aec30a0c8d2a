"""Results of a stability audit."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd
from torch import Tensor

from scanweave.measures.stability.attack import Attack
from scanweave.measures.stability.validity import Check


@dataclass
class StabilityAudit:
    """Hold what was found.

    Attributes:
        curves: Tables of `stability_curve` by domain.
        checks: Checks of the attacks by domain.
        attacks: The attacks by domain, method and size.
        structures: Table of `measure_structures`; absent where none were asked for.
        views: Table of `measure_views`; absent likewise.
        pictures: One image with text in it: the truth and every method's, `(H, W)`.
    """

    curves: dict[str, pd.DataFrame] = field(default_factory=dict)
    checks: dict[str, list[Check]] = field(default_factory=dict)
    attacks: dict[str, dict[tuple[str, float], Attack]] = field(default_factory=dict)
    structures: pd.DataFrame | None = None
    views: pd.DataFrame | None = None
    pictures: dict[str, Tensor] = field(default_factory=dict)
