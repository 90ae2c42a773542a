"""`tuner confirm`."""

from typing import Annotated

import typer

from tuner.cli import options
from tuner.cli.options import CpusPerTrial, GpusPerTrial, MaxConcurrent
from tuner.finalists.request import TrainOn, confirmation_config, make_request
from tuner.run.folder import RunFolder


def confirm(
    run: Annotated[str, typer.Argument(help="A run folder.")],
    top: Annotated[
        int,
        typer.Option(
            help="Best trials to confirm; of two objectives, those on the front.",
            min=1,
            show_default=True,
        ),
    ] = 5,
    seeds: Annotated[int, typer.Option(help="Fresh seeds for each.", min=1, show_default=True)] = 5,
    train_on: Annotated[
        TrainOn,
        typer.Option(
            help="train, or train+validation: with more to learn from, for as many epochs as were best.",
            show_default=True,
        ),
    ] = TrainOn.TRAIN,
    cpus_per_trial: CpusPerTrial = None,
    gpus_per_trial: GpusPerTrial = None,
    max_concurrent: MaxConcurrent = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="A running Ray cluster; default this machine alone. An http:// address: as --cluster."
        ),
    ] = None,
    cluster: options.Cluster = None,
) -> int:
    """Train the best trials again with fresh seeds and rank them on a split that the search never saw."""
    from tuner.execution.interrupts import only_the_main_thread_hears
    from tuner.terminal.live import make_listener, terminal_stream

    resources = {
        "cpus_per_trial": cpus_per_trial,
        "gpus_per_trial": gpus_per_trial,
        "max_concurrent": max_concurrent,
    }
    if cluster is not None or (address or "").startswith(("http://", "https://")):
        from tuner.execution.head import run_on_head

        given = [
            f"--{name.replace('_', '-')}={value}"
            for name, value in resources.items()
            if value is not None
        ]
        asked = ["--top", str(top), "--seeds", str(seeds), "--train-on", str(train_on)]
        arguments = ["confirm", run_on_head(run), *asked, *given, "--address", "auto"]
        return options.run(arguments, cluster=cluster, address=address)
    folder = RunFolder.existing(run)
    config = confirmation_config(folder, {**resources, "address": address}, "flags")
    request = make_request(top=top, seeds=seeds, train_on=train_on)
    with terminal_stream() as terminal, make_listener(terminal) as listener:
        listener.say("reading the data and starting Ray …")
        with only_the_main_thread_hears():
            from tuner.finalists.confirmation import run_confirmation

        outcome = run_confirmation(folder, request, config, listener)
    from tuner.terminal.finalists import print_confirmation

    return print_confirmation(folder, outcome)
