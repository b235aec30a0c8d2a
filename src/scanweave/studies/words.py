"""Counts in words."""

from __future__ import annotations


def count(number: int, one: str, many: str | None = None) -> str:
    """`"1 study"`, `"2 studies"`: a number and what is counted; `many` is `one` and an s if not given."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def studies(number: int) -> str:
    """`"1 study"`, `"2 studies"`."""
    return count(number, "study", "studies")
