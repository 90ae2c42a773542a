"""`tuner spaces`."""

from typing import Annotated

import typer


def spaces(
    name: Annotated[
        str | None,
        typer.Argument(help="A built-in space, or a file to check.", metavar="NAME|PATH"),
    ] = None,
    parameters: Annotated[
        bool, typer.Option("--parameters", help="List every parameter that a space may vary.")
    ] = False,
    yaml: Annotated[
        bool, typer.Option("--yaml", help="Print the space as YAML, to start one of your own.")
    ] = False,
) -> None:
    """List the search spaces, show one, or check one of your own."""
    from tuner.errors import UsageError
    from tuner.settings.builtin import builtin_space_names, find_space, space_text
    from tuner.terminal.spaces import builtin_spaces, space_ranges, variable_parameters
    from tuner.terminal.tables import plain_console

    if parameters and (name is not None or yaml):
        other = "--yaml" if name is None else "NAME|PATH"
        raise UsageError(f"--parameters: lists those of any space, without {other}; leave one out")
    if yaml and name is None:
        raise UsageError("--yaml: prints one space, which is not given; write its name, e.g. seed")
    console = plain_console()
    if parameters:
        console.print(variable_parameters())
    elif name is None:
        console.print(builtin_spaces(find_space(builtin) for builtin in builtin_space_names()))
    elif yaml:
        print(space_text(name), end="")
    else:
        console.print(space_ranges(find_space(name)))
