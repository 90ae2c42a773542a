"""Where the best trial lies at the end of a range, the report advises to widen the range."""

import pytest
from support.run_files import record

from tuner.report.range_edges import edge_of
from tuner.settings.hyperparameters import Scalar
from tuner.settings.space import SearchSpace

SPACE = SearchSpace.from_mapping(
    {
        "name": "edges",
        "shared": {
            "learning_rate": {"float": [1e-4, 1e-2], "log": True},
            "lstm_units": {"int": [8, 64]},
            "output_dropout": {"float": [0.0, 0.5]},
            "batch_size": {"choice": [64, 32, 128]},
            "pooling": {"choice": ["last", "max", "mean"]},
            "vocabulary_size": {"choice": [5000, 10000]},
            "max_length": 100,
        },
        "architectures": {"lstm": {}},
    },
    "edges.yaml",
)


def test_a_best_trial_that_is_a_baseline_gives_no_advice() -> None:
    best = record(parameters={"lstm_units": 64}, baseline=True)
    assert edge_of(SPACE, best, "lstm_units") is None


@pytest.mark.parametrize(
    ("name", "value", "end"),
    [
        ("learning_rate", 1.05e-4, "lower end 0.0001"),
        ("learning_rate", 9.5e-3, "upper end 0.01"),
        ("learning_rate", 2e-4, None),  # near on a linear scale only
        ("lstm_units", 64, "upper end 64"),
        ("lstm_units", 40, None),
        ("output_dropout", 0.5, "upper end 0.5"),
        ("output_dropout", 0.0, None),  # there is no less than none
        ("batch_size", 32, "lower end 32"),
        ("batch_size", 64, None),
        ("pooling", "mean", None),  # words have no end
        ("vocabulary_size", 10000, None),  # one of two is always an end
        ("max_length", 100, None),  # not searched
        ("filters", 3, None),  # not in this space
    ],
)
def test_the_best_at_an_end(name: str, value: Scalar, end: str | None) -> None:
    advice = edge_of(SPACE, record(parameters={name: value}), name)
    assert (advice is None) == (end is None)
    assert end is None or (advice is not None and end in advice and advice.endswith("widen it"))
