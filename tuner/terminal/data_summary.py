"""The tables of `tuner data`: the named data sets, and the figures of one data set."""

from rich.console import Group, RenderableType
from rich.text import Text

from tuner.data import SOURCES, DataSummary, Split
from tuner.terminal.tables import on_one_line, plain_table, printable
from tuner.text import quoted_names

_SHOWN_CLASSES = 8
_GAP = 2  # characters between two columns


def named_sources() -> RenderableType:
    """The data sets that have a name, and the files that can be read."""
    table = plain_table("name", "works offline", "")
    for source in SOURCES.values():
        table.add_row(source.name, "yes" if source.is_offline else "no", source.summary)
    files = "Or a file: CSV, TSV, JSON lines or Parquet with a text and a label column."
    return Group(table, Text(), Text(files))


def data_summary(summary: DataSummary, width: int) -> RenderableType:
    """A data set's size, classes per split, lengths and vocabulary, what looks wrong in it, and a few of its rows.

    Args:
        width: of the terminal, in characters.
    """
    lengths, findings = summary.lengths, summary.findings
    covered = ", ".join(f"{size:,}: {share:.1%}" for size, share in summary.coverage.items())
    return Group(
        printable(f"{summary.name}: {summary.rows:,} rows, {len(summary.class_names)} classes"),
        Text(),
        _splits(summary, width),
        Text(),
        Text(
            f"tokens per row, with the start token: median {lengths.median:,}, 90 % at most "
            f"{lengths.percentile_90:,}, 99 % at most {lengths.percentile_99:,}, longest {lengths.longest:,}"
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


def _splits(summary: DataSummary, width: int) -> RenderableType:
    """Rows of each split and class, of as many classes as there is room for; the last column has those of the others.

    Rich would narrow columns of numbers, too, where names are long: they have their widths from here.
    """
    rows = [f"{summary.splits[split].rows:,}" for split in Split]
    longest = max(map(len, rows))  # no number of a class is longer
    free = width - max(map(len, Split)) - _GAP - longest
    shown, columns = _SHOWN_CLASSES, _columns(summary, _SHOWN_CLASSES)
    while free // len(columns) < longest + _GAP and shown > 1:
        shown -= 1
        columns = _columns(summary, shown)
    table = plain_table("split", "rows")
    table.columns[1].justify = "right"
    for column in table.columns:
        column.no_wrap = True
    for name, _ in columns:
        heading = printable(name)
        room = max(longest, min(free // len(columns) - _GAP, heading.cell_len))
        table.add_column(heading, justify="right", overflow="fold", width=room)
    for split, total, *counts in zip(Split, rows, *(counts for _, counts in columns), strict=True):
        table.add_row(str(split), total, *(f"{count:,}" for count in counts))
    return table


def _columns(summary: DataSummary, shown: int) -> list[tuple[str, list[int]]]:
    """The names of the first classes, each with its rows of every split, and the sums of the others."""
    names, balances = summary.class_names, [summary.splits[split] for split in Split]
    columns = [
        (name, [balance.by_class[at] for balance in balances])
        for at, name in enumerate(names[:shown])
    ]
    if len(names) > shown:
        others = [sum(balance.by_class[shown:]) for balance in balances]
        columns.append((f"… {len(names) - shown} more", others))
    return columns
