"""The one reader of users' files: `tuner data`, `search`, `predict`, `test --data` and the Python calls use it.

It gives the rows of a file piece by piece, so that a pipe or a file larger than memory can be read. It merges, drops or
shifts no row: a row that cannot be read is refused with its line. The content of a file shows its kind; the name
decides where the content leaves a choice.
"""

from tuner.data.files.reader import FORMATS, DataFile, no_rows, read_table
from tuner.data.files.table import Table

__all__ = ["FORMATS", "DataFile", "Table", "no_rows", "read_table"]
