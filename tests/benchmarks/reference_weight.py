"""How much of the average the linear reference should get, beside the best five of some recorded trials.

    python tests/benchmarks/reference_weight.py --tables TABLE.npz

Every draw has its own validation rows, which choose trials and epochs, confirmation rows, which choose the weight, and
rows that chose nothing, on which all is measured. A share of the reference's answers is swapped between rows, to see
what happens where it knows less and is as sure.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from benchmark_io import show
from numpy.typing import NDArray
from replay.draw import Draw, draws
from replay.table import Table, load_table

from tuner.search.reference_member import mixed, weight_of

TABLES = Path(__file__).parent / "replay" / "tables"
MEMBERS = 5
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)


def main() -> None:
    """Prints one table per recorded table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=Path, nargs="+", default=sorted(TABLES.glob("*.npz")))
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument(
        "--trials", type=int, default=15, help="random ones, of which 5 are averaged"
    )
    parser.add_argument("--swapped", type=float, nargs="+", default=[0.0, 0.3, 0.6, 1.0])
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    given = parser.parse_args()
    for path in given.tables:
        table = load_table(path)
        if table.reference is None or table.labels is None:
            continue
        rows = [_row(table, given.draws, given.trials, share) for share in given.swapped]
        show(f"reference_weight, {table.name}, {given.draws} draws", rows, given.out)


def _row(table: Table, count: int, trials: int, swapped: float) -> dict[str, object]:
    """Accuracies in percent, and what the rule gains over the trials alone, with one standard error."""
    found = np.array(list(_measured(table, count, trials, swapped)))
    names = [*(f"{weight:.0%}" for weight in WEIGHTS), "rule", "its weight"]
    row: dict[str, object] = {"swapped": f"{swapped:.0%}"}
    row.update(
        zip(names, (np.append(100 * found[:, :-1].mean(axis=0), found[:, -1].mean())), strict=True)
    )
    gain = 100 * (found[:, -2] - found[:, 0])
    return {
        **row,
        "gain": gain.mean(),
        "se": gain.std(ddof=1) / np.sqrt(count),
        "worst": gain.min(),
    }


def _measured(table: Table, count: int, trials: int, swapped: float) -> Iterator[list[float]]:
    """Of each draw the accuracies with every weight and with the rule's, and that weight."""
    assert table.reference is not None
    assert table.labels is not None
    labels = table.labels.astype(np.int32)
    for draw in draws(table, range(count), seed=1):
        average = _average(table, draw, draw.order[:trials])
        reference = _columns(table.reference.answers)
        rng = np.random.default_rng(draw.number)
        rows = rng.permutation(len(labels))[: round(swapped * len(labels))]
        reference[rows] = reference[rng.permutation(rows)]
        chosen = draw.confirmation
        weight = weight_of(average[chosen], reference[chosen], labels[chosen])
        truth = draw.truth
        predicted = (mixed(average[truth], reference[truth], each) for each in (*WEIGHTS, weight))
        yield [*((each.argmax(axis=1) == labels[truth]).mean() for each in predicted), weight]


def _average(table: Table, draw: Draw, configurations: NDArray[np.int64]) -> NDArray[np.float32]:
    """Of the best of them, each with its best epoch: `(n_pool, n_classes)`."""
    epochs = list(table.epoch_points)
    accuracies = draw.validation_accuracy[configurations][:, epochs]
    best = np.argsort(-accuracies.max(axis=1), kind="stable")[:MEMBERS]
    every = np.arange(table.n_pool)
    answers = [
        table.answers(
            int(configurations[each]),
            int(draw.seeds[configurations[each]]),
            epochs[int(accuracies[each].argmax())],
            every,
        )
        for each in best
    ]
    return _columns(np.mean(answers, axis=0))


def _columns(answers: NDArray[np.floating]) -> NDArray[np.float32]:
    """`(n, n_classes)`, also of two classes."""
    found = answers.astype(np.float32)
    return found if found.ndim == 2 else np.stack([1 - found, found], axis=1)


if __name__ == "__main__":
    main()
