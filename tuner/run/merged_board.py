"""The leaderboards of several runs as one. Must not import Ray, Keras or TensorFlow."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from tuner.errors import UsageError
from tuner.run import Run
from tuner.run.ensemble import EnsembleRecord
from tuner.run.leaderboard import merge, only_front
from tuner.run.reference_record import ReferenceRecord
from tuner.settings.objectives import Objectives, shared_objectives
from tuner.settings.space import SearchSpace
from tuner.settings.widening import value_without


@dataclass(frozen=True, eq=False)
class MergedBoard:
    """Trials of one or several runs, best first."""

    trials: pd.DataFrame  # the columns of `leaderboard.csv`; of several runs `run`, too
    parameters: list[str]  # that a space varies, or that differ between spaces
    objectives: Objectives  # that the runs have in common
    nothing: str  # the message where there is no row
    ensembles: Mapping[str, EnsembleRecord | None]  # by run
    references: Mapping[str, ReferenceRecord | None]  # by run


def read_merged_board(folders: Sequence[str], *, pareto: bool = False) -> MergedBoard:
    """The trials of the runs in these folders, a folder that is named twice once.

    Args:
        pareto: of two objectives, the trials on the front only.

    Raises:
        UsageError: one is no run, or they have no common order, or no front.
    """
    names: dict[str, str] = {}
    for folder in folders:
        names.setdefault(os.path.realpath(folder), folder.rstrip("/") or folder)
    runs = {name: Run(name) for name in names.values()}
    boards = {name: run.leaderboard() for name, run in runs.items()}
    spaces = [run.space for run in runs.values()]
    check_common_metric(spaces)
    objectives = {run.objectives for run in runs.values()}
    if pareto and len(objectives) > 1:
        raise UsageError("--pareto: runs with different objectives have no front; name one run")
    shared = shared_objectives(objectives)
    if pareto and not shared.marks:
        raise UsageError(
            "--pareto: a search by one objective has no front; search with --objectives METRIC,COST"
        )
    trials = merged_trials(boards, objectives)
    return MergedBoard(
        trials=only_front(trials) if pareto else trials,
        parameters=_differing(spaces),
        objectives=shared,
        ensembles={name: run.ensemble for name, run in runs.items()},
        references={name: run.reference for name, run in runs.items()},
        nothing="no trial is on the front yet" if len(trials) else "no trial has been started yet",
    )


def _differing(spaces: Sequence[SearchSpace]) -> list[str]:
    names = dict.fromkeys(name for space in spaces for name in space.parameter_names)
    return [name for name in names if _differs(name, spaces)]


def _differs(name: str, spaces: Sequence[SearchSpace]) -> bool:
    if any(name in space.varied_names for space in spaces):
        return True
    found: dict[str, set[object]] = {}  # by architecture
    for space in spaces:
        for architecture in space.architectures:
            parameters = space.parameters(architecture)
            is_there = name in parameters
            value = parameters[name] if is_there else value_without(space, architecture, name)
            found.setdefault(architecture, set()).add(value)
    return any(len(values) > 1 for values in found.values())


def check_common_metric(spaces: Iterable[SearchSpace]) -> None:
    """Refuses runs whose trials have no common order.

    Raises:
        UsageError: the runs of these spaces have different metrics.
    """
    metrics = sorted({str(space.metric.name) for space in spaces})
    if len(metrics) > 1:
        raise UsageError(
            f"runs with different metrics ({', '.join(metrics)}) have no common order; name runs of one metric"
        )


def merged_trials(
    boards: Mapping[str, pd.DataFrame], objectives: Iterable[Objectives]
) -> pd.DataFrame:
    """The leaderboard of one run as it is; of several runs one leaderboard, ranked anew, with a column `run`.

    Args:
        boards: by the run's name.
        objectives: of the runs, which have one metric.
    """
    if len(boards) == 1:
        return next(iter(boards.values()))
    return merge(boards, shared_objectives(objectives))
