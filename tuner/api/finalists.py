"""From a run to a model: the best trials confirmed, tested and exported."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tuner.api.progress import run_to_end
from tuner.run import Run
from tuner.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

    from tuner.finalists.testing import Opening


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
    from tuner.config import DataConfig
    from tuner.finalists.choice import FinalistChoice, load_chosen
    from tuner.finalists.testing import open_test

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
    from tuner.finalists.choice import FinalistChoice, load_chosen
    from tuner.finalists.export import export_model, model_place
    from tuner.finalists.formats import read_formats

    formats = read_formats([format] if isinstance(format, str) else format or ())
    place = None if out is None else model_place(str(out))
    chosen = load_chosen(_place(run), FinalistChoice(finalist, ensemble))
    return export_model(chosen, place or chosen.folder.model, formats)


def _place(run: str | Path | Run) -> str:
    return str(run.folder) if isinstance(run, Run) else str(run)
