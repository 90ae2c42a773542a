"""What longer n-grams or more rows are worth to the linear reference: pairs of trainings on rows drawn anew for each.

    python tests/benchmarks/reference_n_grams.py --data imdb-train --learn 17500 --longest 2 3 4
    python tests/benchmarks/reference_n_grams.py --data imdb-train --learn 17500 20000 --longest 3

The first length and number of rows is compared with each of the others, on up to 7,500 rows that none has learned from:
per cent and points of accuracy, and what they add to the loss.
"""

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
from benchmark_io import show
from paired_ablation import paired, texts

from tuner.settings.data import TokenMode
from tuner.training.evaluation import evaluation_of
from tuner.training.linear_reference import train_reference

MEASURED = 7_500


def main() -> None:
    """Trains them all, and shows the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="a data set's name or a file")
    parser.add_argument("--tokens", choices=[*TokenMode], type=TokenMode, default="words")
    parser.add_argument("--learn", type=int, nargs="+", default=[4000], help="rows to learn from")
    parser.add_argument("--longest", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    given = parser.parse_args()
    rows = texts(given.data, given.tokens)
    n_classes = int(rows.labels.max()) + 1
    arms = list(itertools.product(given.longest, given.learn))
    right: dict[tuple[int, int], list[float]] = {arm: [] for arm in arms}
    loss: dict[tuple[int, int], list[float]] = {arm: [] for arm in arms}
    seconds: dict[tuple[int, int], list[float]] = {arm: [] for arm in arms}
    most = max(given.learn)
    for pair in range(given.pairs):
        order = np.random.default_rng(pair).permutation(len(rows))
        measured = rows.only(order[most : most + MEASURED])
        for arm in arms:
            longest, count = arm
            learn = rows.only(order[:count])
            began = time.process_time()
            reference = train_reference(learn, n_classes, longest=longest)
            seconds[arm].append(time.process_time() - began)
            found = evaluation_of(reference.probabilities_of(measured), measured.labels)
            right[arm].append(100 * found.accuracy)
            loss[arm].append(found.loss)
    first, *others = arms
    table = [
        {
            "n-grams up to": arm[0],
            "in place of": first[0],
            "rows": arm[1],
            "of": first[1],
            **paired(right[first], right[arm]),
            "loss": np.subtract(loss[arm], loss[first]).mean(),
            "seconds": np.median(seconds[arm]),
            "before": np.median(seconds[first]),
        }
        for arm in others
    ]
    show(f"reference_n_grams_{Path(given.data).stem}_{given.tokens}", table, given.out)


if __name__ == "__main__":
    main()
