"""The summary that `tuner data` prints."""

from collections.abc import Callable

import pytest

from tuner.data import Contradiction, Lengths, Split, load_dataset, summarize
from tuner.settings.data import DataConfig

WriteCsv = Callable[..., str]


def test_a_summary_counts_rows_classes_lengths_and_oddities(write_csv: WriteCsv) -> None:
    rows = [(f"w{i} " + "x " * (i % 10), "pos" if i < 30 else "neg") for i in range(100)]
    rows += [("w0", "pos"), ("W0!", "neg")]
    config = DataConfig(source=write_csv(rows))
    summary = summarize(config)
    assert (summary.name, summary.rows, summary.class_names) == ("rows.csv", 102, ("neg", "pos"))
    assert sum(balance.rows for balance in summary.splits.values()) == 102
    assert sum(balance.by_class[0] for balance in summary.splits.values()) == 71
    assert summary.lengths == Lengths(median=6, percentile_90=10, percentile_99=11, longest=11)
    assert (summary.findings.duplicates, summary.findings.conflicting) == (2, 1)
    assert summary.findings.leaked == 0
    assert summary.findings.contradictions == (Contradiction("w0", ("pos", "neg")),)
    assert summary.fingerprint == load_dataset(config).fingerprint


def test_coverage_is_the_share_of_training_tokens_that_keep_their_id(write_csv: WriteCsv) -> None:
    rows = [
        (" ".join(f"w{i}" for i in range(500 * part, 500 * part + 500)), str(part % 2))
        for part in range(40)
    ]
    summary = summarize(DataConfig(source=write_csv(rows)))
    assert summary.splits[Split.TRAIN].rows == 28
    assert summary.vocabulary_size == 14_003
    assert summary.coverage == pytest.approx(
        {5_000: 4_997 / 14_000, 10_000: 9_997 / 14_000, 20_000: 1.0}
    )


def test_samples_are_short_training_rows_of_every_class(
    write_csv: WriteCsv, forty_rows: list[tuple[str, str]]
) -> None:
    rows = [(f"{text}\n{'long ' * 200}", label) for text, label in forty_rows]
    samples = summarize(DataConfig(source=write_csv(rows))).findings.samples
    assert [row.label for row in samples] == ["neg", "neg", "pos", "pos"]
    assert all("\n" not in row.text and len(row.text) == 301 for row in samples)
