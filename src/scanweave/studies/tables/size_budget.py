"""Memory that a table may take: judged before it is read, or while it is.

What is judged is what the reading and understanding of a table holds at its peak, as measured on tables of text and of
numbers; a file that is small when packed is refused before it fills the memory.
"""

from __future__ import annotations

from pathlib import Path

from scanweave.errors import ScanweaveError
from scanweave.studies.formats import header_limits
from scanweave.studies.formats.parquet_files import BUDGET_DIVISOR

BYTES_A_CELL = 220
"""Held for a cell at most: its value, what it is converted to, and its place in rows [bytes]."""
BYTES_A_CHARACTER = 8
"""Held for a character of text: as read, as cleaned, and as a category [bytes]."""


class Budget:
    """Memory that the table of one file has taken so far.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.most = header_limits.MEMORY_BUDGET // BUDGET_DIVISOR
        self.taken = 0

    def take(self, cells: int, characters: int = 0) -> None:
        """Add cells and the characters in them.

        Raises:
            ScanweaveError: That is more than the budget.
        """
        self.taken += cells * BYTES_A_CELL + characters * BYTES_A_CHARACTER
        if self.taken > self.most:
            raise ScanweaveError(
                self.path,
                f"takes more than the {self.most / 2**20:.0f} MiB of memory that a table may",
                "Keep the columns and rows that are needed, or raise SCANWEAVE_MEMORY_BUDGET (bytes)",
            )

    def check(self, cells: int, characters: int = 0) -> None:
        """Judge what a file claims to hold, without taking it.

        Raises:
            ScanweaveError: That is more than the budget.
        """
        before = self.taken
        self.take(cells, characters)
        self.taken = before
