"""`tuner export`."""

import shlex
from typing import Annotated

import typer

from tuner.cli.options import Modules, exit_on_sigterm
from tuner.export.formats import ExportFormat


def export(
    run: Annotated[str, typer.Argument(help="A run folder that was confirmed.", metavar="RUN")],
    finalist: Annotated[
        int, typer.Option(help="Rank of the finalist in finalists.csv.", min=1, metavar="N")
    ] = 1,
    ensemble: Annotated[
        int,
        typer.Option(help="Average so many finalists, from this rank on.", min=1, metavar="N"),
    ] = 1,
    format: Annotated[
        list[ExportFormat] | None,
        typer.Option(
            help="Also write a file for programs without tuner: savedmodel (TensorFlow) or onnx; may be given twice.",
            metavar="|".join(ExportFormat),
        ),
    ] = None,
    out: Annotated[
        str | None, typer.Option(help="Folder to write. Default: RUN/model.", metavar="PATH")
    ] = None,
    modules: Modules = None,
) -> None:
    """Write a finalist as a model. Its folder has a Keras file, vocabulary, classes and a card of its quality."""
    from tuner.export.model import model_place
    from tuner.finalists.choice import FinalistChoice, load_chosen
    from tuner.finalists.export import export_model
    from tuner.run import Run
    from tuner.terminal.finalists import since_lines
    from tuner.training.own_modules import name_modules

    exit_on_sigterm()
    name_modules(modules or ())
    place = None if out is None else model_place(out)
    chosen = load_chosen(Run(run), FinalistChoice(finalist, ensemble))
    place = chosen.run.files.model if place is None else place
    made = export_model(chosen, place, format or ())
    where = shlex.quote(str(made))
    for line in since_lines(chosen):
        print(line)
    print(f"Model: {made} (its card: {made / 'README.md'})")
    print(f'Next:  tuner predict {where} "a text"')
    print(f"       tuner predict {where} --input texts.csv --output predictions.csv")
