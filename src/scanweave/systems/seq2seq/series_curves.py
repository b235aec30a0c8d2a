"""Mean curves of the series of one study by region, real and made: measured, and drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scanweave.measures.enhancement_curves import mean_curve
from scanweave.report.saving import save_figure
from scanweave.studies.preparing.series_frames import SeriesFrames
from scanweave.systems.seq2seq.curve_quality import (
    LESION,
    Array,
    Mask,
    agent_phases,
    curve_quality,
    lesion_rows,
    type_match,
)
from scanweave.systems.seq2seq.figures import Curves, curve_sheet
from scanweave.systems.seq2seq.native_grid import NativeStudy, Volume

SHOWN = ("pair", "all")
"""Kinds of predictions whose curves are drawn."""


class SeriesCurves:
    """Curves of one study, gathered as its series are made.

    Args:
        native: The study on its native grid.
        series: Frames of each of its scans that is a series.

    Attributes:
        lesions: Wash-in, wash-out and type of each lesion in each made series, as `lesion_rows` says.
    """

    def __init__(self, native: NativeStudy, series: Mapping[str, SeriesFrames]) -> None:
        self._native, self._series = native, series
        self.lesions: list[dict[str, Any]] = []
        self._drawn: dict[tuple[str, str], Curves] = {}
        ill = np.logical_or.reduce(list(native.lesions.values())) if native.lesions else None
        self._regions: dict[str, Mask] = dict(native.regions) | ({} if ill is None else {LESION: ill})

    def measured(self, who: Mapping[str, Any], made: Volume) -> dict[str, dict[str, float]]:
        """Compare a made series with the real one, by region; nothing of what is no series, or of a single frame.

        Args:
            who: Study, patient, kind, source and target of the prediction.
            made: On the native grid.
        """
        target = who["target"]
        if target not in self._series or made.shape[3] < 2:
            return {}
        phases, real = agent_phases(self._series[target]), self._native.real[target]
        found: dict[str, dict[str, float]] = {}
        for region, where in self._regions.items():
            one, other = mean_curve(made, where), mean_curve(real, where)
            found[region] = curve_quality(one, other, self._native.span(target), phases)
            if who["kind"] in SHOWN and region in ("brain", LESION):
                self._add(target, region, "all others" if who["kind"] == "all" else who["source"], one, other)
        types = list(lesion_rows(made, real, self._native.lesions, phases))
        if types:
            found[LESION] |= type_match(types)
            self.lesions += [{**who, **row} for row in types]
        return found

    def _add(self, target: str, region: str, source: str, made: Array, real: Array) -> None:
        place = (target, region if region == LESION or self._native.masked else "foreground")
        curves = self._drawn.setdefault(place, Curves(*_axis(self._series[target]), real, {}))
        curves.made[source] = made

    def save(self, path: Path) -> None:
        """Draw what was gathered; nothing where the study has no series."""
        if self._drawn:
            save_figure(curve_sheet(self._drawn), path)


def _axis(told: SeriesFrames) -> tuple[str, Array]:
    """Return what frames are drawn over, with its name."""
    for name, values in (("b-value [s/mm²]", told.b_values), ("time [s]", told.times)):
        if values is not None:
            return name, np.array(values)
    return "frame", np.arange(1.0, told.frames + 1)
