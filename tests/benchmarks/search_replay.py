"""What an hour of search is worth: searches replayed a thousand times on recorded trainings, against random search.

Every replay draws anew which rows of the pool validate, which confirm and which measure, and which recorded seed each
configuration gets. All arms of a replay share that chance. They search with tuner's own sampler and pruner, on a
virtual clock. An outcome is the true accuracy of what a search hands over, on rows that chose nothing.

The factor says how many times less time an arm needs for the outcome that random search has after so many whole
trainings, at the moment when it has ended so many on average. Intervals hold for further replays of the same table.
Another table may say something else.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from benchmark_io import show
from replay.arms import ARMS, RANDOM, TODAY, Arm
from replay.measurement import Measurement, Result, Trained, best_tenth
from replay.outcomes import CHOSEN, GREEDY, KEPT, KEPT_COUNT, REFERENCE, SINGLE, WITH_REFERENCE
from replay.progress import Progress
from replay.replays import SLACK, measure
from replay.table import Table, load_table

TABLES = Path(__file__).parent / "replay" / "tables"
# A random search may use up so large a share of a table: with more, all arms have tried the same in the end.
MOST_USED = 1 / 3


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    tables: tuple[Path, ...]
    replays: int
    workers: tuple[int, ...]
    after: tuple[int, ...]
    arms: tuple[Arm, ...]
    slack: float
    out: Path
    seed: int
    processes: int


def main() -> None:
    """Prints a table of all arms per recorded table and number of workers, and last the lines that count."""
    asked = _asked()
    lines: list[str] = []
    for path in asked.tables:
        table = load_table(path)
        lines.append(
            f"{table.name}, {asked.replays:,} replays of {table.n_configurations} configurations"
        )
        for workers in asked.workers:
            lines += _shown(asked, table, workers)
    print("\n".join(lines))


def _shown(asked: Asked, table: Table, workers: int) -> list[str]:
    """Replays a table with so many workers, prints all that is measured, and returns the lines that count."""
    of_what = f"{table.name}, {_workers(workers)}"
    measured = measure(
        table,
        asked.arms,
        replays=asked.replays,
        workers=workers,
        after=tuple(n for n in asked.after if n <= MOST_USED * table.n_configurations),
        slack=asked.slack,
        seed=asked.seed,
        processes=asked.processes,
        on_replayed=Progress(of_what, asked.replays, sys.stderr),
    )
    show(f"search_replay, {of_what}", [_row(each) for each in measured.results()], asked.out)
    print("\n".join(_notes(measured, len(best_tenth(table)))))
    return _headlines(measured, workers)


def _notes(measured: Measurement, n_best: int) -> list[str]:
    notes = [_note(name, each.trained, n_best) for name, each in measured.arms.items()]
    seconds = (f"{at_s:,.0f} s after {n}" for n, at_s in measured.moments_s.items())
    return [
        *notes,
        *(_over_today(measured, name) for name in measured.arms if name != TODAY.name),
        f"random search took on average {', '.join(seconds)} whole trainings",
    ]


def _over_today(measured: Measurement, name: str) -> str:
    """An arm's outcomes against the same ones of today's search."""
    found = [
        f"{outcome} after {n}: {_points(measured.compare(name, outcome, n, against=TODAY.name, its=outcome))}"
        for outcome in (CHOSEN, WITH_REFERENCE, KEPT, SINGLE)
        if all(outcome in measured.arms[arm].of_outcome for arm in (name, TODAY.name))
        for n in measured.moments_s
    ]
    return f"{name}, over today's search: {'; '.join(found)}"


def _note(name: str, replays: Sequence[Trained], n_best: int) -> str:
    ended = fmean(each.ended for each in replays)
    pruned = fmean(each.pruned for each in replays)
    lost = fmean(each.lost for each in replays)
    note = (
        f"{name}: {ended:.1f} trials ended, {pruned:.1f} of them pruned; of the best {KEPT_COUNT}, had they "
        f"trained to their ends, {lost:.2f} were stopped and left out"
        f"; of the table's best {n_best}, {fmean(each.best_tried for each in replays):.2f} were tried"
    )
    distances = [each.snapping for each in replays if each.snapping is not None]
    if distances:
        note += f"; a suggestion was {fmean(distances):.2f} of the mean distance from what it got"
    ran_out = fmean(each.ran_out for each in replays)
    return note + (f"; {ran_out:.0%} ran out of configurations" if ran_out else "")


def _row(result: Result) -> dict[str, object]:
    return {
        "arm": result.arm,
        "outcome": result.outcome,
        "after": result.after,
        "factor": result.factor.value,
        "f_low": result.factor.low,
        "f_high": result.factor.high,
        "points": result.gain.value,
        "p_low": result.gain.low,
        "p_high": result.gain.high,
    }


def _headlines(measured: Measurement, workers: int) -> list[str]:
    """The lines of today's search, the first of them after 10 whole trainings."""
    lines = []
    for n in sorted(measured.moments_s, key=lambda n: (n != 10, n)):
        ours = _ours(measured)
        against_random = measured.compare(TODAY.name, ours, n)
        lines.append(
            f"factor over random search: {_factor(against_random)}; {_workers(workers)}, its best single "
            f"{against_random.target:.4f} after {n}, our {ours}; sees {against_random.factor.seen:.2f}"
        )
        lines.append(f"  {_points(against_random)}")
        single = measured.compare(TODAY.name, SINGLE, n)
        lines.append(f"  single model alone: factor {_factor(single)}, {_points(single)}")
        peer = measured.best_peer(n)
        if peer is not None:
            over = measured.compare(TODAY.name, ours, n, against=peer)
            lines.append(
                f"  over the best peer that hands over one model, {peer}: factor {_factor(over)}, {_points(over)}"
            )
        bagged = measured.compare(TODAY.name, ours, n, its=KEPT)
        lines.append(
            f"  over averaging of whole random trainings: factor {_factor(bagged)}, {_points(bagged)}"
        )
        greedy = measured.compare(TODAY.name, GREEDY, n, against=TODAY.name, its=KEPT)
        lines.append(f"  greedy selection over the plain average: {_points(greedy)}")
        if ours == CHOSEN:
            chosen = measured.compare(TODAY.name, CHOSEN, n, against=TODAY.name, its=KEPT)
            lines.append(f"  the choice by loss over the plain average: {_points(chosen)}")
        if WITH_REFERENCE in measured.arms[TODAY.name].of_outcome:
            lines += _with_reference(measured, n)
    return lines


def _ours(measured: Measurement) -> str:
    """What tuner hands over, as far as the table tells: its choice needs probabilities."""
    return CHOSEN if CHOSEN in measured.arms[TODAY.name].of_outcome else KEPT


def _with_reference(measured: Measurement, n: int) -> list[str]:
    """What today's search hands over with the linear reference, against other outcomes."""
    against = {
        "random search's best single": (RANDOM.name, SINGLE),
        "whole random trainings averaged": (RANDOM.name, KEPT),
        "those with the reference": (RANDOM.name, WITH_REFERENCE),
    }
    alone = measured.compare(TODAY.name, REFERENCE, n)
    lines = [
        f"  the linear reference alone, over random search's best single: factor {_factor(alone)}, {_points(alone)}"
    ]
    for name, (arm, outcome) in against.items():
        found = measured.compare(TODAY.name, WITH_REFERENCE, n, against=arm, its=outcome)
        lines.append(
            f"  with the linear reference, over {name}: factor {_factor(found)}, {_points(found)}"
        )
    # It is the reference alone from the same moment on: no time is gained.
    over_alone = measured.compare(TODAY.name, WITH_REFERENCE, n, against=TODAY.name, its=REFERENCE)
    return [*lines, f"  with the linear reference, over the reference alone: {_points(over_alone)}"]


def _points(result: Result) -> str:
    points = result.gain
    return (
        f"points at equal time {points.value:+.2f} "
        f"({points.low:+.2f} to {points.high:+.2f}; sees {points.seen:.2f})"
    )


def _workers(count: int) -> str:
    return f"{count} worker" if count == 1 else f"{count} workers"


def _factor(result: Result) -> str:
    def text(number: float) -> str:
        is_least = number <= result.least_factor * 1.0001
        return f"under {number:.2f}" if is_least else f"{number:.2f}"

    found = result.factor
    return f"{text(found.value)} (95 % {text(found.low)} to {text(found.high)})"


def _asked() -> Asked:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--short", action="store_true", help="100 replays in all, two arms, 1 worker"
    )
    parser.add_argument("--tables", type=Path, nargs="+", default=sorted(TABLES.glob("*.npz")))
    parser.add_argument("--replays", type=int, default=1000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 8, 32])
    parser.add_argument("--after", type=int, nargs="+", default=[3, 10, 30, 60])
    parser.add_argument(
        "--arms", nargs="+", help="parts of their names; random and today's search always run"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1, help="that share the replays")
    given = parser.parse_args()
    parts = [] if given.short else given.arms
    arms = ARMS if parts is None else [a for a in ARMS if any(part in a.name for part in parts)]
    return Asked(
        tables=tuple(given.tables),
        replays=100 // len(given.tables) if given.short else given.replays,
        workers=(1,) if given.short else tuple(given.workers),
        after=(3, 10) if given.short else tuple(given.after),
        arms=(RANDOM, TODAY, *(arm for arm in arms if arm not in (RANDOM, TODAY))),
        slack=1.0 if given.short else SLACK,
        out=given.out,
        seed=given.seed,
        processes=given.processes,
    )


if __name__ == "__main__":
    main()
