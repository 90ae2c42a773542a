"""Options and steps that several commands share. Options of settings are made from their declarations."""

import inspect
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from types import FrameType
from typing import Annotated, Any, TypeVar

import typer

from tuner.execution.interrupts import Interrupted
from tuner.settings.declarations import DeclaredSetting, Group, expand

_Command = TypeVar("_Command", bound=Callable[..., Any])

Cluster = Annotated[
    str | None,
    typer.Option(
        help="The run is on the head of the cluster that `ray up` made from this file.",
        metavar="PATH",
    ),
]


Address = Annotated[
    str | None,
    typer.Option(
        help="The run is on the head of the cluster whose dashboard is at this http:// address.",
        metavar="URL",
    ),
]


Modules = Annotated[
    list[str] | None,
    typer.Option(
        "--module",
        help="A module of your own whose code may run, such as my_models; may be given several times.",
        metavar="NAME",
    ),
]


def with_settings(settings: Iterable[DeclaredSetting]) -> Callable[[_Command], _Command]:
    """Gives a command that takes `**settings` one option per setting; an option that is not given is None.

    The options pass text on as it was typed. The settings' model checks it, so that flags, keywords and files are
    refused in the same words.
    """
    groups = list(Group)
    ordered = sorted(settings, key=lambda each: groups.index(each.setting.group))
    return lambda command: expand(command, map(_parameter, ordered))


def _parameter(setting: DeclaredSetting) -> inspect.Parameter:
    has_opposite = setting.setting.has_opposite and not setting.flag.startswith("--no-")
    option = typer.Option(
        f"{setting.flag}/--no-{setting.flag[2:]}"
        if setting.is_switch and has_opposite
        else setting.flag,
        help=setting.description,
        metavar=setting.metavar,
        hidden=setting.setting.is_hidden,
        rich_help_panel=setting.setting.group,
    )
    kind: Any = bool if setting.is_switch else list[str] if setting.is_list else str
    return inspect.Parameter(
        setting.keyword,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )


def is_elsewhere(cluster: str | None, address: str | None) -> bool:
    """Whether the command is for a cluster's head."""
    return cluster is not None or address is not None


def print_from_head(arguments: Sequence[str], *, cluster: str | None, address: str | None) -> int:
    """Runs the command on the head, prints its output and returns its exit code."""
    from tuner.execution.head import head_at

    answer = head_at(cluster=cluster, address=address).capture(arguments)
    print(shown(answer.output), file=sys.stderr if answer.code else sys.stdout)
    return answer.code


def stream_from_head(arguments: Sequence[str], *, cluster: str | None, address: str | None) -> int:
    """Runs a long command on the head, prints its lines as they arrive and returns its exit code."""
    from tuner.execution.head import head_at

    head = head_at(cluster=cluster, address=address)
    return head.stream(arguments, lambda line: print(shown(line), flush=True))


def shown(output: str) -> str:
    """Lines of a head, which nobody need trust, without control characters: a terminal would obey them."""
    from tuner.terminal.tables import printable

    return "\n".join(printable(line).plain for line in output.splitlines())


def interrupt_on_signals() -> None:
    """Makes SIGTERM and SIGHUP end a search in good order before it handles them itself: while data is read."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    signal.signal(signal.SIGTERM, interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        signal.signal(signal.SIGHUP, interrupt)


def exit_on_sigterm() -> None:
    """Makes SIGTERM end the command with exit code 143. Searches and confirmations handle it themselves."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
