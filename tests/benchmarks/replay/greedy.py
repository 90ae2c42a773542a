"""Greedy selection of an ensemble (Caruana et al., 2004), which AutoGluon and auto-sklearn use.

It begins with the best few models, the paper's "sorted initialization". In each round the model joins, again if need
be, with which the average is right most often on the validation rows. Begun with one model, votes would never get
beyond it: of two models that vote, each is right where they differ half of the time.
"""

from collections.abc import Sequence

import numpy as np

from .draw import Draw
from .table import Table

_BEGUN_WITH = 5
_SIZE = 15
_CANDIDATES = 15  # the best single ones


def selected(table: Table, draw: Draw, ranked: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The members, each as often as it joined.

    Args:
        ranked: configurations and points, the best by validation first.
    """
    candidates = ranked[:_CANDIDATES]
    if not candidates:
        return []
    rows = draw.validation
    answers = np.array(
        [table.answers(each, int(draw.seeds[each]), point, rows) for each, point in candidates]
    )
    joined = list(range(min(_BEGUN_WITH, len(candidates))))
    total = answers[joined].sum(axis=0)
    while len(joined) < _SIZE:
        shares = table.accuracies_of(total + answers, len(joined) + 1, rows)
        joined.append(int(shares.argmax()))
        total = total + answers[joined[-1]]
    return [candidates[place] for place in joined]
