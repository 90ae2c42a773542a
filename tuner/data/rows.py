"""Labelled rows as every source gives them, before tokens are cut and splits are made."""

from dataclasses import dataclass

from tuner.config import TokenMode
from tuner.data.dataset import Split


@dataclass(frozen=True)
class Rows:
    """Texts with labels.

    Attributes:
        where: what an error calls them: a name or a path.
        texts: one a row; lists of integers are written with spaces between them.
        labels: one a row, never empty.
        tokens: how the texts are to be cut.
        given: the split that the source gives to each row, or None where it gives none.
    """

    where: str
    texts: list[str]
    labels: list[str]
    tokens: TokenMode
    given: list[Split] | None = None
