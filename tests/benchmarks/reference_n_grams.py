"""What longer n-grams are worth to the linear reference: pairs of trainings on rows that are drawn anew for each.

    python tests/benchmarks/reference_n_grams.py --data imdb-train --learn 17500 --longest 2 3 4

The first length is compared with each of the others, on up to 7,500 rows that were not learned from: per cent and
points of accuracy, and what they add to the loss.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from benchmark_io import show
from paired_ablation import paired, texts

from tuner.settings.data import TokenMode
from tuner.training.evaluation import evaluation_of
from tuner.training.reference import train_reference

MEASURED = 7_500


def main() -> None:
    """Trains them all, and shows the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="a data set's name or a file")
    parser.add_argument("--tokens", choices=[*TokenMode], type=TokenMode, default="words")
    parser.add_argument("--learn", type=int, default=4000, help="rows to learn from")
    parser.add_argument("--longest", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    given = parser.parse_args()
    rows = texts(given.data, given.tokens)
    n_classes = int(rows.labels.max()) + 1
    right: dict[int, list[float]] = {longest: [] for longest in given.longest}
    loss: dict[int, list[float]] = {longest: [] for longest in given.longest}
    seconds: dict[int, list[float]] = {longest: [] for longest in given.longest}
    for pair in range(given.pairs):
        order = np.random.default_rng(pair).permutation(len(rows))
        learn = rows.only(order[: given.learn])
        measured = rows.only(order[given.learn : given.learn + MEASURED])
        for longest in given.longest:
            began = time.process_time()
            reference = train_reference(learn, n_classes, longest=longest)
            seconds[longest].append(time.process_time() - began)
            found = evaluation_of(reference.probabilities_of(measured), measured.labels)
            right[longest].append(100 * found.accuracy)
            loss[longest].append(found.loss)
    first, *others = given.longest
    table = [
        {
            "n-grams up to": longest,
            "in place of": first,
            **paired(right[first], right[longest]),
            "loss": np.subtract(loss[longest], loss[first]).mean(),
            "seconds": np.median(seconds[longest]),
            "before": np.median(seconds[first]),
        }
        for longest in others
    ]
    show(f"reference_n_grams_{Path(given.data).stem}_{given.tokens}", table, given.out)


if __name__ == "__main__":
    main()
