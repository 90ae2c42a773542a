"""`tuner data`."""

from typing import Annotated

import typer

from tuner.config import TokenMode


def data(
    source: Annotated[
        str | None, typer.Argument(help="A data set's name or a file.", metavar="[NAME|PATH]")
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the sequences.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the labels.")] = None,
    tokens: Annotated[
        TokenMode, typer.Option(help="How text becomes tokens.", show_default=True)
    ] = TokenMode.WORDS,
    sample: Annotated[int | None, typer.Option(help="Use so many rows.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Seed of the splits.")] = 0,
) -> None:
    """List the named data sets, or show one: size, classes, lengths, splits and a few rows."""
    from rich.table import Table

    from tuner.data import SOURCES
    from tuner.terminal.tables import plain_console, printable

    console = plain_console()
    if source is None:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in ("name", "works offline", ""):
            table.add_column(column)
        for known in SOURCES.values():
            table.add_row(known.name, "yes" if known.is_offline else "no", known.summary)
        console.print(table)
        console.print(
            "\nOr a file: CSV, TSV, JSON lines or Parquet with a text and a label column."
        )
        return
    from tuner.config import DataConfig
    from tuner.data import Split, summarize

    summary = summarize(
        DataConfig(
            source=source,
            text_column=text_column,
            label_column=label_column,
            tokens=tokens,
            sample=sample,
        ),
        seed=seed,
    )
    console.print(
        printable(f"{summary.name}: {summary.rows:,} rows, {len(summary.class_names)} classes")
    )
    console.print()
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("split")
    table.add_column("rows", justify="right")
    for name in summary.class_names[:8]:
        table.add_column(printable(name), justify="right")
    for split in Split:
        balance = summary.splits[split]
        shares = [f"{count:,}" for count in balance.by_class[:8]]
        table.add_row(str(split), f"{balance.rows:,}", *shares)
    console.print(table)
    lengths = summary.lengths
    console.print(
        f"\ntokens a row: median {lengths.median:,}, 90 % below {lengths.percentile_90:,}, "
        f"99 % below {lengths.percentile_99:,}, longest {lengths.longest:,}"
    )
    covered = ", ".join(f"{size:,}: {share:.1%}" for size, share in summary.coverage.items())
    console.print(f"vocabulary: {summary.vocabulary_size:,}; training tokens known at {covered}")
    findings = summary.findings
    console.print(
        f"rows like another: {findings.duplicates:,}; texts with two labels: {findings.conflicting:,}; "
        f"rows of other splits that are training texts too: {findings.leaked:,}\n"
    )
    for row in findings.samples:
        console.print(printable(f"{row.label}: {row.text}"), overflow="ellipsis", no_wrap=True)
