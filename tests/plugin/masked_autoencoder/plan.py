"""Plan of a run: what it knows of its data."""

from scanweave.studies.preparing.plan import Plan

FILLED = "_filled"
"""What the name of a scan with filled blocks ends in."""


class FillingPlan(Plan):
    """Plan of making scans ready for the network; what is made of `t1` is called `t1_filled`."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of what is made."""
        return tuple(f"{name}{FILLED}" for name in self.rules)
