"""The Python calls that do what the commands of these names do. Importing them loads nothing heavy."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuner.run.folder import RunFolder
from tuner.run.run import Run
from tuner.settings.config import make_config
from tuner.settings.space import SearchSpace

if TYPE_CHECKING:
    import pandas as pd

    from tuner.execution.outcome import SearchOutcome
    from tuner.export.classifier import Classifier
    from tuner.finalists.testing import Opening
    from tuner.run.events import SearchListener


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
    from tuner.execution.search import run_search

    return run_to_end(lambda listener: run_search(settings, listener), progress=progress)


def confirm(
    run: str | Path | Run,
    *,
    top: int = 5,
    seeds: int = 5,
    train_on: str = "train",
    cpus_per_trial: float | None = None,
    gpus_per_trial: float | str | None = None,
    max_concurrent: int | None = None,
    address: str | None = None,
    progress: bool = True,
) -> "pd.DataFrame":
    """Trains the best trials again with fresh seeds and ranks them on a split that the search never saw.

    The same call again goes on where it stopped.

    Args:
        run: a run, or its folder.
        top: trials to confirm; of two objectives, those on the front.
        seeds: fresh seeds for each.
        train_on: `train`, or `train+validation` for as many epochs as were best in the search.
        progress: whether to print a line an event.

    The others are as in `tuner.search`; None is what the run was searched with, of `max_concurrent` as many as fit.

    Returns:
        The rows of `finalists.csv`, best first.

    Raises:
        UsageError: in one line, what cannot be met; nothing was started.
        SearchError: every training failed in the same way.
        KeyboardInterrupt: interrupted; what is finished is kept.
    """
    from tuner.finalists.request import confirmation_config, make_request

    folder = RunFolder.existing(_place(run))
    resources = {
        "cpus_per_trial": cpus_per_trial,
        "gpus_per_trial": gpus_per_trial,
        "max_concurrent": max_concurrent,
        "address": address,
    }
    config = confirmation_config(folder, resources)
    request = make_request(top=top, seeds=seeds, train_on=train_on)
    from tuner.data import load_dataset
    from tuner.finalists.confirmation import run_confirmation
    from tuner.finalists.ranking import finalists_frame, read_finalists

    run_to_end(
        lambda listener: run_confirmation(folder, request, config, listener), progress=progress
    )
    finalists = read_finalists(folder, load_dataset(config.data, seed=config.seed))
    return finalists_frame(finalists, config.space)


def test(
    run: str | Path | Run,
    *,
    finalist: int = 1,
    ensemble: int = 1,
    data: str | Path | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
) -> "Opening":
    """Opens the test split: what a finalist is worth on sequences that no part of the run has seen.

    Args:
        run: a run that was confirmed, or its folder.
        finalist: its rank in `finalists.csv`.
        ensemble: averages so many finalists, from there on.
        data: labelled rows of one's own instead of the test split, with their columns; those that the run has seen
            are left out.

    Returns:
        What was measured (`.figures.accuracy`, `.low`, `.high`, …) and when the same was opened before. It is written
        down in the run's `tests.yaml`.

    Raises:
        UsageError: in one line, what cannot be met.
    """
    from tuner.finalists.choice import FinalistChoice, load_chosen
    from tuner.finalists.testing import open_test
    from tuner.settings.config import DataConfig

    chosen = load_chosen(_place(run), FinalistChoice(finalist, ensemble))
    rows = None
    if data is not None:
        rows = DataConfig(source=str(data), text_column=text_column, label_column=label_column)
    return open_test(chosen, rows)


def export(
    run: str | Path | Run,
    *,
    finalist: int = 1,
    ensemble: int = 1,
    format: str | Sequence[str] | None = None,
    out: str | Path | None = None,
) -> Path:
    """Writes a finalist, or several averaged, as a model with a card that says how good it is.

    Args:
        run: a run that was confirmed, or its folder.
        finalist: its rank in `finalists.csv`.
        ensemble: averages so many finalists, from there on.
        format: for programs without tuner: `savedmodel`, `onnx`, or both.
        out: the folder to write; default `model` in the run folder.

    Returns:
        The folder, for `tuner.load_model`.

    Raises:
        UsageError: in one line, what cannot be met; what was there before is left.
    """
    from tuner.export.formats import read_formats
    from tuner.export.model import model_place
    from tuner.finalists.choice import FinalistChoice, load_chosen
    from tuner.finalists.export import export_model

    formats = read_formats([format] if isinstance(format, str) else format or ())
    place = None if out is None else model_place(str(out))
    chosen = load_chosen(_place(run), FinalistChoice(finalist, ensemble))
    return export_model(chosen, place or chosen.folder.model, formats)


def _place(run: str | Path | Run) -> str:
    return str(run.folder) if isinstance(run, Run) else str(run)


def load_model(path: str | Path) -> "Classifier":
    """The model in a folder that `tuner export` made: raw text in, class probabilities out.

    Raises:
        RunFolderError: there is none, or it is damaged.
    """
    from tuner.export.classifier import Classifier

    return Classifier(path)


def run_to_end(begin: "Callable[[SearchListener], SearchOutcome]", *, progress: bool) -> Run:
    """The run, once `begin` has come to its end.

    Args:
        progress: whether to print a line an event.

    Raises:
        KeyboardInterrupt: interrupted; finished trials are kept.
    """
    from tuner.execution.interrupts import Interrupted, StopRequested
    from tuner.execution.outcome import EndReason
    from tuner.run.events import SilentListener

    try:
        if progress:
            from tuner.terminal.live import Lines, terminal_stream

            with terminal_stream() as terminal:
                outcome = begin(Lines(terminal))
        else:
            outcome = begin(SilentListener())
    except (Interrupted, StopRequested) as cause:
        raise KeyboardInterrupt("before the first trial") from cause
    if outcome.reason is EndReason.INTERRUPTED:
        raise KeyboardInterrupt(f"{outcome.run.folder}: call the same again to continue")
    return outcome.run
