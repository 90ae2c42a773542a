"""Which trials that have ended tuner averages: of the best fifteen the five whose average has the lowest loss."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tuner.search.kept_models import CHOSEN_FROM, KeptModel, members_of

from .draw import Draw
from .table import Table

Member = tuple[int, int]  # a configuration and a point


class Chooser:
    """Chooses in one replay, and remembers the answers of models on the validation rows.

    Args:
        table: with probabilities.
    """

    def __init__(self, table: Table, draw: Draw) -> None:
        assert table.labels is not None
        self._table = table
        self._draw = draw
        self._labels = table.labels[draw.validation].astype(np.int32)
        self._answers: dict[Member, NDArray[np.float32]] = {}

    def members(
        self, ranked: Sequence[Member], size: int, among: int | None = None
    ) -> list[Member]:
        """Of the models of trials that have ended, best first, those that are averaged.

        Args:
            among: so many of the best; None: as tuner does.
        """
        best = ranked[: CHOSEN_FROM * size if among is None else among]
        kept = [self._kept(each, rank) for rank, each in enumerate(best)]
        return [ranked[each.trial] for each in members_of(kept, size, self._labels)]

    def _kept(self, member: Member, rank: int) -> KeptModel:
        """A model as tuner keeps it; `rank`, from 0 for the best, stands for its trial."""
        if member not in self._answers:
            self._answers[member] = answers_of(
                self._table, self._draw, member, self._draw.validation
            )
        return KeptModel(
            cost=float(rank),
            trial=rank,
            score=-float(rank),
            epoch=member[1],
            weights=0,
            seconds_per_text=None,
            probabilities=np.zeros((0, 0), np.float32),
            validation=self._answers[member],
        )


def answers_of(
    table: Table, draw: Draw, member: Member, rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """A model's probabilities of all classes on these rows, also of two classes: `(n, n_classes)`."""
    configuration, point = member
    seed = int(draw.seeds[configuration])
    answers = table.answers(configuration, seed, point, rows).astype(np.float32)
    return of_classes(answers)


def of_classes(answers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of all classes, also where only that of class 1 of two is known."""
    return answers if answers.ndim == 2 else np.stack([1 - answers, answers], axis=-1)
