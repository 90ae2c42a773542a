"""The trials in a figure: which are drawn where there are many, how each is marked, and its text under the pointer."""

from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any

import numpy as np

from tuner.report.style import IN_WORDS, Look, plain
from tuner.run.records import TrialRecord
from tuner.run.trial_status import TrialStatus
from tuner.text import number_text, score_text

_SHOWN = 14  # parameters; more would not fit a screen


def thinned(
    records: Sequence[TrialRecord],
    most: int,
    *,
    always: Collection[int] = (),
    kind: Callable[[TrialRecord], Hashable] = lambda record: record.architecture,
) -> list[TrialRecord]:
    """At most `most` records, and those whose number is in `always`, in the order given.

    Every kind keeps its share of the rest, and at least one record. The same records give the same choice.
    """
    if len(records) <= most:
        return list(records)
    kept = {record.number for record in records if record.number in always}
    room = max(0, most - len(kept))
    groups: dict[Hashable, list[TrialRecord]] = {}
    for record in records:
        if record.number not in kept:
            groups.setdefault(kind(record), []).append(record)
    rest = sum(len(group) for group in groups.values())
    for group in groups.values():
        share = min(len(group), max(1, round(room * len(group) / rest)))
        # Evenly over the group and not at random, so that the shape over the given order stays.
        for index in np.linspace(0, len(group) - 1, share).round().astype(int):
            kept.add(group[index].number)
    return [record for record in records if record.number in kept]


def marker(look: Look, records: Sequence[TrialRecord], *, size: int) -> dict[str, Any]:
    """Plotly's marker for the trials of an architecture; that of a pruned trial is hollow."""
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
    """A few lines about a trial: its number, architecture, status, score and parameters."""
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
