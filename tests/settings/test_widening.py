"""Whether a space holds all of another one, and what it has more."""

from typing import Any

import pytest

from tuner.settings.space import SearchSpace
from tuner.settings.widening import not_held, other_space_text, widened

RATE = {"float": [1e-4, 1e-2], "log": True}


def space(**changes: Any) -> SearchSpace:
    content: dict[str, Any] = {
        "name": "s",
        "shared": {"learning_rate": RATE, "lstm_units": {"int": [32, 128], "step": 32}},
        "architectures": {"lstm": {"batch_size": {"choice": [32, 64]}, "optimizer": "adam"}},
    }
    return SearchSpace.from_mapping({**content, **changes}, "s.yaml")


def lstm(**parameters: Any) -> dict[str, Any]:
    own = {"batch_size": {"choice": [32, 64]}, "optimizer": "adam", **parameters}
    return {"lstm": {name: value for name, value in own.items() if value is not None}}


def shared(**parameters: Any) -> dict[str, Any]:
    return {"learning_rate": RATE, "lstm_units": {"int": [32, 128], "step": 32}, **parameters}


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({}, ()),
        ({"name": "other", "description": "d"}, ()),
        (
            {"shared": shared(learning_rate={"float": [1e-5, 1e-1], "log": True})},
            ("learning_rate 1e-05 … 0.1 (log) in place of 0.0001 … 0.01 (log)",),
        ),
        (
            {"shared": shared(lstm_units={"int": [16, 256], "step": 16})},
            ("lstm_units 16 … 256 (step 16) in place of 32 … 128 (step 32)",),
        ),
        ({"shared": shared(lstm_units={"int": [32, 128]})}, None),
        (
            {"architectures": {**lstm(), "bilstm": {"batch_size": 32}}},
            ("bilstm",),
        ),
        (
            {"architectures": lstm(batch_size={"choice": [128, 64, 32]})},
            ("batch_size 128 | 64 | 32 in place of 32 | 64",),
        ),
        ({"architectures": lstm(batch_size={"int": [16, 64]})}, None),
        (
            {"architectures": lstm(optimizer={"choice": ["adamw", "adam"]})},
            ("optimizer adamw | adam in place of adam",),
        ),
        ({"architectures": lstm(optimizer=None)}, ()),  # Adam is the default
        (
            {"architectures": lstm(ngrams={"choice": [0, 2]})},  # which was 0, the default
            ("ngrams 0 | 2 in place of 0",),
        ),
        ({"architectures": lstm(max_length=500)}, ()),
    ],
)
def test_a_space_that_holds_all_goes_on(
    changes: dict[str, Any], more: tuple[str, ...] | None
) -> None:
    assert not_held(space(), space(**changes)) is None
    if more is not None:
        assert widened(space(), space(**changes)) == more


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"metric": {"name": "val_loss", "mode": "min"}}, "another metric"),
        ({"max_epochs": 3}, "max_epochs 3, not 9"),
        ({"architectures": {"bilstm": {}}}, "no lstm"),
        (
            {"shared": shared(learning_rate={"float": [1e-3, 1e-1], "log": True})},
            "learning_rate of lstm 0.001 … 0.1 (log), which does not hold all of 0.0001 … 0.01 (log)",
        ),
        (
            {"shared": shared(lstm_units={"int": [16, 256], "step": 48})},
            "lstm_units of lstm 16 … 256 (step 48), which does not hold all of 32 … 128 (step 32)",
        ),
        (
            {"shared": shared(lstm_units={"int": [32, 128], "step": 96})},
            "lstm_units of lstm 32 … 128 (step 96), which does not hold all of 32 … 128 (step 32)",
        ),
        (
            {"shared": shared(lstm_units=64)},
            "lstm_units of lstm 64, which does not hold all of 32 … 128 (step 32)",
        ),
        (
            {"architectures": lstm(batch_size={"choice": [32, 128]})},
            "batch_size of lstm 32 | 128, which does not hold all of 32 | 64",
        ),
        (
            {"architectures": lstm(batch_size=None)},
            "batch_size of lstm 64, which does not hold all of 32 | 64",
        ),
        (
            {"architectures": lstm(optimizer={"choice": ["sgd", "rmsprop"]})},
            "optimizer of lstm sgd | rmsprop, which does not hold all of adam",
        ),
        (
            {"architectures": lstm(ngrams={"choice": [2, 3]})},
            "ngrams of lstm 2 | 3, which does not hold all of 0",
        ),
    ],
)
def test_one_that_lacks_something_is_told_with_what_it_has(
    changes: dict[str, Any], reason: str
) -> None:
    found = not_held(space(), space(**changes))
    assert found == reason
    assert f"this one has {reason}; choose another --name" in other_space_text(found)


OWN: dict[str, Any] = {"extras.net:build": {"depth": {"choice": {"flat": [1], "deep": [1, 2]}}}}


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        ({"depth": {"choice": {"flat": [1], "deep": [1, 2], "deeper": [1, 2, 3]}}}, None),
        (
            {"depth": {"choice": {"flat": [1], "deep": [1, 3]}}},
            "depth of extras.net:build flat = [1] | deep = [1, 3], which does not hold all of flat = [1] | deep = "
            "[1, 2]",
        ),
        (
            {**OWN["extras.net:build"], "width": {"int": [1, 9]}},
            "width of extras.net:build 1 … 9, which does not hold all of what its code has",
        ),
    ],
)
def test_what_an_own_architecture_had_in_place_of_a_new_parameter_is_not_known(
    own: dict[str, Any], reason: str | None
) -> None:
    spaces = [space(architectures=each) for each in (OWN, {"extras.net:build": own})]
    assert not_held(*spaces) == reason
