"""`tuner predict`."""

import os
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer

from tuner.cli.commands import Command
from tuner.cli.options import Modules, exit_on_sigterm, with_settings
from tuner.errors import UsageError
from tuner.export.formats import PredictionFormat
from tuner.files import STANDARD_INPUT, can_be_made
from tuner.settings.data import PREDICT_SETTINGS, DataConfig
from tuner.settings.declarations import by_path, refuse_idle, validated
from tuner.text import excerpt

_OTHER_FORMS = {
    ".parquet", ".xlsx", ".xls", ".json", ".tsv", ".tab", ".gz", ".bz2", ".xz", ".zst",
}  # fmt: skip
_JSON_LINES = {".jsonl", ".ndjson"}
_DASH = Path("-")


class PredictCommand(Command):
    """`tuner predict`, whose texts may look like options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuses a text that begins with a dash: `-happy` would be the flag -h."""
        options = args[: args.index("--")] if "--" in args else args
        take_value = {
            name
            for parameter in self.get_params(ctx)
            if parameter.param_type_name == "option" and not getattr(parameter, "is_flag", False)
            for name in parameter.opts
        }
        for before, given in pairwise(["", *options]):
            if before in take_value:
                continue
            is_cluster = given.startswith("-") and not given.startswith("--") and len(given) > 2
            if is_cluster or (
                given.startswith("-") and len(given.split()) > 1 and "=" not in given
            ):
                raise UsageError(
                    f"{excerpt(given)}: begins with a dash, as options do; write -- before the texts: "
                    "`tuner predict MODEL -- TEXT`"
                )
        return super().parse_args(ctx, args)


@with_settings(PREDICT_SETTINGS)
def predict(
    model: Annotated[
        str, typer.Argument(help="A folder that `tuner export` made.", metavar="MODEL")
    ],
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts to classify.", metavar="TEXT")
    ] = None,
    input: Annotated[
        Path | None,
        typer.Option(
            help="A CSV, TSV, JSON lines or Parquet file of texts instead; - for standard input.",
            metavar="PATH",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="The file to write. Default: - for standard output.", metavar="PATH"),
    ] = None,
    format: Annotated[
        PredictionFormat | None,
        typer.Option(
            help="How to write. Default: csv, or jsonl where the output's name ends so.",
            metavar="|".join(PredictionFormat),
        ),
    ] = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            help="Write cells as they are. Default: an apostrophe before those that a spreadsheet would run.",
        ),
    ] = False,
    modules: Modules = None,
    **settings: object,
) -> None:
    """Classify texts with an exported model. Prints the class and the probability of every class."""
    exit_on_sigterm()
    input = STANDARD_INPUT if input == _DASH else _expanded(input)
    output = None if output == _DASH else _expanded(output)
    if texts and input is not None:
        raise UsageError("texts and --input exclude each other; leave one out")
    if not texts and input is None:
        raise UsageError("give texts, or --input with a file of them")
    if output is not None:
        _check_output(output, input)
    form = _form(format, output)
    if input is None:
        refuse_idle(PREDICT_SETTINGS, settings, "flags", "--input")
    of_file = validated(DataConfig, by_path(PREDICT_SETTINGS, settings), "flags")
    from tuner.export.classifier import Classifier
    from tuner.export.prediction import predict_file, predict_texts

    classifier = Classifier(model, modules or ())
    if texts:
        count = len(texts)
        predict_texts(classifier, texts, output, raw=raw, form=form)
    else:
        assert input is not None
        count = predict_file(
            classifier,
            input,
            output,
            of_file.text_column,
            encoding=of_file.encoding,
            raw=raw,
            form=form,
        )
    if output is not None:
        print(f"{count:,} predictions: {output}")


def _expanded(path: Path | None) -> Path | None:
    """With the folder of the user for `~`, which a shell leaves as it is behind `=`."""
    return None if path is None else Path(os.path.expanduser(path))


def _form(asked: PredictionFormat | None, output: Path | None) -> PredictionFormat:
    """The form that is asked for, or else the one that the output's name stands for."""
    if asked is not None:
        return asked
    is_json = output is not None and output.suffix.lower() in _JSON_LINES
    return PredictionFormat.JSON_LINES if is_json else PredictionFormat.CSV


def _without_endings(name: str) -> str:
    """The name without the endings that stand for forms and packings: `a` of `a.csv.gz`."""
    while Path(name).suffix.lower() in {*_OTHER_FORMS, *_JSON_LINES, ".csv"}:
        name = Path(name).stem
    return name


def _check_output(output: Path, input: Path | None) -> None:
    """Refuses an output that cannot be written, or that is the input."""
    if output.is_dir():
        raise UsageError(f"--output: must be a file, got the folder {output}; name a file in it")
    if output.suffix.lower() in _OTHER_FORMS:
        stem = _without_endings(output.name)
        raise UsageError(
            f"--output: is written as CSV or JSON lines, got {output.name}; name it {stem}.csv or {stem}.jsonl"
        )
    if not output.parent.is_dir():
        raise UsageError(
            f"--output: there is no folder {output.parent}; make it, or choose another"
        )
    replaces = output.is_file() or not output.exists()  # else a device or a pipe, which is opened
    if replaces and not can_be_made(Path(os.path.realpath(output))):
        raise UsageError(
            f"--output: no file can be written in {output.parent}; choose another folder"
        )
    if input is not None and output.exists() and input.exists() and output.samefile(input):
        raise UsageError(f"--output: is the --input file, {input}; choose another")
