"""What averaging all seeds of a configuration is worth, in the recorded tables that have probabilities.

Each configuration's models of all seeds, after the last epoch, are averaged on the whole pool, and compared with the
mean accuracy of one. Configurations that did not begin to learn are left out.
"""

from pathlib import Path

import numpy as np
from benchmark_io import options, show
from replay.table import Table, load_table

TABLES = Path(__file__).parent / "replay" / "tables"
_LEARNED = 0.8  # times the accuracy of the best model: less has not begun to learn


def main() -> None:
    """Prints one row per table."""
    asked = options(__doc__)
    tables = [load_table(path) for path in sorted(TABLES.glob("*.npz"))]
    rows = [_row(table) for table in tables if table.probabilities is not None]
    show("seed_average", rows, asked.out)


def _row(table: Table) -> dict[str, object]:
    last = len(table.points) - 1
    rows = np.arange(table.n_pool)
    singles, averages = [], []
    for configuration in range(table.n_configurations):
        answers = [table.answers(configuration, s, last, rows) for s in range(table.n_seeds)]
        singles.append(np.mean([table.accuracy_of([each], rows) for each in answers]))
        averages.append(table.accuracy_of(answers, rows))
    single, average = 100 * np.array(singles), 100 * np.array(averages)
    gains = (average - single)[single > _LEARNED * single.max()]
    return {
        "table": table.name,
        "seeds": table.n_seeds,
        "configurations": len(gains),
        "one_seed": single[single > _LEARNED * single.max()].mean(),
        "gain_points": gains.mean(),
        "error": gains.std(ddof=1) / np.sqrt(len(gains)),
    }


if __name__ == "__main__":
    main()
