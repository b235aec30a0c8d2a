"""Parquet files within a budget: repeated texts are counted as often as they stand there before they are unpacked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scanweave.errors import ScanweaveError, reason_of
from scanweave.studies.formats.parquet_files import characters, is_text
from scanweave.studies.tables.size_budget import Budget

BATCH_ROWS = 2**16
LAST_YEAR = 9999
"""The last year that a date can have; what lies beyond it, or before year 1, counts as missing."""
_FIRST_DAY, _LAST_DAY = -719162, 2932896
"""1 January of year 1 and 31 December of `LAST_YEAR` [days since 1970]."""
_FORMATS = "Give a .csv, .tsv, .parquet or .xlsx file"
_PLAIN = (
    pa.types.is_null,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_date,
    pa.types.is_timestamp,
    pa.types.is_time,
    pa.types.is_duration,
)
_TICKS = {"s": 1, "ms": 1000, "us": 10**6, "ns": 10**9}


def read_parquet_table(path: Path, notes: list[str], most_rows: int | None = None) -> pd.DataFrame:
    """Read a Parquet file of plain values.

    Args:
        path: The file.
        notes: Takes what was mended.
        most_rows: Rows to read; None: all.

    Raises:
        ScanweaveError: It cannot be read, has columns of lists or records, or is over the budget.
    """
    budget = Budget(path)
    try:
        file = pq.ParquetFile(path)
        schema, claimed = file.schema_arrow, file.metadata
        _check_columns(path, schema)
        rows = claimed.num_rows if most_rows is None else min(claimed.num_rows, most_rows)
        budget.check(rows * len(schema))
        texts = [field.name for field in schema if is_text(field.type)]
        file = pq.ParquetFile(path, read_dictionary=texts)  # repeated texts stand there once
        batches, seen = list[pa.RecordBatch](), 0
        for batch in file.iter_batches(BATCH_ROWS if most_rows is None else max(1, most_rows)):
            budget.take(batch.num_rows * len(schema), sum(map(characters, batch.columns)))
            batches.append(batch)
            seen += batch.num_rows
            if most_rows is not None and seen >= most_rows:
                break
        table = pa.Table.from_batches(batches, schema=batches[0].schema if batches else file.schema_arrow)
        columns = [_bounded(table.column(k), field, notes) for k, field in enumerate(table.schema)]
        made = pa.Table.from_arrays(columns, names=table.column_names)
        made.validate(full=True)
        return made.to_pandas(date_as_object=False, ignore_metadata=True)
    except (OSError, pa.ArrowException, ValueError, OverflowError) as error:
        words = reason_of(error)
        raise ScanweaveError(path, f"not a readable Parquet file ({words})", _FORMATS) from error


def _check_columns(path: Path, schema: pa.Schema) -> None:
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_nested(kind):
            raise ScanweaveError(path, f"column '{field.name}' holds lists or records", "Give one value a cell")
        if not (is_text(kind) or any(fits(kind) for fits in _PLAIN)):
            raise ScanweaveError(path, f"column '{field.name}' holds {kind}", "Give numbers, text or dates")


def _bounded(column: pa.ChunkedArray, field: pa.Field, notes: list[str]) -> Any:
    """A column in plain values: no dictionaries, and no dates that no calendar has."""
    if pa.types.is_dictionary(field.type):
        return column.cast(field.type.value_type)
    if not (pa.types.is_date(field.type) or pa.types.is_timestamp(field.type)):
        return column
    days = pa.types.is_date32(field.type)
    ticks = 1 if days else _TICKS[getattr(field.type, "unit", "ms")] * 86400
    numbers = column.cast(pa.int32()).cast(pa.int64()) if days else column.cast(pa.int64())
    most = 2**63 - 1
    low, high = max(_FIRST_DAY * ticks, -most), min((_LAST_DAY + 1) * ticks - 1, most)
    within = pc.and_(pc.greater_equal(numbers, pa.scalar(low, pa.int64())), pc.less_equal(numbers, pa.scalar(high)))
    beyond = int(pc.sum(pc.invert(within)).as_py() or 0)
    if beyond:
        notes.append(f"{field.name}: {beyond} dates before year 1 or after {LAST_YEAR} count as missing")
        column = pc.if_else(within, column, pa.scalar(None, field.type))
    return column
