"""A fitted Segment."""

from __future__ import annotations

from scanweave.framework.segmentation.fitted import FittedSegmentation
from scanweave.systems.segment.config import SegmentConfig


class FittedSegment(FittedSegmentation[SegmentConfig]):
    """A fitted Segment; see `FittedSegmentation`."""

    config_class = SegmentConfig
