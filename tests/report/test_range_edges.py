"""Where the best trials crowd at the end of a range, the report advises to widen the range."""

import random
from typing import Any

import pytest
from support.run_files import record

from tuner.report.range_edges import edge_of, edges
from tuner.run.records import TrialRecord
from tuner.settings.hyperparameters import Scalar
from tuner.settings.space import SearchSpace

SPACE = SearchSpace.from_mapping(
    {
        "name": "edges",
        "shared": {
            "learning_rate": {"float": [1e-4, 1e-2], "log": True},
            "lstm_units": {"int": [8, 64]},
            "output_dropout": {"float": [0.0, 0.5]},
            "batch_size": {"choice": [64, 32, 128, 256, 16]},
            "lstm_layers": {"int": [1, 2]},
            "pooling": {"choice": ["last", "max", "mean"]},
            "vocabulary_size": {"choice": [5000, 10000]},
            "max_length": 100,
        },
        "architectures": {"lstm": {}},
    },
    "edges.yaml",
)


def trials(name: str, *best: Scalar, elsewhere: Scalar, **changes: Any) -> list[TrialRecord]:
    """The best trials with these values, then twenty others."""
    values = [*best, *[elsewhere] * 20]
    return [record(n, parameters={name: value}, **changes) for n, value in enumerate(values)]


@pytest.mark.parametrize(
    ("name", "at_end", "inside", "end"),
    [
        ("learning_rate", 1.05e-4, 1e-3, "lower end 0.0001"),
        ("learning_rate", 9.5e-3, 1e-3, "upper end 0.01"),
        ("learning_rate", 2e-4, 1e-3, None),  # near on a linear scale only
        ("lstm_units", 64, 30, "upper end 64"),
        ("lstm_units", 40, 30, None),
        ("output_dropout", 0.5, 0.2, "upper end 0.5"),
        ("output_dropout", 0.0, 0.2, None),  # there is no less than none
        ("batch_size", 16, 64, "lower end 16"),
        ("batch_size", 64, 128, None),
        ("pooling", "mean", "max", None),  # words have no end
        ("vocabulary_size", 10000, 5000, None),  # one of two is always an end
        ("lstm_layers", 2, 1, None),
        ("max_length", 100, 100, None),  # not searched
        ("filters", 3, 4, None),  # not in this space
    ],
)
def test_the_best_five_at_an_end(
    name: str, at_end: Scalar, inside: Scalar, end: str | None
) -> None:
    advice = edge_of(SPACE, trials(name, *[at_end] * 5, elsewhere=inside), name)
    assert (advice is None) == (end is None)
    assert end is None or (advice is not None and end in advice and advice.endswith("widen it"))
    if end is not None:
        assert advice is not None
        assert advice.startswith("5 of the best 5 trials lie at the end of a range")


def test_where_chance_or_all_the_others_put_the_best_there_is_no_advice() -> None:
    one = trials("lstm_units", 64, 30, 31, 32, 33, elsewhere=34)
    assert edge_of(SPACE, one, "lstm_units") is None
    everywhere = trials("lstm_units", *[64] * 5, elsewhere=63)  # the sampler went there
    assert edge_of(SPACE, everywhere, "lstm_units") is None
    few = trials("lstm_units", *[64] * 5, elsewhere=30)[:9]
    assert edge_of(SPACE, few, "lstm_units") is None
    assert edge_of(SPACE, [], "lstm_units") is None


def test_a_space_whose_ranges_have_no_ends_has_no_advice() -> None:
    """A few numbers of one choice: one of three is at an end by chance alone."""
    space = SearchSpace.from_mapping(
        {
            "name": "choices",
            "shared": {"lstm_units": {"choice": [32, 64, 128]}},
            "architectures": {"lstm": {}},
        },
        "choices.yaml",
    )
    assert edges(space, trials("lstm_units", *[128] * 5, elsewhere=64)) == []


def test_baselines_count_nowhere() -> None:
    """A person chose their values."""
    best = trials("lstm_units", *[64] * 5, elsewhere=30, baseline=True)[:5]
    others = trials("lstm_units", 30, 31, 32, 33, 34, elsewhere=35)
    assert edge_of(SPACE, [*best, *others], "lstm_units") is None


def test_where_nothing_matters_5_of_100_reports_have_an_advice_at_most() -> None:
    draw = random.Random(0)
    advised = 0
    for _ in range(300):
        found = [
            record(
                n,
                parameters={
                    "learning_rate": 10 ** draw.uniform(-4, -2),
                    "lstm_units": draw.randint(8, 64),
                    "output_dropout": draw.uniform(0, 0.5),
                    "batch_size": draw.choice([16, 32, 64, 128, 256]),
                },
            )
            for n in range(40)
        ]
        advised += bool(edges(SPACE, found))
    assert advised / 300 <= 0.05
