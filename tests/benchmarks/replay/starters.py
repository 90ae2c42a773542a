"""The configurations that a replayed search tries first: those of a run that helps, that misleads, or on other data."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tuner.search.starters import MOST, MOST_OF_A_RUN, Outside, configuration_in
from tuner.settings.space import ARCHITECTURE

from .table import Table, load_table
from .tabular import Recorded

TABLES = Path(__file__).parent / "tables"


@lru_cache
def best_of_same(table: Table) -> Sequence[int]:
    """Of a run that had tried all of the table: the most that one can hope for."""
    return _one_of_each_architecture(table, ranked(table))[:MOST_OF_A_RUN]


@lru_cache
def worst_of_same(table: Table) -> Sequence[int]:
    """Of a run that misleads as much as one can."""
    return _one_of_each_architecture(table, ranked(table)[::-1])[:MOST_OF_A_RUN]


@lru_cache
def best_of_others(table: Table) -> Sequence[int]:
    """Of runs that had tried all of each other table: in this space, or the nearest that was recorded."""
    recorded = Recorded(table.space, table.parameters)
    starters: list[int] = []
    for other in other_tables(table):
        inside = [each for each in ranked(other) if own_values(other, each, table)]
        for each in _one_of_each_architecture(other, inside)[:MOST_OF_A_RUN]:
            values = own_values(other, each, table)
            architecture = str(values[ARCHITECTURE])
            left = [
                number
                for number, its in enumerate(table.architectures)
                if its == architecture and number not in starters
            ]
            distances = recorded.distances(architecture, values, np.array(left))
            starters.append(left[int(distances.argmin())])
    return starters[:MOST]


def other_tables(table: Table) -> Iterator[Table]:
    """All that are kept but this one."""
    for other in map(load_table, sorted(TABLES.glob("*.npz"))):
        if other.name != table.name:
            yield other


def own_values(other: Table, number: int, table: Table) -> dict[str, Any]:
    """A configuration of another table as this one's study names it; empty where it lies outside."""
    parameters = other.space.values(other.parameters[number])
    try:
        found = configuration_in(table.space, other.architectures[number], parameters)
    except Outside:
        return {}
    return dict(table.space.study_parameters(found))


def ranked(table: Table) -> list[int]:
    """All configurations, best first, by the mean of their seeds on the whole pool."""
    accuracy = table.right[:, :, list(table.epoch_points)].mean(axis=3).max(axis=2).mean(axis=1)
    return list(map(int, np.argsort(-accuracy)))


def _one_of_each_architecture(table: Table, numbers: Sequence[int]) -> list[int]:
    first: dict[str, int] = {}
    for number in numbers:
        first.setdefault(table.architectures[number], number)
    return list(first.values())
