"""The network of a run by its settings."""

from __future__ import annotations

from scanweave.systems.detect.config import END_TO_END, NetworkSettings
from scanweave.systems.detect.detector import Detector
from scanweave.systems.detect.network import CheXDet
from scanweave.systems.detect.planning import DetectPlan


def make_network(plan: DetectPlan, settings: NetworkSettings) -> Detector:
    """Return a detector with random weights.

    Args:
        plan: Classes, channels, anchors.
        settings: Which detector, and its sizes.

    Raises:
        ScanweaveError: There is no such encoder, or the library that a detector is of is not installed.
    """
    if settings.detector in END_TO_END:
        from scanweave.systems.detect.end_to_end import EndToEndDetector  # transformers: slow, and optional

        return EndToEndDetector(plan, settings)
    return CheXDet(plan, settings)
