"""`tuner predict`."""

from pathlib import Path
from typing import Annotated

import typer

from tuner.errors import UsageError


def predict(
    model: Annotated[str, typer.Argument(help="A folder that `tuner export` made.")],
    texts: Annotated[list[str] | None, typer.Argument(help="Texts to classify.")] = None,
    input: Annotated[
        Path | None, typer.Option(help="A CSV, TSV, JSON lines or Parquet file of texts instead.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The CSV to write; default the screen.")
    ] = None,
    text_column: Annotated[
        str | None, typer.Option(help="Column of the texts; guessed if plain.")
    ] = None,
) -> None:
    """Classify texts with an exported model: the likeliest class, and every class's probability."""
    if bool(texts) == (input is not None):
        raise UsageError("give texts, or --input with a file of them")
    from tuner.finalists.classifier import Classifier
    from tuner.finalists.prediction import predict_file
    from tuner.leaderboard import to_csv

    classifier = Classifier(model)
    if texts:
        frame = classifier.predict(texts)
        frame.insert(0, "text", texts)
        print(to_csv(frame.round(6)), end="")
        return
    assert input is not None
    count = predict_file(classifier, input, output, text_column)
    if output is not None:
        print(f"{count:,} predictions: {output}")
