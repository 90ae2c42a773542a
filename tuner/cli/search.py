"""`tuner search`."""

from pathlib import Path
from typing import Annotated

import typer

from tuner.cli.options import CpusPerTrial, GpusPerTrial, MaxConcurrent
from tuner.settings.config import DEFAULT_TRIALS, PrunerName, SamplerName, TokenMode
from tuner.settings.objectives import Cost


def _one_of(names: type) -> str:
    return "|".join(str(name) for name in names)  # type: ignore[attr-defined]


def search(
    space: Annotated[
        str | None, typer.Argument(help="A YAML file, or a built-in space: see `tuner spaces`.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="A data set's name or a file: see `tuner data`.")
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the sequences.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the labels.")] = None,
    tokens: Annotated[
        str | None, typer.Option(help=f"{_one_of(TokenMode)}; default words.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The run's name; default made of space and data.")
    ] = None,
    out: Annotated[str | None, typer.Option(help="Folder of the runs; default runs.")] = None,
    trials: Annotated[
        int | None,
        typer.Option(help=f"Stop at so many finished trials; default {DEFAULT_TRIALS}."),
    ] = None,
    time_budget: Annotated[
        str | None, typer.Option(help="Stop after so long, e.g. 30m or 1h30m.")
    ] = None,
    max_epochs: Annotated[
        int | None, typer.Option(help="Most epochs of a trial; default the space's.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(help="Use so many rows of the data, drawn per class.")
    ] = None,
    cpus_per_trial: CpusPerTrial = None,
    gpus_per_trial: GpusPerTrial = None,
    max_concurrent: MaxConcurrent = None,
    storage_path: Annotated[
        str | None,
        typer.Option(
            help="Folder or URL that all nodes share: trials that are cut off go on from their last epoch."
        ),
    ] = None,
    retries: Annotated[
        int | None,
        typer.Option(
            help="Most times that a trial whose process dies or hangs runs again; default 2."
        ),
    ] = None,
    epoch_timeout: Annotated[
        str | None,
        typer.Option(
            help="Longest epoch, e.g. 30m, until a trial counts as hanging; default ten times the slowest so far."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of splits, sampler and trials; default 0.")
    ] = None,
    sampler: Annotated[
        str | None, typer.Option(help=f"{_one_of(SamplerName)}; default tpe.")
    ] = None,
    pruner: Annotated[
        str | None,
        typer.Option(help=f"{_one_of(PrunerName)}; default halving, none with two objectives."),
    ] = None,
    objectives: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC,COST",
            help=f"Keep a cost low, too: the space's metric and one of {_one_of(Cost)}. Nothing is pruned then.",
        ),
    ] = None,
    tensorboard: Annotated[
        bool | None, typer.Option(help="Write TensorBoard's event files into the run folder.")
    ] = None,
    mlflow: Annotated[
        str | None,
        typer.Option(
            help="Log every trial to MLflow: a server's http address, or a SQLite file's path."
        ),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="A running Ray cluster; default this machine alone.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A YAML file of these settings; flags win over it.")
    ] = None,
    trainer: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> int:
    """Search SPACE for the best classifier of DATA. The same command again continues toward the budget."""
    from tuner.execution.interrupts import only_the_main_thread_hears
    from tuner.settings.config import make_config
    from tuner.terminal.live import make_listener, terminal_stream

    settings = make_config(
        {
            "space": space,
            "data": {
                "source": data,
                "text_column": text_column,
                "label_column": label_column,
                "tokens": tokens,
                "sample": sample,
            },
            "name": name,
            "out": out,
            "trials": trials,
            "time_budget": time_budget,
            "max_epochs": max_epochs,
            "cpus_per_trial": cpus_per_trial,
            "gpus_per_trial": gpus_per_trial,
            "max_concurrent": max_concurrent,
            "storage_path": storage_path,
            "retries": retries,
            "epoch_timeout": epoch_timeout,
            "seed": seed,
            "sampler": sampler,
            "pruner": pruner,
            "objectives": objectives,
            "tensorboard": tensorboard,
            "mlflow": mlflow,
            "address": address,
            "trainer": trainer,
        },
        config_file=config,
        names="flags",
    )
    with terminal_stream() as terminal, make_listener(terminal) as listener:
        listener.say("reading the data and starting Ray …")
        with only_the_main_thread_hears():
            from tuner.execution.search import run_search

        outcome = run_search(settings, listener)
    from tuner.terminal.outcome import print_outcome

    return print_outcome(outcome, settings)
