"""A trial's point: how it is marked, and what it says under the pointer."""

from collections.abc import Sequence
from typing import Any

from tuner.report.style import IN_WORDS, Look, plain
from tuner.run.records import TrialRecord
from tuner.run.status import TrialStatus
from tuner.text import number_text, score_text

_SHOWN = 14  # parameters; more would not fit a screen


def marker(look: Look, records: Sequence[TrialRecord], *, size: int) -> dict[str, Any]:
    """Plotly's marker of an architecture's trials; those of pruned ones are hollow."""
    return {
        "symbol": [
            f"{look.sign}-open" if record.status is TrialStatus.PRUNED else look.sign
            for record in records
        ],
        "color": look.colour,
        "size": size,
        "line": {"width": 1.2, "color": look.colour},
    }


def hover_text(record: TrialRecord, *, parameters: bool = True) -> str:
    """A few lines: which trial, what became of it, its score, its parameters."""
    kind = " · baseline" if record.baseline else ""
    lines = [
        f"<b>trial {record.number}</b> · {plain(record.architecture)} · {IN_WORDS[record.status]}{kind}"
    ]
    if record.score is not None:
        lines.append(
            f"{score_text(record.score)} in epoch {record.best_epoch} of {len(record.curve)}"
        )
    if parameters:
        shown = list(record.parameters.items())[:_SHOWN]
        lines += [f"{plain(name)} = {plain(number_text(value))}" for name, value in shown]
    return "<br>".join(lines)
