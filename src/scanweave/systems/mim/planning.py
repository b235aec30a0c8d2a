"""Plan of a run: what it knows of its data. Imports no torch."""

from __future__ import annotations

from scanweave.engine.saved_plan import EMBEDDING
from scanweave.studies.preparing.plan import Plan


class MimPlan(Plan):
    """The preparation of a run, whose targets are its scans, reconstructed, and the embedding."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of what is made: the scans, and the embedding, which is made only when it is asked for."""
        return (*self.rules, EMBEDDING)
