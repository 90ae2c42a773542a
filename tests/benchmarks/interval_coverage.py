"""How often tuner's intervals hold the truth, in confirmations and searches drawn again and again from real trainings.

The recorded trainings are the population: rows and seeds are drawn from them with replacement, so each truth is known
exactly, and tuner's own code ranks, averages and states. The recorded tables of the search replay have two seeds per
configuration, so they tell about given models. For configurations over their seeds, 10 of them are trained with 40
seeds each on 1,500 sentences (13 minutes of a core) and kept under `--out`. Half widths are points; "sees" is the
deviation from 95 % that so many draws see. All holds for further draws from the same trainings.

The short form trains 4 configurations with 8 seeds each and draws less.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmark_io import options, show
from replay import drawn_confirmations, drawn_gaps, drawn_searches
from replay.drawn_confirmations import Choice, Setting, confirmation
from replay.many_seeds import CONFIGURATIONS, SEEDS, many_seeds
from replay.population import Population
from replay.statements import Statement, Tally
from replay.table import load_table

from tuner.settings.metric import Metric, MetricName, Mode
from tuner.training.devices import configure_device

TABLES = Path(__file__).parent / "replay" / "tables"
ROWS = 800
OF_MODELS = (Setting(Choice.BEST, finalists=3, seeds=1, rows=ROWS),)
OF_CONFIGURATIONS = (
    Setting(Choice.BEST, finalists=3, seeds=2, rows=ROWS),
    Setting(Choice.BEST, finalists=5, seeds=5, rows=ROWS),
    Setting(Choice.BEST, finalists=3, seeds=3, rows=4000),
    Setting(Choice.BEST, finalists=3, seeds=3, rows=300, copies=3),
    Setting(Choice.EQUAL, finalists=3, seeds=2, rows=ROWS),
    Setting(Choice.EQUAL, finalists=5, seeds=5, rows=ROWS),
    Setting(Choice.EQUAL, finalists=10, seeds=3, rows=ROWS),
    Setting(Choice.ANY, finalists=3, seeds=3, rows=ROWS),
    Setting(Choice.ANY, finalists=5, seeds=5, rows=4000),
)
OTHER_METRICS = (
    Metric(name=MetricName.VAL_LOSS, mode=Mode.MIN),
    Metric(name=MetricName.VAL_F1),
    Metric(name=MetricName.VAL_BALANCED_ACCURACY),
)
Draw = Callable[[np.random.Generator], Iterable[Statement]]


@dataclass(frozen=True)
class Reporter:
    """Draws a situation many times and prints how often each statement about it is true."""

    draws: int
    out: Path

    def report(self, name: str, draw: Draw) -> None:
        """Prints one table."""
        tally, rng = Tally(), np.random.default_rng(0)
        for _ in range(self.draws):
            tally.add(draw(rng))
        show(f"interval_coverage, {name}", tally.rows(), self.out)


def main() -> None:
    """Prints one table per population and situation."""
    asked = options(__doc__)
    reporter = Reporter(2000 if asked.full else 200, asked.out)
    tables = [load_table(path) for path in sorted(TABLES.glob("*.npz"))]
    configure_device(cpus=1, gpus=0)
    configurations, seeds = (CONFIGURATIONS, SEEDS) if asked.full else (4, 8)
    trained = many_seeds(
        asked.out / "interval_coverage", configurations=configurations, seeds=seeds
    )
    for table in (*tables, trained):
        if table.probabilities is not None:
            report_searches(reporter, Population(table))
    for table in tables:
        if table.probabilities is not None:
            report_confirmations(reporter, Population(table), OF_MODELS)
    report_confirmations(reporter, Population(trained), OF_CONFIGURATIONS)
    few = Reporter(reporter.draws // 4, asked.out)
    for metric in OTHER_METRICS:
        report_confirmations(few, Population(trained, metric), OF_CONFIGURATIONS[:1])


def report_searches(reporter: Reporter, population: Population) -> None:
    """Of the end of searches."""
    reporter.report(
        f"{population.table.name}, searches",
        lambda rng: drawn_searches.statements(population, rng, rows=ROWS),
    )


def report_confirmations(
    reporter: Reporter, population: Population, settings: Iterable[Setting]
) -> None:
    """Of confirmations of these sizes."""
    for setting in settings:
        name = f"{population.table.name}, {population.metric.name}, {setting}"
        reporter.report(name, drawn_confirmation(population, setting))


def drawn_confirmation(population: Population, setting: Setting) -> Draw:
    """Draws one, and all that tuner states about it; of gaps only where nothing chose the trials."""
    is_any = setting.choice is Choice.ANY
    expected = drawn_gaps.expected_scores(population, setting.validation) if is_any else None

    def draw(rng: np.random.Generator) -> Iterable[Statement]:
        drawn = confirmation(population, setting, rng)
        yield from drawn_confirmations.statements(population, drawn)
        if expected is not None:
            yield from drawn_gaps.statements(population, drawn, expected)

    return draw


if __name__ == "__main__":
    main()
