"""`tuner pack`, which `tuner fetch` calls on a head."""

from typing import Annotated

import typer


def pack(
    run: Annotated[str, typer.Argument(help="A run folder.", metavar="RUN")],
    after: Annotated[str, typer.Option(help="The last file that was printed before.")] = "",
) -> None:
    """Print a part of a run folder as text, for `tuner fetch`."""
    from tuner.execution.fetching import pack as packed
    from tuner.run.folder import RunFolder

    print(packed(RunFolder.existing(run).path, after), end="")
