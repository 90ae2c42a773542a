"""What chance decides in one replay, the same for every arm: rows' roles, each configuration's seed, the random order.

With common random numbers a difference between two arms is theirs, and far fewer replays show it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .table import Table

# Of the pool. A search chooses by the first, may weigh finalists by the second, and is measured on the rest.
VALIDATION = 0.2
CONFIRMATION = 0.2
_REPLAYS_AT_ONCE = 100


@dataclass(frozen=True, eq=False)
class Draw:
    """One replay's chance, and every model's validation accuracy under it.

    Args:
        number: the replay's, from 0.
        validation, confirmation, truth: rows of the pool, disjoint.
        seeds: `(n,)`, of each configuration the recorded seed that the search trains it with.
        order: `(n,)`, the configurations as a random search draws them: any architecture, then one of its own.
        validation_accuracy: `(n, n_points)`, with that seed.
    """

    number: int
    validation: NDArray[np.int64]
    confirmation: NDArray[np.int64]
    truth: NDArray[np.int64]
    seeds: NDArray[np.int64]
    order: NDArray[np.int64]
    validation_accuracy: NDArray[np.float32]


def draws(
    table: Table, numbers: range, *, seed: int, has_fresh_rows: bool = False
) -> Iterator[Draw]:
    """The chance of the replays of these numbers; the same for the same seed, however many are drawn.

    Args:
        has_fresh_rows: `truth` is drawn with replacement, so outcomes vary as on rows outside of the pool. Without,
            most rows of the pool measure every replay, and replays are more alike than searches are.
    """
    flat = table.right.reshape(-1, table.n_pool).astype(np.float32)
    for first in range(0, len(numbers), _REPLAYS_AT_ONCE):
        for draw in _block(table, flat, numbers[first : first + _REPLAYS_AT_ONCE], seed):
            if has_fresh_rows:
                rng = np.random.default_rng((seed, draw.number, 1))
                yield replace(draw, truth=rng.choice(draw.truth, len(draw.truth)))
            else:
                yield draw


def on_the_same_rows(table: Table, draw: Draw, number: int) -> Draw:
    """A draw of this number whose rows have the same roles, with other seeds and another order of configurations."""
    rng = np.random.default_rng((draw.number, number, 2))
    every = np.arange(table.n_configurations)
    seeds = rng.integers(table.n_seeds, size=table.n_configurations)
    accuracy = table.right[every, seeds][..., draw.validation].mean(axis=2).astype(np.float32)
    order = random_order(table.architectures, rng)
    return replace(draw, number=number, seeds=seeds, order=order, validation_accuracy=accuracy)


def _block(
    table: Table, flat: NDArray[np.float32], numbers: Sequence[int], seed: int
) -> Iterator[Draw]:
    rngs = [np.random.default_rng((seed, number)) for number in numbers]
    ends = np.cumsum([round(VALIDATION * table.n_pool), round(CONFIRMATION * table.n_pool)])
    roles = [np.split(rng.permutation(table.n_pool), ends) for rng in rngs]
    on_validation = _accuracies(table, flat, [validation for validation, _, _ in roles])
    every = np.arange(table.n_configurations)
    for place, (number, rng) in enumerate(zip(numbers, rngs, strict=True)):
        validation, confirmation, truth = roles[place]
        seeds = rng.integers(table.n_seeds, size=table.n_configurations)
        yield Draw(
            number=number,
            validation=validation,
            confirmation=confirmation,
            truth=truth,
            seeds=seeds,
            order=random_order(table.architectures, rng),
            validation_accuracy=on_validation[every, seeds, :, place],
        )


def random_order(architectures: Sequence[str], rng: np.random.Generator) -> NDArray[np.int64]:
    """All configurations as a random search draws them, each once.

    Of a table of some dozens, one architecture is recorded twice as often as another by chance. A search draws all of
    them alike, so the order does, too, as long as an architecture has configurations left.
    """
    left: dict[str, list[int]] = {}
    for configuration in rng.permutation(len(architectures)):
        left.setdefault(architectures[configuration], []).append(int(configuration))
    order = []
    while left:
        architecture = sorted(left)[rng.integers(len(left))]
        order.append(left[architecture].pop())
        if not left[architecture]:
            del left[architecture]
    return np.array(order)


def _accuracies(
    table: Table, flat: NDArray[np.float32], roles: Sequence[NDArray[np.int64]]
) -> NDArray[np.float32]:
    """Of every model on each set of rows, `(n, n_seeds, n_points, n_sets)`: one matrix product.

    Right answers are counted before they are divided. Sums of shares would differ in their last bit with the number of
    sets, on some processors, and models that are equally right would change places.
    """
    are_in = np.zeros((table.n_pool, len(roles)), np.float32)
    for place, rows in enumerate(roles):
        are_in[rows, place] = 1
    counts: NDArray[np.float32] = flat @ are_in
    accuracies = counts / np.array([len(rows) for rows in roles], np.float32)
    return accuracies.reshape(*table.right.shape[:3], len(roles))
