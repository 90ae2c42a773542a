"""A file's rows and columns before anyone knows which of them are texts and labels."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Named columns of cells; a column is made when it is asked for.

    Attributes:
        where: the file's path, for errors.
        names: columns, in the file's order.
        lines: the line on which each row ends; empty for files without lines.
        size: rows.
        column: the cells of a column, one a row; None where a row has no such cell.
    """

    where: str
    names: list[str]
    lines: list[int]
    size: int
    column: Callable[[str], list[object]]

    def place(self, row: int) -> str:
        """Where row `row`, counted from 0, stands: `row 3 (line 4)`, counted from 1."""
        line = f" (line {self.lines[row]})" if self.lines else ""
        return f"row {row + 1}{line}"
