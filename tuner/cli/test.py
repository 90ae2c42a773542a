"""`tuner test`."""

from typing import Annotated

import typer

from tuner.cli.options import Modules, exit_on_sigterm, with_settings
from tuner.finalists.model_choice import EVALUATION_SETTINGS, evaluation_request


@with_settings(EVALUATION_SETTINGS)
def evaluate_test_split(
    run: Annotated[str, typer.Argument(help="A run folder.", metavar="RUN")],
    modules: Modules = None,
    **settings: object,
) -> None:
    """Evaluate a finalist or an ensemble on the test split. No part of the run has seen it; every test is recorded."""
    from tuner.finalists.choice import load_chosen
    from tuner.finalists.testing import evaluate_test, record_in_copy
    from tuner.run import Run
    from tuner.terminal.finalists import choice_lines, evaluation_lines
    from tuner.terminal.tables import plain_console, printable
    from tuner.training.own_modules import name_modules

    request, rows = evaluation_request(settings, "flags")
    exit_on_sigterm()
    name_modules(modules or ())
    chosen = load_chosen(Run(run), request)
    evaluation = evaluate_test(chosen, rows, with_reference=not request.no_reference)
    console = plain_console()
    written = f"Recorded in {chosen.run.files.tests}"
    if reason := record_in_copy(chosen):
        written += f", but not in the run's copy: {reason}"
    for line in (*evaluation_lines(evaluation), *choice_lines(chosen), written):
        console.print(printable(line), soft_wrap=True)
