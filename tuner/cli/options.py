"""Options and steps that several commands share."""

import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated

import typer

Cluster = Annotated[
    str | None,
    typer.Option(help="The run is on the head of the cluster that `ray up` made of this file."),
]


Address = Annotated[
    str | None,
    typer.Option(
        help="The run is on the head of the cluster whose dashboard is at this http:// address."
    ),
]


def is_elsewhere(cluster: str | None, address: str | None) -> bool:
    """Whether the command is for a cluster's head."""
    return cluster is not None or address is not None


def call(arguments: Sequence[str], *, cluster: str | None, address: str | None) -> int:
    """Has the head do what was typed here; prints what it says and returns its exit code."""
    from tuner.execution.head import head_at

    answer = head_at(cluster=cluster, address=address).call(arguments)
    print(answer.output, file=sys.stderr if answer.code else sys.stdout)
    return answer.code


def run(arguments: Sequence[str], *, cluster: str | None, address: str | None) -> int:
    """Has the head do what takes a while; prints its lines as they come and returns its exit code."""
    from tuner.execution.head import head_at

    head = head_at(cluster=cluster, address=address)
    return head.run(arguments, lambda line: print(line, flush=True))


def exit_on_sigterm() -> None:
    """Has SIGTERM end the command as Ctrl-C does, exit code 143; searches and confirmations have their own way."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)


CpusPerTrial = Annotated[float | None, typer.Option(help="CPUs a trial; default 1.")]


GpusPerTrial = Annotated[
    str | None,
    typer.Option(
        help="GPUs a trial, fractions allowed, or auto: as many trials as fit; default 0."
    ),
]


MaxConcurrent = Annotated[
    int | None, typer.Option(help="Most trials at once; default as many as fit.")
]
