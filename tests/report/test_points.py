"""Thinning keeps the chosen trials and the shape of the rest."""

from collections import Counter

from support.run_files import record

from tuner.report.figures.points import thinned


def test_few_are_all_kept() -> None:
    records = [record(number) for number in range(9)]
    assert thinned(records, 9) == records


def test_many_are_thinned_evenly_by_kind() -> None:
    records = [record(n, architecture="cnn" if n % 3 else "lstm") for n in range(60)]
    kept = thinned(records, 20, always={0, 59})
    assert thinned(records, 20, always={0, 59}) == kept
    assert {0, 59} <= {each.number for each in kept}
    assert len(kept) <= 22
    assert [each.number for each in kept] == sorted(each.number for each in kept)
    before = Counter(each.architecture for each in records)
    after = Counter(each.architecture for each in kept)
    assert all(abs(after[name] / len(kept) - before[name] / 60) < 0.1 for name in before)
