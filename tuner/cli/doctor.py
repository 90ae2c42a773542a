"""`tuner doctor`."""

import typer


def doctor() -> None:
    """Check this machine and tell how to fix each problem. Versions, CPUs, memory, GPUs, disk, data."""
    from rich.table import Table
    from rich.text import Text

    from tuner.doctor import Status, examine
    from tuner.terminal.tables import plain_console, printable

    styles = {Status.OK: "green", Status.WARNING: "yellow", Status.PROBLEM: "red"}
    console = plain_console()
    checks = examine()
    table = Table(box=None, pad_edge=False, show_header=False)
    for check in checks:
        found = printable(check.found)
        if check.advice:
            found.append("\n").append(printable(check.advice).plain, style=styles[check.status])
        table.add_row(Text(str(check.status), style=styles[check.status]), check.name, found)
    console.print(table)
    if any(check.status is Status.PROBLEM for check in checks):
        raise typer.Exit(1)
