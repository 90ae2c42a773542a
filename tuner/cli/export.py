"""`tuner export`."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from tuner.finalists.formats import ExportFormat


def export(
    run: Annotated[str, typer.Argument(help="A run folder that was confirmed.")],
    finalist: Annotated[
        int, typer.Option(help="Its rank in finalists.csv.", show_default=True)
    ] = 1,
    ensemble: Annotated[
        int, typer.Option(help="Average so many finalists, from there on.", show_default=True)
    ] = 1,
    format: Annotated[
        list[ExportFormat] | None,
        typer.Option(
            help="Also for programs without tuner: savedmodel (TensorFlow) or onnx; may be given twice."
        ),
    ] = None,
    out: Annotated[str | None, typer.Option(help="Folder to write; default RUN/model.")] = None,
) -> None:
    """Write a finalist as a model: Keras file, vocabulary, classes, and a card that says how good it is."""
    from tuner.finalists.export import Choice, export_model, load_choice

    folder, config, dataset, chosen = load_choice(run, Choice(finalist, ensemble))
    place = Path(os.path.expanduser(out)) if out is not None else folder.model
    made = export_model(folder, config, dataset, chosen, place, format or ())
    where = shlex.quote(str(made))
    print(f"Model: {made} (its card: {made / 'README.md'})")
    print(f'Next:  tuner predict {where} "a text"')
    print(f"       tuner predict {where} --input texts.csv --output predictions.csv")
