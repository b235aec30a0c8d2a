"""Likeness of a made series to the real one over time: curves by region, wash-in and wash-out, types of lesions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.measures.enhancement_curves import Phases, curve_type, mean_curve, wash_in, wash_out
from scanweave.studies.preparing.series_frames import SeriesFrames

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
LEAST_FRAMES = 4
"""Frames that wash-in and wash-out need where no times are known: one before the agent, two early ones, a late one."""
CURVE_MEASURES = ("curve_rmse", "wash_in_error", "wash_out_error", "type_match")
ORDER = "type_order"
"""Share of pairs of lesions of different types whose made wash-outs are in the order of the types; 0.5: guessed."""
LESION = "lesion"
WHO = ["kind", "source", "target"]


def agent_phases(told: SeriesFrames) -> Phases | None:
    """Return which frames are before a contrast agent, early and late; None where a series shows no agent, or too few.

    The agent is taken to come after the first frame.
    """
    if told.b_values is not None:
        return None
    if told.times is not None:
        try:
            return Phases.of(told.times, injection=told.times[0])
        except ScanweaveError:  # such times have no early or no late phase
            return None
    return Phases() if told.frames >= LEAST_FRAMES else None


def curve_quality(made: Array, real: Array, span: float, phases: Phases | None) -> dict[str, float]:
    """Compare two mean curves of a region.

    Args:
        made: Signal over time, `(T,)`.
        real: What it should be.
        span: Range of intensities of the real series.
        phases: Of the frames; None: neither wash-in nor wash-out is known.

    Returns:
        `curve_rmse`, the root mean square difference as a share of the range; `wash_in_error` and `wash_out_error`, the
        absolute differences of what these are.
    """
    found = {"curve_rmse": float(np.sqrt(np.mean((made - real) ** 2)) / span)}
    if phases is not None:
        for name, measure in (("wash_in_error", wash_in), ("wash_out_error", wash_out)):
            found[name] = abs(float(measure(made, phases)) - float(measure(real, phases)))
    return found


def lesion_rows(
    made: NDArray[np.floating], real: NDArray[np.floating], lesions: Mapping[str, Mask], phases: Phases | None
) -> Iterator[dict[str, Any]]:
    """Yield wash-in, wash-out and type of each lesion, made and real.

    Args:
        made: A series `(X, Y, Z, T)`.
        real: What it should be.
        lesions: Where each lesion is, `(X, Y, Z)`, by its label.
        phases: Of the frames; None: nothing is yielded.
    """
    for label, where in lesions.items() if phases is not None else ():
        row: dict[str, Any] = {"lesion": label}
        for name, series in (("made", made), ("real", real)):
            curve = mean_curve(series, where)
            row |= {
                f"wash_in_{name}": float(wash_in(curve, phases)),
                f"wash_out_{name}": float(wash_out(curve, phases)),
            }
            known = not np.isnan(row[f"wash_out_{name}"])
            row[f"type_{name}"] = curve_type(curve, phases).name.lower() if known else None
        yield row


def type_match(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the share of a study's lesions whose made curve is of the right type; nothing where there is no lesion."""
    known = [row["type_made"] == row["type_real"] for row in rows if row["type_real"] is not None]
    return {"type_match": float(np.mean(known))} if known else {}


def type_orders(lesions: pd.DataFrame) -> pd.DataFrame:
    """Return for each source and target whether made wash-outs tell the types of lesions, over all studies.

    Args:
        lesions: Rows of `lesion_rows` with `kind, source, target, study, patient`.

    Returns:
        Rows of a summary, without an interval, of those with two lesions of different types.
    """
    rows = []
    for who, group in lesions.groupby(WHO, sort=False) if len(lesions) else ():
        order = _order(group.dropna(subset=["type_real", "wash_out_made"]))
        if order is not None:
            counts = {"patients": group["patient"].nunique(), "studies": group["study"].nunique()}
            told = {**dict(zip(WHO, who, strict=True)), "region": LESION, "measure": ORDER, "mean": order}
            rows.append(told | {"low": np.nan, "high": np.nan} | counts)
    return pd.DataFrame(rows)


def _order(group: pd.DataFrame) -> float | None:
    """Return the share of pairs of different types that are in order, a tie as half; None: there is no such pair."""
    places = {"persistent": 2, "plateau": 1, "washout": 0}
    ranks = [places[name] for name in group["type_real"]]
    pairs = [
        0.5 + 0.5 * np.sign(a - b) * np.sign(x - y)
        for (a, x), (b, y) in combinations(zip(ranks, group["wash_out_made"], strict=True), 2)
        if a != b
    ]
    return float(np.mean(pairs)) if pairs else None
