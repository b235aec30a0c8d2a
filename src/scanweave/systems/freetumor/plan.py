"""The plan of a FreeTumor run: the first mask is made, the second says where tumours may lie."""

from __future__ import annotations

from scanweave.studies.preparing.plan import Plan


class TumourPlan(Plan):
    """A preparation whose masks are that of the tumours, which is made, and that of the organs, which is only read."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Name of the mask that is made."""
        return tuple(self.masks)[:1]
