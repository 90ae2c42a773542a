"""The options and the output of a benchmark: the same for every script in this folder."""

import argparse
import csv
import datetime
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from tuner.data.cells import Rows
from tuner.machine import memory, usable_cpus


@dataclass(frozen=True)
class Options:
    """The options of every benchmark."""

    full: bool  # all repetitions instead of the short form
    out: Path  # folder of the CSV files


def options(description: str | None) -> Options:
    """The command line of a benchmark; `description` is the script's docstring."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--full", action="store_true", help="more repetitions, as docs/measurements.md quotes"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs/benchmarks"), help="folder of the CSV"
    )
    given = parser.parse_args()
    return Options(given.full, given.out)


def show(name: str, rows: Sequence[Mapping[str, object]], out: Path) -> None:
    """Prints `rows` as a table under the machine's description and writes them to `out/name.csv`."""
    frame = pd.DataFrame(rows)
    table = Table(title=f"{name} · {machine()}", title_justify="left")
    for column in frame.columns:
        numeric = pd.api.types.is_numeric_dtype(frame[column])
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*(f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row))
    Console(width=110).print(table)
    out.mkdir(parents=True, exist_ok=True)
    frame.to_csv(out / f"{name}.csv", index=False)


def write_rows(path: Path, rows: Rows, order: Iterable[int], splits: Iterable[str]) -> Path:
    """Writes labelled texts as CSV: those at the places of `order`, with one of `splits` each, until either ends."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "split"])
        for place, split in zip(order, splits, strict=False):
            writer.writerow([rows.texts[place], rows.labels[place], split])
    return path


def machine() -> str:
    """Date, processors and memory, as a figure is quoted with."""
    today = datetime.datetime.now(datetime.UTC).date()
    gigabytes = memory().total / 1e9
    return f"{today}, {usable_cpus()} CPUs ({platform.machine()}), {gigabytes:.0f} GB"
