"""`tuner spaces`."""

from typing import Annotated

import typer


def spaces(
    name: Annotated[
        str | None, typer.Argument(help="A built-in space, or a file to check.")
    ] = None,
    parameters: Annotated[
        bool, typer.Option("--parameters", help="List everything that a space may vary.")
    ] = False,
    yaml: Annotated[
        bool, typer.Option("--yaml", help="Print the space as YAML, to start one of your own.")
    ] = False,
) -> None:
    """List the built-in search spaces, show one, or check one of your own."""
    from rich.table import Table

    from tuner.space_files import builtin_space_names, find_space
    from tuner.terminal.tables import plain_console, printable

    console = plain_console()
    if parameters:
        _print_parameters()
        return
    if name is None:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in ("space", "architectures", "parameters", "epochs", ""):
            table.add_column(column)
        for builtin in builtin_space_names():
            space = find_space(builtin)
            table.add_row(
                builtin,
                str(len(space.architectures)),
                str(len(space.parameter_names)),
                str(space.max_epochs),
                printable(space.description),
            )
        console.print(table)
        console.print(
            "\n`tuner spaces NAME` shows one, `tuner spaces NAME --yaml` prints it to edit."
        )
        return
    space = find_space(name)
    if yaml:
        print(space.to_yaml(), end="")
        return
    console.print(
        printable(f"{space.name}: {space.description}" if space.description else space.name)
    )
    console.print(
        printable(
            f"metric {space.metric.name} ({space.metric.mode}), at most {space.max_epochs} epochs a trial, "
            f"{len(space.baselines)} baselines"
        )
    )
    console.print()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("architecture", "parameter", "range"):
        table.add_column(column)
    sections = {"(all)": space.shared, **space.architectures}
    for section, ranges in sections.items():
        for row, (parameter, content) in enumerate((ranges or {}).items()):
            table.add_row(
                printable(section if row == 0 else ""), printable(parameter), printable(content)
            )
        if not ranges and section != "(all)":
            table.add_row(printable(section), printable("-"), printable("nothing of its own"))
    console.print(table)


def _print_parameters() -> None:
    from rich.table import Table

    from tuner.hyperparameters import ARCHITECTURES, MODEL_PARAMETERS, Hyperparameters
    from tuner.terminal.tables import plain_console, printable

    console = plain_console()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("parameter", "default", "meaning"):
        table.add_column(column)
    for name, field in Hyperparameters.model_fields.items():
        if name in MODEL_PARAMETERS:
            table.add_row(name, str(field.default), printable(field.description or ""))
    console.print(table)
    console.print()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("architecture", "layers", "differs in"):
        table.add_column(column)
    for architecture in ARCHITECTURES.values():
        defaults = ", ".join(f"{name} {value}" for name, value in architecture.defaults.items())
        table.add_row(architecture.name, architecture.summary, defaults)
    console.print(table)
