"""Options and steps that the commands which may act on a cluster's head share."""

import sys
from collections.abc import Sequence
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
    from tuner.remote import head_at

    answer = head_at(cluster=cluster, address=address).call(arguments)
    print(answer.output, file=sys.stderr if answer.code else sys.stdout)
    return answer.code


def run(arguments: Sequence[str], *, cluster: str | None, address: str | None) -> int:
    """Has the head do what takes a while; prints its lines as they come and returns its exit code."""
    from tuner.remote import head_at

    head = head_at(cluster=cluster, address=address)
    return head.run(arguments, lambda line: print(line, flush=True))
