"""Writes the report as Markdown, for a pull request or a model card."""

import re
from collections.abc import Sequence

from tuner.report import summary, tables
from tuner.report.reading import Reading
from tuner.report.tables import Table

_TOP = 10
_SPECIAL = re.compile(r"([\\`*{}\[\]<>#|~]|(?<!\w)_|_(?!\w))")


def markdown(readings: Sequence[Reading]) -> str:
    """The report of one run, or of several side by side."""
    if len(readings) == 1:
        return _one(readings[0])
    lines = [f"# {len(readings)} runs", "", _table(tables.compared(readings)), ""]
    for warning in summary.warnings_of_comparison(readings):
        lines += [_text(warning), ""]
    for reading in readings:
        lines += [f"## {_text(reading.label)}", "", *_paragraphs(reading)]
    return "\n".join(lines)


def _one(reading: Reading) -> str:
    lines = [f"# {_text(reading.label)}", "", *_paragraphs(reading)]
    if reading.best is not None:
        lines += [f"Its parameters: {_text(summary.parameters_text(reading.best))}", ""]
    for title, table in (
        ("Against the baselines", tables.baselines(reading)),
        ("Finalists", tables.finalists(reading)),
        (f"The best {min(_TOP, len(reading.scored))} trials", _top(reading)),
        ("Failures", tables.failures(reading)),
    ):
        if table is not None:
            lines += [f"## {title}", "", _table(table), ""]
    for test in reading.tests:
        lines += [f"## Tested on {_text(test.data)}", "", _text("; ".join(test.members)), ""]
        lines += [_text(summary.tested(test)), ""]
        lines += [_table(tables.confusion(test.figures)), ""]
    lines += ["## Environment", ""]
    lines += [
        f"- {_text(name)}: {_text(value)}" for name, value in tables.environment(reading).rows
    ]
    commands = summary.commands(reading)
    if commands:
        lines += ["", "## To run it again", "", "```sh", *commands, "```"]
    return "\n".join([*lines, ""])


def _paragraphs(reading: Reading) -> list[str]:
    return [part for line in summary.in_words(reading) for part in (_text(line), "")]


def _top(reading: Reading) -> Table | None:
    if not reading.scored:
        return None
    rows = tuple(
        (
            str(rank),
            str(record.number),
            record.architecture,
            str(record.status),
            f"{record.score:.4f}",
            str(len(record.curve)),
            "" if record.seconds is None else f"{record.seconds:.0f}",
            summary.parameters_text(record),
        )
        for rank, record in enumerate(reading.scored[:_TOP], start=1)
    )
    columns = (
        "rank",
        "trial",
        "architecture",
        "status",
        reading.metric,
        "epochs",
        "seconds",
        "parameters",
    )
    return Table(columns, rows)


def _table(table: Table) -> str:
    lines = [_line(table.columns), "|" + "---|" * len(table.columns)]
    return "\n".join([*lines, *(_line(row) for row in table.rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_text(cell) for cell in cells)} |"


def _text(text: str) -> str:
    """The text on one line with its special characters escaped; commands in backticks stay."""
    flat = " ".join(text.split())
    parts = re.split(r"(`[^`|<>]*`)", flat)
    return "".join(
        part
        if part.startswith("`") and part.endswith("`") and len(part) > 2
        else _SPECIAL.sub(r"\\\1", part)
        for part in parts
    )
