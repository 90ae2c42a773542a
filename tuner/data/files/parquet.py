"""Parquet files: the only kind that needs the end of the file before its rows."""

import io
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from tuner.data.files.table import Table
from tuner.errors import DataError
from tuner.text import excerpt

MAGIC = b"PAR1"


def parquet_rows(file: IO[bytes], where: str, size: int) -> Iterator[Table]:
    """The rows, `size` at a time.

    Args:
        file: at the beginning; one that cannot seek, such as a pipe, is read into memory.

    Raises:
        DataError: damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        source = file if file.seekable() else io.BytesIO(file.read())
        parquet = pq.ParquetFile(source)
        names = list(parquet.schema_arrow.names)
        first = 0
        for batch in parquet.iter_batches(batch_size=size):
            yield _table(batch, names, where, first)
            first += batch.num_rows
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise DataError.at(
            where, f"not a readable Parquet file ({error}); write it again"
        ) from error
    if not first:
        yield Table(where, names, 0, lambda _: [])


def _table(batch: Any, names: list[str], where: str, first: int) -> Table:
    import pyarrow as pa

    def cells(at: int) -> list[object]:
        column = batch.column(at)
        narrow = {pa.float16(): np.float16, pa.float32(): np.float32}.get(column.type)
        try:
            found = list(column.to_pylist())
            if narrow is None:
                return found
            # As a text file shows them: the nearest float to 0.1 of 32 bits is 0.10000000149011612 of 64.
            return [None if cell is None else float(str(narrow(cell))) for cell in found]
        except (pa.ArrowException, ValueError, OverflowError) as error:
            raise DataError.at(
                where, f"column {excerpt(names[at])} is not readable ({error})"
            ) from error

    return Table(where, names, batch.num_rows, cells, (), first)
