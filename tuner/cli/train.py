"""`tuner train`."""

import shlex
import sys
from typing import Annotated

import typer

from tuner.cli.options import Modules, exit_on_sigterm, with_settings
from tuner.errors import ConfigError
from tuner.training.single.settings import TRAIN_SETTINGS, make_settings


@with_settings(TRAIN_SETTINGS)
def train(
    configurations: Annotated[
        list[str],
        typer.Argument(
            metavar="CONFIG",
            help="Rows of leaderboards (RUN:17, a trial's number), or parameters (lstm_units=64 …); "
            "in quotes, a configuration of its own.",
        ),
    ],
    *,
    out: Annotated[
        str | None,
        typer.Option(help="Folder to write the model to, for `tuner predict`.", metavar="PATH"),
    ] = None,
    modules: Modules = None,
    **settings: object,
) -> int:
    """Train one configuration without a search. A row of a leaderboard is trained with its seed and compared."""
    from tuner.export.model import check_writable, model_place
    from tuner.export.single import export_training
    from tuner.settings.hyperparameters import module_options
    from tuner.terminal import single
    from tuner.terminal.tables import plain_console, printable
    from tuner.training.own_modules import name_modules
    from tuner.training.single.configurations import read_configurations
    from tuner.training.single.training import load_data, prepare
    from tuner.training.single.training import train as train_one

    name_modules(modules or ())
    wanted = read_configurations(configurations, make_settings(settings))
    exit_on_sigterm()
    place = None if out is None else model_place(out)
    if place is not None:
        if len(wanted) > 1:
            raise ConfigError(f"--out: takes one model, got {len(wanted)} configurations")
        check_writable(place)
    datasets = [load_data(each) for each in wanted]
    prepare(wanted)
    console = plain_console()

    def show(line: str) -> None:
        console.print(printable(line), soft_wrap=True)

    are_as_hoped = True
    for number, (configuration, dataset) in enumerate(zip(wanted, datasets, strict=True)):
        for line in ([""] if number else []) + single.beginning(configuration):
            show(line)
        show(single.EPOCH_HEADINGS)
        trained = train_one(
            configuration,
            dataset,
            lambda result: show(single.epoch_line(result)),
            keep_model=place is not None,
        )
        for line in single.ending(configuration, trained):
            show(line)
        are_as_hoped = are_as_hoped and single.has_succeeded(configuration, trained)
        if place is not None and trained.model is not None:
            command = shlex.join(["tuner", *sys.argv[1:]])
            made = export_training(configuration, trained, dataset, command, place)
            show(f"Model: {made} (its card: {made / 'README.md'})")
            layers = module_options([configuration.spec.hyperparameters.architecture])
            show(f'Next:  tuner predict {shlex.quote(str(made))}{layers} "a text"')
    return 0 if are_as_hoped else 1
