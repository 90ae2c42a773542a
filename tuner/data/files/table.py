"""Named columns of cells: the form that a file of any kind is read into, whole or a piece at a time."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Table:
    """Rows of a file; a column is made when it is first used.

    Attributes:
        where: the file's path, for errors.
        names: columns, in the file's order.
        size: rows.
        cells: the cells of the column at a position of `names`, one per row; None where a row has no such cell.
        lines: the line on which each row ends; empty for files without lines.
        first: rows of the file that come before these.
        warnings: what a person should know of the rows of a whole file, without its place.
    """

    where: str
    names: Sequence[str]
    size: int
    cells: Callable[[int], list[object]]
    lines: Sequence[int] = ()
    first: int = 0
    warnings: Sequence[str] = ()

    def column(self, name: str) -> list[object]:
        """The cells of the first column of that name; all None if there is none, as in some pieces of JSON lines."""
        return self.cells(self.names.index(name)) if name in self.names else [None] * self.size

    def keeping(self, names: Collection[str]) -> "Table":
        """The same table in less memory: only the cells of these columns can be read."""
        kept = {at: self.cells(at) for at, name in enumerate(self.names) if name in names}
        return replace(self, cells=kept.__getitem__)

    def place(self, row: int) -> str:
        """Where row `row`, counted from 0, stands in the file: `row 3 (line 4)`, counted from 1."""
        line = f" (line {self.lines[row]})" if self.lines else ""
        return f"row {self.first + row + 1}{line}"


def joined(pieces: Sequence[Table]) -> Table:
    """The pieces of a file as one table; a column that only some pieces have is None in the others."""
    if len(pieces) == 1:
        return pieces[0]
    names = max((piece.names for piece in pieces), key=len)
    if any(piece.names != names for piece in pieces):
        names = list(dict.fromkeys(name for piece in pieces for name in piece.names))

    def cells(at: int) -> list[object]:
        return [cell for piece in pieces for cell in _cells(piece, names, at)]

    return Table(
        where=pieces[0].where,
        names=names,
        size=sum(piece.size for piece in pieces),
        cells=cells,
        lines=[line for piece in pieces for line in piece.lines],
    )


def _cells(piece: Table, names: Sequence[str], at: int) -> list[object]:
    if piece.names == names:
        return piece.cells(at)
    return piece.column(names[at])
