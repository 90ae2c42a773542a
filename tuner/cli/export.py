"""`tuner export`."""

import shlex
from typing import Annotated

import typer

from tuner.cli.options import Modules, exit_on_sigterm, with_settings
from tuner.export.formats import ExportFormat
from tuner.finalists.model_choice import EXPORT_SETTINGS, export_request


@with_settings(EXPORT_SETTINGS)
def export(
    run: Annotated[str, typer.Argument(help="A run folder.", metavar="RUN")],
    format: Annotated[
        list[ExportFormat] | None,
        typer.Option(
            help="Also write a file for programs without tuner: savedmodel (TensorFlow) or onnx; may be given several "
            "times.",
            metavar="|".join(ExportFormat),
        ),
    ] = None,
    out: Annotated[
        str | None, typer.Option(help="Folder to write. Default: RUN/model.", metavar="PATH")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Where the data of the run lie now, if they were moved; recorded.", metavar="PATH"
        ),
    ] = None,
    vectors: Annotated[
        str | None,
        typer.Option(
            help="Where the word vectors of the run lie now, if they were moved, with --all-rows; recorded.",
            metavar="PATH",
        ),
    ] = None,
    modules: Modules = None,
    **settings: object,
) -> None:
    """Write a finalist or an ensemble as a model. Its folder has Keras files, vocabulary, classes and a card."""
    from tuner.export.model import model_place
    from tuner.finalists.all_rows import train_on_all_rows
    from tuner.finalists.choice import load_chosen
    from tuner.finalists.export import check_exportable, export_model
    from tuner.run import Run
    from tuner.settings.hyperparameters import module_options
    from tuner.terminal.finalists import choice_lines
    from tuner.terminal.tables import print_line
    from tuner.training.own_modules import name_modules

    request = export_request(settings, "flags")
    exit_on_sigterm()
    name_modules(modules or ())
    place = None if out is None else model_place(out)
    chosen = load_chosen(Run(run), request, data, vectors)
    place = chosen.run.files.model if place is None else place
    check_exportable(place, format or ())
    all_rows = train_on_all_rows(chosen, request, print_line) if request.all_rows else None
    made = export_model(chosen, place, format or (), all_rows)
    modules_of_layers = module_options(record.architecture for record, _ in chosen.members)
    where = f"{shlex.quote(str(made))}{modules_of_layers}"
    for line in choice_lines(chosen):
        print(line)
    if all_rows is not None:
        print(all_rows.text)
    print(f"Model: {made} (its card: {made / 'README.md'})")
    print(f'Next:  tuner predict {where} "a text"')
    print(f"       tuner predict {where} --input texts.csv --output predictions.csv")
    if all_rows is None:
        print(
            "       The same command with --all-rows trains it again on all rows of the run, before it writes it."
        )
