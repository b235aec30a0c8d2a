"""Plan of a run from its training studies: its question, and whether scans are views or channels. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence

from scanweave.framework.whole_images.planning import WholeImagePlan
from scanweave.studies.preparing.preparation import Frame
from scanweave.systems.classify.config import NetworkSettings

FILE = "question.json"


class ClassifyPlan(WholeImagePlan):
    """The question and the input of a run; saved as `question.json`. See `WholeImagePlan`.

    Attributes:
        views: Whether scans are views, each through the same encoder, rather than channels of one image.
    """

    views: bool = False


def plan_views(
    grids: Sequence[Sequence[Frame]], scans: Sequence[str], settings: NetworkSettings
) -> tuple[bool, tuple[str, ...]]:
    """Return whether scans are views rather than channels, and why; no reason where there is but one scan.

    Args:
        grids: The frames of each training study, one a grid.
        scans: Names of the scans.
        settings: What the user decided.
    """
    if len(scans) == 1:
        return False, ()
    apart = sum(len(frames) > 1 for frames in grids)
    films = any(not frame.native.is_placed for frames in grids for frame in frames)
    views = bool(apart or films) if settings.scans_as == "auto" else settings.scans_as == "views"
    because = "as asked"
    if settings.scans_as == "auto":
        because = f"{apart} of {len(grids)} training studies have scans on grids of their own" if apart else ""
        because = because or ("films are in no common space" if films else "they share a grid")
    how = "views, each through the same encoder, features averaged over those present" if views else "channels"
    return views, (f"scans: {', '.join(scans)} are {how}; {because}",)
