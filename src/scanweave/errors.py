"""The one error that a user of scanweave sees."""

from __future__ import annotations

from pathlib import Path


class ScanweaveError(Exception):
    """A mistake or fault, told in one line: where it is, why it is one, what to do next.

    Args:
        where: The file, field, study or command at fault.
        reason: Why it cannot be used, in words.
        next_step: What the user can do about it.
    """

    def __init__(self, where: str | Path, reason: str, next_step: str) -> None:
        super().__init__(where, reason, next_step)
        self.where = str(where)
        self.reason = reason
        self.next_step = next_step

    def __str__(self) -> str:
        step = self.next_step if self.next_step.endswith("?") else f"{self.next_step.rstrip('.')}."
        return " ".join(f"{self.where}: {self.reason.rstrip('.')}. {step}".split())


def reason_of(error: BaseException) -> str:
    """Return the first line of what a library says of a fault, or the kind of the fault where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
