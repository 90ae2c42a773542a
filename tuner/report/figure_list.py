"""The figures of a report, in the order of reading."""

from collections.abc import Callable, Sequence

from tuner.errors import UsageError
from tuner.report.figure import Figure
from tuner.report.figures.comparison import scores_by_run
from tuner.report.figures.costs import costs
from tuner.report.figures.curves import learning_curves
from tuner.report.figures.history import comparison_over_trials, optimisation_history
from tuner.report.figures.importance import parameter_importance
from tuner.report.figures.parallel import parallel_coordinates
from tuner.report.figures.slices import slices
from tuner.report.figures.timeline import timeline
from tuner.report.reading import Reading

_OF_ONE: tuple[Callable[[Reading], Figure | None], ...] = (
    optimisation_history,
    learning_curves,
    parameter_importance,
    slices,
    parallel_coordinates,
    costs,
    timeline,
)
_OF_SEVERAL: tuple[Callable[[Sequence[Reading]], Figure | None], ...] = (
    comparison_over_trials,
    scores_by_run,
)


def figures_of(readings: Sequence[Reading]) -> list[Figure]:
    """The figures that these runs have data for."""
    one = [make(readings[0]) for make in _OF_ONE] if len(readings) == 1 else []
    several = [make(readings) for make in _OF_SEVERAL] if len(readings) > 1 else []
    return [figure for figure in (*one, *several) if figure is not None]


def chosen_figures(readings: Sequence[Reading], names: Sequence[str]) -> list[Figure]:
    """The figures with these names; all of them where no name is given.

    Raises:
        UsageError: these runs have no such figure.
    """
    figures = figures_of(readings)
    known = [figure.name for figure in figures]
    for name in names:
        if name not in known:
            there = f"write one of {', '.join(known)}" if known else "no trial has a score yet"
            raise UsageError(f"--figure: no figure {name!r}; {there}")
    return [figure for figure in figures if not names or figure.name in names]
