"""`tuner test`."""

from typing import Annotated

import typer

from tuner.cli.options import (
    EnsembleSize,
    Members,
    Modules,
    Rank,
    Threshold,
    exit_on_sigterm,
    with_settings,
)
from tuner.settings.data import TEST_SETTINGS, DataConfig
from tuner.settings.declarations import by_path, refuse_idle, validated


@with_settings(TEST_SETTINGS)
def evaluate_test_split(
    run: Annotated[str, typer.Argument(help="A run folder.", metavar="RUN")],
    finalist: Rank = 1,
    ensemble: EnsembleSize = None,
    members: Members = None,
    threshold: Threshold = None,
    no_reference: Annotated[
        bool,
        typer.Option(
            "--no-reference",
            help="Train no linear model on n-grams, which takes seconds, to compare with.",
        ),
    ] = False,
    modules: Modules = None,
    **settings: object,
) -> None:
    """Evaluate a finalist or an ensemble on the test split. No part of the run has seen it; every test is recorded."""
    from tuner.finalists.choice import ModelChoice, load_chosen
    from tuner.finalists.testing import evaluate_test, record_in_copy
    from tuner.run import Run
    from tuner.terminal.finalists import choice_lines, evaluation_lines
    from tuner.terminal.tables import plain_console, printable
    from tuner.training.own_modules import name_modules

    rows = None
    if settings["data"] is None:
        refuse_idle(TEST_SETTINGS, settings, "flags", "--data")
    else:
        rows = validated(DataConfig, by_path(TEST_SETTINGS, settings), "flags")
    exit_on_sigterm()
    name_modules(modules or ())
    chosen = load_chosen(Run(run), ModelChoice(finalist, ensemble, members, threshold))
    evaluation = evaluate_test(chosen, rows, with_reference=not no_reference)
    console = plain_console()
    written = f"Recorded in {chosen.run.files.tests}"
    if reason := record_in_copy(chosen):
        written += f", but not in the run's copy: {reason}"
    for line in (*evaluation_lines(evaluation), *choice_lines(chosen), written):
        console.print(printable(line), soft_wrap=True)
