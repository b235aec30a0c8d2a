"""Findings of a check: in words, with what was done about it or what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pydantic import TypeAdapter

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
    return _findings_adapter().validate_python(values)


@cache
def _findings_adapter() -> TypeAdapter[tuple[Finding, ...]]:
    from pydantic import TypeAdapter

    return TypeAdapter(tuple[Finding, ...])


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
