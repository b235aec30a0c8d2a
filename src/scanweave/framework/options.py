"""Options of a verb that belong to one system: checked and told as the settings of a fit are. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from scanweave.framework.setting_layers import nested, overlaid, refuse_without_effect


class VerbOptions(BaseModel):
    """Options of one verb of one system; these are none. A system's `config.py` names its own in `OPTIONS`, by verb."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


V = TypeVar("V", bound=VerbOptions)
Options = VerbOptions | Mapping[str, Any] | None
"""Options as a user gives them: a system's own class, plain values by name, or none."""


def chosen_options(kind: type[V], options: Options, verb: str) -> V:
    """Return the options of a verb from what a user gave.

    Raises:
        ScanweaveError: The system has no such option, refuses its value, or does not read it beside the others.
    """
    if isinstance(options, kind):
        return options
    given = nested(options.model_dump() if isinstance(options, BaseModel) else dict(options or {}))
    chosen = overlaid(kind(), given, "", f"scanweave {verb} RUN --help")
    refuse_without_effect(chosen, given)
    return chosen
