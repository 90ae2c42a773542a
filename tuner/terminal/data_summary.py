"""The tables of `tuner data`: the named data sets, and the figures of one data set."""

from rich.console import Group, RenderableType
from rich.text import Text

from tuner.data import SOURCES, DataSummary, Split
from tuner.terminal.tables import on_one_line, plain_table, printable
from tuner.text import quoted_names

_SHOWN_CLASSES = 8


def named_sources() -> RenderableType:
    """The data sets that have a name, and the files that can be read."""
    table = plain_table("name", "works offline", "")
    for source in SOURCES.values():
        table.add_row(source.name, "yes" if source.is_offline else "no", source.summary)
    files = "Or a file: CSV, TSV, JSON lines or Parquet with a text and a label column."
    return Group(table, Text(), Text(files))


def data_summary(summary: DataSummary) -> RenderableType:
    """A data set's size, classes per split, lengths and vocabulary, what looks wrong in it, and a few of its rows."""
    lengths, findings = summary.lengths, summary.findings
    covered = ", ".join(f"{size:,}: {share:.1%}" for size, share in summary.coverage.items())
    return Group(
        printable(f"{summary.name}: {summary.rows:,} rows, {len(summary.class_names)} classes"),
        Text(),
        _splits(summary),
        Text(),
        Text(
            f"tokens per row: median {lengths.median:,}, 90 % below {lengths.percentile_90:,}, "
            f"99 % below {lengths.percentile_99:,}, longest {lengths.longest:,}"
        ),
        Text(f"vocabulary: {summary.vocabulary_size:,}; training tokens known at {covered}"),
        Text(
            f"duplicate rows: {findings.duplicates:,}; texts with two labels: {findings.conflicting:,}; "
            f"rows of other splits whose text is in training, too: {findings.leaked:,}"
        ),
        *(
            on_one_line(f"  labelled {quoted_names(each.labels)}: {each.text}")
            for each in findings.contradictions
        ),
        Text(),
        *(on_one_line(f"{row.label}: {row.text}") for row in findings.samples),
    )


def _splits(summary: DataSummary) -> RenderableType:
    table = plain_table("split")
    table.add_column("rows", justify="right")
    for name in summary.class_names[:_SHOWN_CLASSES]:
        table.add_column(printable(name), justify="right")
    for split in Split:
        balance = summary.splits[split]
        shares = [f"{count:,}" for count in balance.by_class[:_SHOWN_CLASSES]]
        table.add_row(str(split), f"{balance.rows:,}", *shares)
    return table
