"""Searches from Python, as `tuner search` does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuner.api.progress import run_to_end
from tuner.config import make_config
from tuner.run import Run
from tuner.space import SearchSpace


def search(
    space: str | Path | SearchSpace | dict[str, Any] | None = None,
    *,
    data: str | Path | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    tokens: str | None = None,
    name: str | None = None,
    out: str | Path | None = None,
    trials: int | None = None,
    time_budget: str | float | None = None,
    max_epochs: int | None = None,
    sample: int | None = None,
    cpus_per_trial: float | None = None,
    gpus_per_trial: float | str | None = None,
    max_concurrent: int | None = None,
    storage_path: str | Path | None = None,
    retries: int | None = None,
    epoch_timeout: str | float | None = None,
    seed: int | None = None,
    sampler: str | None = None,
    pruner: str | None = None,
    objectives: str | Sequence[str] | None = None,
    tensorboard: bool | None = None,
    mlflow: str | Path | None = None,
    address: str | None = None,
    config: str | Path | None = None,
    progress: bool = True,
) -> Run:
    """Searches `space` for the best classifier of `data`; the same call again continues toward the budget.

    Args:
        space: a YAML file, a built-in space's name, or a space as a mapping.
        data: a data set's name or a file.
        objectives: the space's metric and a cost, such as `("val_accuracy", "weights")`.
        progress: whether to print a line an event.

    The others are the options of `tuner search`; None is its default, or what `config` says.

    Returns:
        The run: `.leaderboard()`, `.best`, `.pareto`, `.study`.

    Raises:
        UsageError: in one line, what cannot be met; nothing was started.
        SearchError: every trial failed in the same way.
        KeyboardInterrupt: interrupted; finished trials are kept.
    """
    settings = make_config(
        {
            "space": str(space) if isinstance(space, Path) else space,
            "data": {
                "source": None if data is None else str(data),
                "text_column": text_column,
                "label_column": label_column,
                "tokens": tokens,
                "sample": sample,
            },
            "name": name,
            "out": None if out is None else str(out),
            "trials": trials,
            "time_budget": time_budget,
            "max_epochs": max_epochs,
            "cpus_per_trial": cpus_per_trial,
            "gpus_per_trial": gpus_per_trial,
            "max_concurrent": max_concurrent,
            "storage_path": None if storage_path is None else str(storage_path),
            "retries": retries,
            "epoch_timeout": epoch_timeout,
            "seed": seed,
            "sampler": sampler,
            "pruner": pruner,
            "objectives": objectives,
            "tensorboard": tensorboard,
            "mlflow": None if mlflow is None else str(mlflow),
            "address": address,
        },
        config_file=None if config is None else Path(config),
    )
    from tuner.driver.search import run_search

    return run_to_end(lambda listener: run_search(settings, listener), progress=progress)
