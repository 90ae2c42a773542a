"""The vocabulary of spaces and models: architectures, their parameters, and their bounds."""

import pytest
from pydantic import ValidationError

from tuner.errors import SpaceError
from tuner.settings.hyperparameters import (
    ARCHITECTURES,
    MODEL_PARAMETERS,
    Hyperparameters,
    Pooling,
    is_custom,
    module_options,
    resolve,
)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_resolves_without_any_parameter(architecture: str) -> None:
    hyperparameters = resolve(architecture, {})
    defaults = ARCHITECTURES[architecture].defaults
    assert hyperparameters.architecture == architecture
    assert {name: getattr(hyperparameters, name) for name in defaults} == dict(defaults)


def test_defaults_are_the_tutorials_plain_lstm() -> None:
    lstm = resolve("lstm", {})
    assert (lstm.vocabulary_size, lstm.max_length, lstm.embedding_size) == (5000, 500, 32)
    assert (lstm.lstm_units, lstm.lstm_layers, lstm.pooling) == (100, 1, Pooling.LAST)
    assert (lstm.optimizer, lstm.learning_rate, lstm.batch_size) == ("adam", 1e-3, 64)
    assert lstm.output_dropout == lstm.recurrent_dropout == lstm.embedding_dropout == 0


def test_given_parameters_win_over_the_architectures_defaults() -> None:
    assert resolve("lstm_dropout", {}).output_dropout == 0.2
    assert resolve("lstm_dropout", {"output_dropout": 0.5}).output_dropout == 0.5
    assert resolve("lstm_dropout", {"output_dropout": 0.5}).embedding_dropout == 0.2
    assert resolve("bilstm", {"pooling": "mean"}).pooling is Pooling.MEAN


def test_only_convolutions_take_their_parameters() -> None:
    assert ARCHITECTURES["cnn_lstm"].parameters == MODEL_PARAMETERS
    assert MODEL_PARAMETERS - ARCHITECTURES["lstm"].parameters == {
        "filters",
        "kernel_size",
        "pool_size",
    }


def test_a_custom_architecture_passes_all_but_training_parameters_on() -> None:
    hyperparameters = resolve("my.models:build", {"lstm_units": 8, "depth": 2, "batch_size": 16})
    assert dict(hyperparameters.custom) == {"lstm_units": 8, "depth": 2}
    assert hyperparameters.batch_size == 16
    assert hyperparameters.lstm_units == Hyperparameters(architecture="lstm").lstm_units


def test_a_name_with_a_colon_is_custom() -> None:
    assert is_custom("my.models:build")
    assert not is_custom("lstm")


def test_a_command_names_each_module_once() -> None:
    own = ["lstm", "b.models:build", "a:one", "b.models:other", "tuner.training.toy:curve"]
    assert module_options(own) == " --module b.models --module a"
    assert module_options(["lstm"]) == ""


@pytest.mark.parametrize(
    ("architecture", "parameters", "message"),
    [
        ("rnn", {}, "^architecture 'rnn' is unknown; write one of lstm, lstm_dropout, "),
        ("lstm", {"filters": 3}, "^lstm takes no parameter 'filters'; remove it$"),
        ("lstm", {"unknown": 3}, "^lstm takes no parameter 'unknown'; remove it$"),
        ("lstm", {"architecture": "cnn_lstm"}, "^lstm takes no parameter 'architecture'"),
        (
            "lstm",
            {"lstm_units": 0},
            "^lstm: lstm_units: must be greater than or equal to 1, got 0$",
        ),
        ("lstm", {"output_dropout": 1.0}, "^lstm: output_dropout: must be less than 1, got 1.0$"),
        ("lstm", {"pooling": "none"}, "^lstm: pooling: must be 'last', .*, got 'none'$"),
        ("a:b", {"learning_rate": 0}, "^a:b: learning_rate: must be greater than 0, got 0$"),
        ("a:b", {"clipnorm": float("inf")}, "^a:b: clipnorm: must be a finite number, got inf$"),
    ],
)
def test_impossible_hyperparameters_are_refused(
    architecture: str, parameters: dict[str, object], message: str
) -> None:
    with pytest.raises(SpaceError, match=message):
        resolve(architecture, parameters)


def test_hyperparameters_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        resolve("lstm", {}).lstm_units = 3  # type: ignore[misc]


def test_every_hyperparameter_has_a_description() -> None:
    assert all(field.description for field in Hyperparameters.model_fields.values())
