"""Findings of a check: in words, with what was done about it or what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Status = Literal["ok", "repaired", "suspect", "refused"]
"""`ok`: usable; `repaired`: usable, after a change that is named and exact or harmless; `suspect`: usable as it is, but
a person should look; `refused`: not usable, nothing is guessed."""

ORDER: tuple[Status, ...] = ("ok", "repaired", "suspect", "refused")


@dataclass(frozen=True)
class Finding:
    """One peculiarity of a study or of one of its images.

    Attributes:
        kind: One word for it, such as `"orientation"`.
        status: How bad it is.
        words: What it is.
        step: What is done (`ok`, `repaired`), or what the user can do.
        scan: The image it concerns, such as `"t1"` or `"mask:lesion"`; None: the whole study.
    """

    kind: str
    status: Status
    words: str
    step: str
    scan: str | None = None

    def of(self, scan: str) -> Finding:
        """Return the same finding, of the image `scan`."""
        return replace(self, scan=scan)

    def __str__(self) -> str:
        where = f"{self.scan}: " if self.scan else ""
        return f"{where}{self.words} → {self.step}"


def parse_findings(values: object) -> tuple[Finding, ...]:
    """Return findings from plain values, such as JSON.

    Raises:
        ValueError: They are no findings.
    """
    if not isinstance(values, list):
        raise ValueError("no list of findings")
    return tuple(map(_parsed, values))


def _parsed(value: object) -> Finding:
    """Return one finding, checked by hand: to load pydantic costs as much as the rest of a check without a change."""
    if not isinstance(value, dict):
        raise ValueError("no finding")
    texts: list[Any] = [value.get(name) for name in ("kind", "status", "words", "step")]
    scan = value.get("scan")
    if not all(isinstance(text, str) for text in texts) or not (scan is None or isinstance(scan, str)):
        raise ValueError("a finding lacks a text")
    kind, status, words, step = texts
    if status not in ORDER:
        raise ValueError(f"{status!r} is no status of a finding")
    return Finding(kind, status, words, step, scan)


@dataclass(frozen=True)
class Verdict:
    """The decision about one study.

    Attributes:
        study: Its name.
        findings: Everything that was found; none: it is as it should be.
    """

    study: str
    findings: tuple[Finding, ...] = ()

    @property
    def status(self) -> Status:
        """The worst of the findings."""
        return max((finding.status for finding in self.findings), key=ORDER.index, default="ok")

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"study": self.study, "status": self.status, "findings": [asdict(f) for f in self.findings]}
