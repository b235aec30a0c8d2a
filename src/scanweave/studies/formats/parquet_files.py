"""Parquet files as Arrow tables, within a budget: repeated texts are counted as often as they stand there, packed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scanweave.errors import ScanweaveError
from scanweave.studies.formats import header_limits

BUDGET_DIVISOR = 6
"""Of so many parts of the memory budget a table may take one, 0.7 of 4 GiB: the rest of the program needs 0.3 GiB."""
ARROW_BYTES, LIST_BYTES = (24, 2), (64, 3)
"""Held for a value, and beside it for a character of text, where a table stays in Arrow, and where it becomes lists."""


def read_arrow(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file whole, to stay in Arrow, or some of its columns, to become lists.

    Texts of a whole file come as `string` or `large_string`.

    Raises:
        ScanweaveError: It unpacks to more than the budget.
        OSError, ValueError, OverflowError, pyarrow.ArrowException: It is damaged.
    """
    file = pq.ParquetFile(path)
    fields = [field for field in file.schema_arrow if columns is None or field.name in columns]
    groups = (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups))
    a_value, a_character = ARROW_BYTES if columns is None else LIST_BYTES
    held = file.metadata.num_rows * len(fields) * a_value
    _check(path, max(held, sum(group.total_byte_size for group in groups)))
    texts = [field.name for field in fields if is_text(field.type)]
    table = pq.ParquetFile(path, read_dictionary=texts).read(columns=columns)  # repeated texts stand there once
    chunks = (chunk for column in table.columns for chunk in column.chunks)
    _check(path, held + sum(map(characters, chunks)) * a_character)
    table.validate(full=True)  # bytes that are no text are found here, or anywhere later
    for number, field in enumerate(fields if columns is None else ()):
        if is_text(field.type):
            kind = pa.string() if pa.types.is_string(field.type) else pa.large_string()  # pandas compares no views
            table = table.set_column(number, field.name, table.column(number).cast(kind))
    return table


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a type is that of text, not packed in a dictionary."""
    types = pa.types
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def characters(column: pa.Array) -> int:
    """Return the bytes of the texts of a packed column, each as often as it stands there; 0 of other columns."""
    if not pa.types.is_dictionary(column.type) or not is_text(column.type.value_type):
        return 0
    lengths = pc.binary_length(column.dictionary.cast(pa.large_string())).cast(pa.int64())
    return int(pc.sum(lengths.take(column.indices)).as_py() or 0)


def _check(path: Path, held: int) -> None:
    most = header_limits.MEMORY_BUDGET // BUDGET_DIVISOR
    if held > most:
        reason = f"takes more than the {most / 2**20:.0f} MiB of memory that a table may"
        raise ScanweaveError(path, reason, "If that is right, raise SCANWEAVE_MEMORY_BUDGET (bytes)")
