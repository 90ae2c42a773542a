"""Chooses what is drawn where a person could not see all of it: what matters always, of the rest an even sample."""

from collections.abc import Callable, Collection, Hashable, Sequence

import numpy as np

from tuner.run.records import TrialRecord


def thinned(
    records: Sequence[TrialRecord],
    most: int,
    *,
    always: Collection[int] = (),
    kind: Callable[[TrialRecord], Hashable] = lambda record: record.architecture,
) -> list[TrialRecord]:
    """At most `most` records, and those whose number is in `always`, in the order given.

    Every kind keeps its share of the rest, at least one of each. The same records give the same choice.
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
        # Evenly over the group, not at random: the order is the search's or the score's, and its shape stays.
        for index in np.linspace(0, len(group) - 1, share).round().astype(int):
            kept.add(group[index].number)
    return [record for record in records if record.number in kept]
