"""CSV files that a spreadsheet opens without running anything: a text that would be a formula there is written as text.

A cell or heading that begins with `=`, `+`, `-` or `@`, a tab or a carriage return, and is no number, gets an
apostrophe in front (OWASP, CSV injection). `unquoted` takes it away: what is read back is what was written.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scanweave.files import atomic_write

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = re.compile(r"'*[=+\-@\t\r＝＋－＠]")
_QUOTED = re.compile(r"'+[=+\-@\t\r＝＋－＠]")


def quoted(cell: Any) -> Any:
    """Return a cell as it may stand in a CSV file; only texts that would be formulas change."""
    if not isinstance(cell, str) or len(cell) < 2 or not _FORMULA.match(cell) or _is_number(cell):
        return cell
    return f"'{cell}"


def unquoted(cell: Any) -> Any:
    """Return a cell of a CSV file as it was before `quoted`."""
    return cell[1:] if isinstance(cell, str) and _QUOTED.match(cell) and len(cell) > 2 else cell


def write_csv(path: str | Path, table: pd.DataFrame, **options: Any) -> None:
    """Write a table as CSV without its index, whole or not at all; `options` go to `DataFrame.to_csv`."""
    texts = [at for at, kind in enumerate(table.dtypes) if not hasattr(kind, "kind") or kind.kind not in "biufcmM"]
    safe = table.copy()
    for at in texts:
        safe.isetitem(at, table.iloc[:, at].map(quoted).astype(object))
    safe.columns = [quoted(heading) for heading in table.columns]
    with atomic_write(path) as temporary:
        safe.to_csv(temporary, index=False, **options)


def read_csv(path: str | Path, **options: Any) -> pd.DataFrame:
    """Read what `write_csv` wrote; `options` go to `pandas.read_csv`."""
    import pandas as pd

    table = pd.read_csv(path, **options)
    for at, kind in enumerate(table.dtypes):
        if not hasattr(kind, "kind") or kind.kind not in "biufcmM":
            table.isetitem(at, table.iloc[:, at].map(unquoted))
    if not pd.api.types.is_numeric_dtype(table.index.dtype):
        table.index = table.index.map(unquoted)
    return table.set_axis([unquoted(heading) for heading in table.columns], axis=1)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
