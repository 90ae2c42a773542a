"""Which of a search's trials should be averaged? Ways to choose them, on recorded trainings.

    python tests/benchmarks/member_choice.py

Random and today's search are replayed with two workers for as long as random search takes for ten whole trainings on
average. Of the trials that have ended, some are averaged: the best by validation accuracy, all, or those that tuner
chooses by the loss on the validation rows. Accuracy is that on rows that chose nothing, in percent, with the gain over
the plain average of the best five of the same search; where the table has the linear reference, also together with it.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from benchmark_io import show
from numpy.typing import NDArray
from replay.arms import RANDOM, TODAY, Arm, search
from replay.chosen import Chooser, Member, answers_of, of_classes
from replay.draw import Draw, draws
from replay.table import Table, load_table
from replay.tabular import Recorded
from replay.virtual_search import History

from tuner.search.reference_member import mixed, weight_of

TABLES = Path(__file__).parent / "replay" / "tables"
AFTER = 10  # whole trainings of random search
WORKERS = 2
PLAIN = 5

Choice = Callable[[Chooser, Sequence[Member]], Sequence[Member]]
CHOICES: dict[str, Choice] = {
    "best": lambda chooser, ended: ended[:1],
    "best 3": lambda chooser, ended: ended[:3],
    "best 5": lambda chooser, ended: ended[:PLAIN],
    "best 9": lambda chooser, ended: ended[:9],
    "best 15": lambda chooser, ended: ended[:15],
    "3 by loss": lambda chooser, ended: chooser.members(ended, 3, among=15),
    "5 by loss": lambda chooser, ended: chooser.members(ended, PLAIN),
    "9 by loss": lambda chooser, ended: chooser.members(ended, 9),
}


def main() -> None:
    """Prints a table per recorded table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=Path, nargs="+", default=sorted(TABLES.glob("*.npz")))
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    given = parser.parse_args()
    for path in given.tables:
        table = load_table(path)
        if table.labels is None:
            continue
        recorded, every = (
            Recorded(table.space, table.parameters),
            list(draws(table, range(given.draws), seed=0)),
        )
        ends = [_searched(RANDOM, table, recorded, draw, None).ended_s[AFTER - 1] for draw in every]
        rows = []
        for arm in (RANDOM, TODAY):
            found = [_measured(arm, table, recorded, draw, fmean(ends)) for draw in every]
            rows += [_row(arm.name, name, found) for name in found[0]]
        show(f"member_choice_{table.name}", rows, given.out)


def _searched(
    arm: Arm, table: Table, recorded: Recorded, draw: Draw, end_s: float | None
) -> History:
    def is_over(history: History, next_s: float) -> bool:
        return len(history.ended_s) >= AFTER if end_s is None else next_s > end_s

    return search(arm, table, recorded, draw, workers=WORKERS, is_over=is_over)


def _measured(
    arm: Arm, table: Table, recorded: Recorded, draw: Draw, end_s: float
) -> dict[str, float]:
    """The accuracy of every choice, in percent."""
    ended = _ended(draw, _searched(arm, table, recorded, draw, end_s))
    chooser = Chooser(table, draw)
    labels = {
        rows: table.labels[getattr(draw, rows)].astype(np.int32)
        for rows in ("confirmation", "truth")
    }
    found = {}
    for name, choice in CHOICES.items():
        members = choice(chooser, ended)
        means = [
            np.mean([answers_of(table, draw, each, rows) for each in members], axis=0)
            for rows in (draw.confirmation, draw.truth)
        ]
        found[name] = _accuracy(means[1], labels["truth"])
        if table.reference is not None:
            of_reference = of_classes(table.reference.answers.astype(np.float32))
            held_out, rest = of_reference[draw.confirmation], of_reference[draw.truth]
            weight = weight_of(means[0], held_out, labels["confirmation"])
            found[f"{name}, reference"] = _accuracy(mixed(means[1], rest, weight), labels["truth"])
    return found


def _ended(draw: Draw, history: History) -> list[Member]:
    """The best epochs of the trials that have ended, the best trial first."""
    best: dict[int, tuple[float, int, int]] = {}
    for seen in history.seen:
        accuracy = float(draw.validation_accuracy[seen.configuration, seen.point])
        if seen.trial in history.ended and (
            seen.trial not in best or best[seen.trial][0] < accuracy
        ):
            best[seen.trial] = (accuracy, seen.configuration, seen.point)
    ranked = sorted((-best[trial][0], trial) for trial in best)
    return [best[trial][1:] for _, trial in ranked]


def _accuracy(probabilities: NDArray[np.float32], labels: NDArray[np.int32]) -> float:
    return 100 * float((probabilities.argmax(axis=1) == labels).mean())


def _row(arm: str, name: str, found: Sequence[dict[str, float]]) -> dict[str, object]:
    base = f"best {PLAIN}, reference" if name.endswith("reference") else f"best {PLAIN}"
    gains = np.array([each[name] - each[base] for each in found])
    half = 1.96 * gains.std(ddof=1) / np.sqrt(len(gains))
    return {
        "search": arm,
        "averaged": name,
        "accuracy": fmean(each[name] for each in found),
        "over the best five": f"{gains.mean():+.2f} ({gains.mean() - half:+.2f} to {gains.mean() + half:+.2f})",
    }


if __name__ == "__main__":
    main()
