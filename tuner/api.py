"""The Python calls of the same names as the commands. Importing them loads nothing heavy."""

import inspect
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from tuner.finalists.model_choice import (
    EVALUATION_SETTINGS,
    EXPORT_SETTINGS,
    evaluation_request,
    export_request,
)
from tuner.finalists.request import CONFIRM_SETTINGS, confirmation_config, make_request
from tuner.run import Run
from tuner.settings.config import SearchConfig, make_config
from tuner.settings.declarations import (
    DeclaredSetting,
    by_path,
    declared_settings,
    expand,
    refuse_unknown,
)
from tuner.settings.keywords import (
    KeywordsOfConfirm,
    KeywordsOfExport,
    KeywordsOfSearch,
    KeywordsOfTest,
)
from tuner.settings.settings_files import refuse_odd_name
from tuner.settings.space import SearchSpace

if TYPE_CHECKING:
    import pandas as pd

    from tuner.execution.plan import SearchOutcome
    from tuner.export.classifier import Classifier
    from tuner.run.evaluations import RecordedEvaluation
    from tuner.run.events import SearchListener


_Call = TypeVar("_Call", bound=Callable[..., Any])
_SEARCH_SETTINGS = declared_settings(SearchConfig)


def _with_settings(settings: Iterable[DeclaredSetting]) -> Callable[[_Call], _Call]:
    """Gives a call its keywords in `help()` and in notebooks, as the settings declare them."""
    shown = [each for each in settings if not each.setting.is_hidden]
    parameters = [
        inspect.Parameter(
            each.keyword,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=each.keyword_type,
        )
        for each in shown
    ]
    lines = [
        fill(f"{each.keyword}: {each.description}", 100, subsequent_indent=" " * 8)
        for each in shown
    ]
    doc = "\n    ".join(lines)
    return lambda call: expand(call, parameters, doc=doc)


@_with_settings(_SEARCH_SETTINGS)
def search(
    space: str | Path | SearchSpace | dict[str, Any] | None = None,
    *,
    config: str | Path | None = None,
    progress: bool = True,
    modules: str | Sequence[str] = (),
    **settings: Unpack[KeywordsOfSearch],
) -> Run:
    """Searches `space` for the best classifier of `data`; the same call again continues toward the budget.

    Args:
        space: a YAML file, a built-in space's name, or a space as a mapping.
        {settings}
        config: a YAML file of these settings, such as a run's `run.yaml`; keywords win over it.
        progress: whether to print a line per event.
        modules: of your own, whose code may run although only `config`, a run's `run.yaml`, names it.

    A setting that is None is not given: the value in `config` holds, or else the default.

    Returns:
        The run: `.leaderboard()`, `.best`, `.pareto`, `.study`.

    Raises:
        UsageError: the request cannot be met; the message is one line, and nothing was started.
        SearchError: every trial failed in the same way.
        KeyboardInterrupt: interrupted; finished trials are kept.
    """
    file = None if config is None else Path(os.path.expanduser(config))
    refuse_odd_name(file)
    asked = make_config({"space": space, **by_path(_SEARCH_SETTINGS, settings)}, config_file=file)
    from tuner.execution.search import run_search
    from tuner.training.own_modules import check_own_space, name_modules

    name_modules(modules)
    if space is None:
        check_own_space(asked, file)

    return run_to_end(lambda listener: run_search(asked, listener), progress=progress)


@_with_settings(CONFIRM_SETTINGS)
def confirm(
    run: str | Path | Run,
    *,
    progress: bool = True,
    modules: str | Sequence[str] = (),
    **settings: Unpack[KeywordsOfConfirm],
) -> "pd.DataFrame":
    """Trains the best trials again with fresh seeds and ranks them on a split that the search never saw.

    The same call again continues where it stopped.

    Args:
        run: a run, or its folder.
        {settings}
        progress: whether to print a line per event.
        modules: of your own, whose code may run although only the run folder names it.

    A setting that is None is not given: its default holds.

    Returns:
        The rows of `finalists.csv`, best first.

    Raises:
        UsageError: the request cannot be met; the message is one line, and nothing was started.
        SearchError: every training failed in the same way.
        KeyboardInterrupt: interrupted; finished trainings are kept.
    """
    given = by_path(CONFIRM_SETTINGS, settings)
    request = make_request(given)
    confirmed = Run(_place(run))
    config = confirmation_config(confirmed.files, given)
    from tuner.data import load_dataset
    from tuner.finalists.confirmation import run_confirmation
    from tuner.finalists.ranking import finalists_frame, read_finalists
    from tuner.training.own_modules import name_modules

    name_modules(modules)
    run_to_end(
        lambda listener: run_confirmation(confirmed, request, config, listener),
        progress=progress,
    )
    finalists = read_finalists(confirmed, load_dataset(config.data.without_vectors))
    return finalists_frame(finalists, config.space)


@_with_settings(EVALUATION_SETTINGS)
def test(
    run: str | Path | Run,
    *,
    modules: str | Sequence[str] = (),
    **settings: Unpack[KeywordsOfTest],
) -> "RecordedEvaluation":
    """Evaluates a finalist, or an ensemble, on the test split, which no part of the run has seen.

    Args:
        run: a run, or its folder.
        {settings}
        modules: of your own, whose code may run although only the run folder names it.

    Rows that the run has seen are left out, also those of a test split that shares texts with others.

    Returns:
        The figures (`.figures.accuracy`, `.figures.low`, `.figures.high`, …), the linear `.reference`, and `.before`
        and `.others`, when the same rows were evaluated earlier. The evaluation is recorded in the run's `tests.yaml`.

    Raises:
        UsageError: the request cannot be met; the message is one line.
    """
    refuse_unknown(EVALUATION_SETTINGS, settings)
    request, rows = evaluation_request(settings)
    from tuner.finalists.choice import load_chosen
    from tuner.finalists.testing import evaluate_test, record_in_copy
    from tuner.training.own_modules import name_modules

    name_modules(modules)
    chosen = load_chosen(Run(_place(run)), request)
    evaluation = evaluate_test(chosen, rows, with_reference=not request.no_reference)
    if reason := record_in_copy(chosen):
        warnings.warn(f"recorded here, but not in the run's copy: {reason}", stacklevel=2)
    return evaluation


@_with_settings(EXPORT_SETTINGS)
def export(
    run: str | Path | Run,
    *,
    format: str | Sequence[str] | None = None,
    out: str | Path | None = None,
    data: str | Path | None = None,
    vectors: str | Path | None = None,
    progress: bool = True,
    modules: str | Sequence[str] = (),
    **settings: Unpack[KeywordsOfExport],
) -> Path:
    """Writes a finalist, several averaged, trials of the search or the linear reference as a model with its card.

    Args:
        run: a run, or its folder.
        {settings}
        format: also for programs without tuner: `savedmodel`, `onnx`, or both.
        out: the folder to write; default `model` in the run folder.
        data: where the data of the run lie now, if they were moved; recorded.
        vectors: where its word vectors lie now, if they were moved, with `all_rows`; recorded.
        progress: whether to print a line per epoch, where models are trained again.
        modules: of your own, whose code may run although only the run folder names it.

    Returns:
        The folder, for `tuner.load_model`.

    Raises:
        UsageError: the request cannot be met; the message is one line, and earlier files are kept.
    """
    refuse_unknown(EXPORT_SETTINGS, settings)
    request = export_request(settings)
    from tuner.export.formats import read_formats
    from tuner.export.model import model_place
    from tuner.finalists.choice import load_chosen
    from tuner.finalists.export import check_exportable, export_model
    from tuner.training.own_modules import name_modules

    name_modules(modules)
    formats = read_formats([format] if isinstance(format, str) else format or ())
    place = None if out is None else model_place(str(out))
    places = (None if each is None else str(each) for each in (data, vectors))
    chosen = load_chosen(Run(_place(run)), request, *places)
    place = place or chosen.run.files.model
    all_rows = None
    if request.all_rows:
        from tuner.finalists.all_rows import train_on_all_rows
        from tuner.terminal.tables import print_line

        check_exportable(place, formats)
        all_rows = train_on_all_rows(chosen, request, print_line if progress else _silent)
    return export_model(chosen, place, formats, all_rows)


def _silent(line: str) -> None:
    """Shows nothing."""


def _place(run: str | Path | Run) -> str:
    return str(run.folder) if isinstance(run, Run) else str(run)


def load_model(path: str | Path, *, modules: str | Sequence[str] = ()) -> "Classifier":
    """The model in a folder that `tuner export` wrote. It takes raw text and gives class probabilities.

    Args:
        path: the folder.
        modules: of your own, which register layers that the model has; their code is run. Nothing that only the
            folder names is.

    Raises:
        RunFolderError: the folder holds no model, or a damaged one.
        ConfigError: one of `modules` cannot be imported.
    """
    from tuner.export.classifier import Classifier

    return Classifier(path, modules)


def run_to_end(begin: "Callable[[SearchListener], SearchOutcome]", *, progress: bool) -> Run:
    """The run, once `begin` has ended.

    Args:
        progress: whether to print a line per event.

    Raises:
        KeyboardInterrupt: interrupted; finished trials are kept.
    """
    from tuner.execution.interrupts import Interrupted, StopRequested
    from tuner.run.events import SilentListener
    from tuner.run.sessions import SessionEnd

    try:
        if progress:
            from tuner.terminal.live import Lines, terminal_stream

            with terminal_stream() as terminal:
                outcome = begin(Lines(terminal))
        else:
            outcome = begin(SilentListener())
    except (Interrupted, StopRequested) as cause:
        raise KeyboardInterrupt("before the first trial") from cause
    if outcome.reason is SessionEnd.INTERRUPTED:
        raise KeyboardInterrupt(f"{outcome.run.folder}: call the same again to continue")
    return outcome.run
