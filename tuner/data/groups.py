"""Shares whole groups of rows out to splits, so that training keeps its share however few the groups are.

Every split first gets a group of each class, as far as training keeps half of the rows then; the rarest class chooses
first, as in stratification for several labels (Sechidis et al., 2011). Further groups are dealt so that each split has
about a tenth of all rows, from every class in proportion.
"""

import numpy as np
from numpy.typing import NDArray

_LEAST_TRAINING = 0.5  # of the rows: what training keeps when classes are spread


def part_of_units(
    units: NDArray[np.int64],
    labels: NDArray[np.int32],
    strata: NDArray[np.int64],
    keys: NDArray[np.uint64],
    n_parts: int,
) -> NDArray[np.int64]:
    """`(n_units,)` int64: the part that each unit goes to, from 0; -1 where it stays in training.

    Each part gets about a tenth of the rows, and one unit at least while there are more units than parts. A unit stays
    if it is the last in training that has some class, unless a part would have none.

    Args:
        units: `(n_rows,)` int64, below `n_units`.
        labels: `(n_rows,)` int32.
        strata: `(n_units,)` int64, units that are alike; -1 of those without rows.
        keys: `(n_units,)` uint64, the random order of units.
    """
    sharing = _Sharing(units, labels, strata, keys, n_parts)
    sharing.spread_classes()
    sharing.give_one_each()
    sharing.deal()
    return sharing.part


class _Sharing:
    """Units and the parts that they have gone to.

    Attributes:
        part: `(n_units,)` int64, -1 in training.
    """

    def __init__(
        self,
        units: NDArray[np.int64],
        labels: NDArray[np.int32],
        strata: NDArray[np.int64],
        keys: NDArray[np.uint64],
        n_parts: int,
    ) -> None:
        n_units, n_classes = len(keys), int(labels.max(initial=0)) + 1
        self.part = np.full(n_units, -1, dtype=np.int64)
        self._sizes = np.bincount(units, minlength=n_units)
        self._strata = strata
        self._keys = keys
        self._tenth = len(units) / 10
        self._rows_in = [0] * n_parts
        self._rows_of_stratum = np.zeros((n_parts, int(strata.max(initial=0)) + 1), np.int64)
        self._rows_left = len(units)
        self._least_rows = _LEAST_TRAINING * len(units)
        pairs, pair_rows = np.unique(units * n_classes + labels, return_counts=True)
        self._unit_of_pair, self._class_of_pair = pairs // n_classes, pairs % n_classes
        self._bounds = np.searchsorted(self._unit_of_pair, np.arange(n_units + 1))
        self._units_left = np.bincount(self._class_of_pair, minlength=n_classes)
        self._has_class = np.zeros((n_parts, n_classes), dtype=bool)
        # Units of more than a tenth of all rows, or of a class's, come last, the smallest first.
        excess = np.maximum(1, self._sizes / self._tenth)
        self._order = np.lexsort((keys, excess))
        tenth_of_class = np.bincount(labels, minlength=n_classes)[self._class_of_pair] / 10
        excess_of_pair = np.maximum(excess[self._unit_of_pair], pair_rows / tenth_of_class)
        by_class = np.lexsort((keys[self._unit_of_pair], excess_of_pair, self._class_of_pair))
        bounds = np.cumsum(self._units_left)[:-1]
        self._units_of_class = np.split(self._unit_of_pair[by_class], bounds)

    def spread_classes(self) -> None:
        """Gives each part a unit of every class, but for classes of which training cannot spare so many."""
        for label in np.argsort(self._units_left, kind="stable").tolist():
            lacking = np.flatnonzero(~self._has_class[:, label]).tolist()
            spared = self._spared(label, len(lacking))
            if len(spared) == len(lacking):
                for unit, part in zip(spared, lacking, strict=True):
                    self._give(unit, part)

    def give_one_each(self) -> None:
        """Gives a unit to each part that has none, in the last resort one that training needs."""
        for part, rows in enumerate(self._rows_in):
            if rows == 0:
                left = [each for each in self._order if self.part[each] < 0 and self._sizes[each]]
                if len(left) > 1:
                    self._give(next(filter(self._may_go, left), left[0]), part)

    def deal(self) -> None:
        """Deals units stratum by stratum between training and the parts, to whom is behind their share of the rows."""
        # A larger one would leave a part further from a tenth than it was.
        is_dealt = (self.part < 0) & (self._sizes > 0) & (self._sizes <= 2 * self._tenth)
        order = np.lexsort((self._keys, self._strata))
        dealt = order[is_dealt[order]]
        wanted = sum(max(0.0, self._tenth - rows) for rows in self._rows_in)
        n_parts = len(self._rows_in)
        share = min(wanted / max(1, int(self._sizes[dealt].sum())), n_parts / (n_parts + 1))
        training_behind = parts_behind = 0.0  # rows
        for unit in dealt.tolist():
            size = int(self._sizes[unit])
            parts_behind += share * size
            training_behind += (1 - share) * size
            part = self._neediest(unit) if parts_behind > training_behind else None
            if part is not None and self._may_go(unit):
                self._give(unit, part)
                parts_behind -= size
            else:
                training_behind -= size

    def _neediest(self, unit: int) -> int | None:
        """Of the parts that it brings nearer to a tenth the one with the fewest rows of its stratum."""
        size, stratum = int(self._sizes[unit]), self._strata[unit]
        needing = [
            (self._rows_of_stratum[part, stratum], rows, part)
            for part, rows in enumerate(self._rows_in)
            if rows + size / 2 <= self._tenth
        ]
        return min(needing)[-1] if needing else None

    def _spared(self, label: int, count: int) -> list[int]:
        """`count` units of a class that training can spare together; fewer if it cannot."""
        rows_left, units_left = self._rows_left, self._units_left.copy()
        spared: list[int] = []
        for unit in self._units_of_class[label].tolist():
            if len(spared) == count:
                break
            rows, classes = rows_left - int(self._sizes[unit]), self._classes(unit)
            if self.part[unit] < 0 and rows >= self._least_rows and (units_left[classes] > 1).all():
                spared.append(unit)
                rows_left = rows
                units_left[classes] -= 1
        return spared

    def _may_go(self, unit: int) -> bool:
        """Whether it is in training, and other units there have its classes."""
        return self.part[unit] < 0 and bool((self._units_left[self._classes(unit)] > 1).all())

    def _give(self, unit: int, part: int) -> None:
        self.part[unit] = part
        self._rows_in[part] += int(self._sizes[unit])
        self._rows_of_stratum[part, self._strata[unit]] += int(self._sizes[unit])
        self._rows_left -= int(self._sizes[unit])
        self._units_left[self._classes(unit)] -= 1
        self._has_class[part, self._classes(unit)] = True

    def _classes(self, unit: int) -> NDArray[np.int64]:
        """The classes of its rows."""
        classes: NDArray[np.int64] = self._class_of_pair[
            self._bounds[unit] : self._bounds[unit + 1]
        ]
        return classes
