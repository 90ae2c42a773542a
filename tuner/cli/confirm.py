"""`tuner confirm`."""

from dataclasses import replace
from typing import Annotated

import typer

from tuner.cli import options
from tuner.finalists.request import CONFIRM_SETTINGS, confirmation_config, make_request
from tuner.run import Run

_ADDRESS_HELP = (
    "A running Ray cluster; with the http:// address of its job server, the run is on its head"
)


@options.with_settings(
    replace(each, setting=replace(each.setting, help=_ADDRESS_HELP))
    if each.keyword == "address"
    else each
    for each in CONFIRM_SETTINGS
)
def confirm(
    run: Annotated[str, typer.Argument(help="A run folder.", metavar="RUN")],
    *,
    cluster: options.Cluster = None,
    modules: options.Modules = None,
    **settings: str | None,
) -> int:
    """Train the best trials again with fresh seeds and rank them. Ranks by a split that the search never saw."""
    from tuner.execution.fork_server import fork_server
    from tuner.execution.interrupts import signals_in_main_thread_only
    from tuner.terminal.live import make_listener, terminal_stream
    from tuner.training.own_modules import name_modules

    address = settings["address"]
    if cluster is not None or (address or "").startswith(("http://", "https://")):
        from tuner.execution.head import run_on_head

        there = {**settings, "address": "auto"}
        flags = [
            setting.flag if setting.is_switch else f"{setting.flag}={there[setting.keyword]}"
            for setting in CONFIRM_SETTINGS
            if there[setting.keyword] is not None
            and (not setting.is_switch or there[setting.keyword])
        ]
        flags += [f"--module={each}" for each in modules or ()]
        arguments = ["confirm", run_on_head(run), *flags]
        return options.stream_from_head(arguments, cluster=cluster, address=address)
    options.interrupt_on_signals()
    name_modules(modules or ())
    request = make_request(settings, "flags")
    confirmed = Run(run)
    config = confirmation_config(confirmed.files, settings, "flags")
    from tuner.terminal.finalists import print_confirmation, print_plan

    print_plan(confirmed, request)
    with terminal_stream() as terminal, make_listener(terminal) as listener:
        listener.show("reading the data and starting Ray …")
        with fork_server(config):
            with signals_in_main_thread_only():
                from tuner.finalists.confirmation import run_confirmation

            outcome = run_confirmation(confirmed, request, config, listener)
    return print_confirmation(outcome, config.data)
