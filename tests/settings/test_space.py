"""Search spaces: reading, finding and sampling."""

import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from tuner.errors import SpaceError
from tuner.settings.builtin import builtin_space_names, find_space
from tuner.settings.hyperparameters import (
    ARCHITECTURES,
    Hyperparameters,
    Optimizer,
    Pooling,
    resolve,
)
from tuner.settings.ranges import Choice, FloatRange, IntRange
from tuner.settings.space import _NEEDIEST, SearchSpace

FLOATS = ("embedding_dropout", "spatial_dropout", "input_dropout", "output_dropout", "warmup")
INTS = ("embedding_size", "lstm_units", "batch_size", "max_length")
CHOICES: dict[str, tuple[object, ...]] = {
    "pooling": ("last", "max", "mean", "max_mean"),
    "optimizer": ("adam", "adamw", "rmsprop", "sgd"),
    "vocabulary_size": (500, 1000, 5000),
    "clipnorm": (0.0, 0.5, 1.0),
}
CUSTOM = "my_package.models:build"


@st.composite
def float_ranges(draw: st.DrawFn) -> dict[str, Any]:
    low = draw(st.floats(1e-6, 0.5))
    high = draw(st.floats(0.6, 0.99))
    return {"float": [low, high]} | draw(st.sampled_from([{}, {"log": True}, {"log": False}]))


@st.composite
def stepped_ranges(draw: st.DrawFn) -> dict[str, Any]:
    low, step, steps = draw(st.integers(1, 50)), draw(st.integers(1, 20)), draw(st.integers(1, 20))
    return {"int": [low, low + step * steps], "step": step}


@st.composite
def int_ranges(draw: st.DrawFn) -> dict[str, Any]:
    low = draw(st.integers(1, 100))
    high = draw(st.integers(low + 1, 1000))
    return {"int": [low, high]} | draw(st.sampled_from([{}, {"log": True}]))


def choices(options: tuple[object, ...]) -> st.SearchStrategy[dict[str, Any]]:
    return st.lists(st.sampled_from(options), min_size=1, unique=True).map(
        lambda chosen: {"choice": chosen}
    )


def parameters(*, convolution: bool = False, custom: bool = False) -> st.SearchStrategy[Any]:
    """Any few parameters with a range, a choice or a constant each."""
    forms: dict[str, st.SearchStrategy[Any]] = {
        **{name: float_ranges() | st.floats(0, 0.9) for name in FLOATS},
        **{name: int_ranges() | stepped_ranges() | st.integers(1, 500) for name in INTS},
        **{name: choices(options) | st.sampled_from(options) for name, options in CHOICES.items()},
    }
    if convolution:
        forms |= {"filters": int_ranges(), "pool_size": st.integers(1, 4)}
    if custom:
        forms |= {"depth": int_ranges(), "name": st.text(max_size=5), "is_wide": st.booleans()}
    return st.dictionaries(st.sampled_from(sorted(forms)), st.none(), max_size=5).flatmap(
        lambda names: st.fixed_dictionaries({name: forms[name] for name in names})
    )


@st.composite
def spaces(draw: st.DrawFn) -> dict[str, Any]:
    """A valid space as plain data, without baselines."""
    names = draw(
        st.lists(st.sampled_from([*ARCHITECTURES, CUSTOM]), min_size=1, max_size=3, unique=True)
    )
    architectures = {
        name: draw(
            st.none()
            | parameters(
                convolution=name in ARCHITECTURES and ARCHITECTURES[name].convolution,
                custom=name == CUSTOM,
            )
        )
        for name in names
    }
    metric = draw(
        st.sampled_from(
            [{"name": "val_f1"}, {"name": "val_loss", "mode": "min"}, {"name": "val_accuracy"}]
        )
    )
    return {
        "name": draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True)),
        "description": draw(st.text(max_size=40)),
        "metric": metric,
        "max_epochs": draw(st.integers(1, 50)),
        "shared": draw(parameters()),
        "architectures": architectures,
    }


def from_text(text: str) -> SearchSpace:
    return SearchSpace.from_text(text, "s.yaml")


def with_parameter(parameter: str) -> str:
    return f"name: s\nshared: {{{parameter}}}\narchitectures: {{lstm: }}\n"


def sample(space: SearchSpace, seed: int = 0) -> tuple[optuna.Trial, Hyperparameters]:
    """A trial of a study in memory, and the configuration that the space suggested for it."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trial = study.ask()
    return trial, space.suggest(trial)


# -- what holds for every space -------------------------------------------------------------------


@settings(max_examples=examples(60))
@given(content=spaces(), seed=st.integers(0, 2**31 - 1))
def test_a_sampled_configuration_lies_in_its_space(content: dict[str, Any], seed: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = SearchSpace.from_mapping(content, "generated")
    trial, hyperparameters = sample(space, seed)
    architecture = hyperparameters.architecture
    given_values = {**dict(hyperparameters), **hyperparameters.custom}
    for name, parameter in space.parameters(architecture).items():
        value = given_values[name]
        if isinstance(parameter, FloatRange | IntRange | Choice):
            assert parameter.contains(value)
            assert trial.params[space.study_name(architecture, name)] == value
        else:
            assert value == parameter


@settings(max_examples=examples(60))
@given(content=spaces(), seed=st.integers(0, 2**31 - 1))
def test_a_trials_values_are_found_again_by_their_own_names(
    content: dict[str, Any], seed: int
) -> None:
    space = SearchSpace.from_mapping(content, "generated")
    trial, hyperparameters = sample(space, seed)
    values = space.values(trial.params)
    assert list(values) == list(space.parameters(hyperparameters.architecture))
    given_values = {**dict(hyperparameters), **hyperparameters.custom}
    assert values == {name: given_values[name] for name in values}
    assert set(values) <= set(space.parameter_names)


@settings(max_examples=examples(50))
@given(content=spaces())
def test_a_space_written_as_yaml_reads_back_the_same(content: dict[str, Any]) -> None:
    space = SearchSpace.from_mapping(content, "generated")
    again = from_text(space.to_yaml())
    assert again == space
    assert again.to_yaml() == space.to_yaml()
    assert list(again.architectures) == list(space.architectures)


# -- where spaces are found -----------------------------------------------------------------------


@pytest.mark.parametrize("name", builtin_space_names())
def test_every_built_in_space_is_valid_and_named_like_its_file(name: str) -> None:
    space = find_space(name)
    assert space.name == name
    assert space.description
    assert all(list(space.baseline_parameters()))


def test_an_unknown_space_is_refused_with_a_suggestion() -> None:
    with pytest.raises(SpaceError, match=r"^'sed' is neither a file nor .*; did you mean seed\?$"):
        find_space("sed")
    with pytest.raises(SpaceError, match="write a YAML file's path or one of imdb, quickstart"):
        find_space("xyzzy")
    with pytest.raises(SpaceError, match=r"^seeds.yaml: no such file; did you mean seed\?$"):
        find_space("seeds.yaml")


def test_a_folder_is_no_space(tmp_path: Path) -> None:
    folder = tmp_path / "folder.yaml"
    folder.mkdir()
    with pytest.raises(SpaceError, match=r"folder.yaml: cannot be read: Is a directory"):
        find_space(str(folder))


def test_a_file_wins_over_a_built_in_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "seed").write_text("name: mine\narchitectures: {lstm: }", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert find_space("seed").name == "mine"


# -- sampling -------------------------------------------------------------------------------------


@pytest.fixture
def conditional() -> SearchSpace:
    return from_text(
        "name: s\n"
        "shared: {learning_rate: {float: [1e-4, 1e-2], log: true}, lstm_units: {int: [8, 64]}}\n"
        "architectures:\n"
        "  lstm: {lstm_units: {int: [100, 200]}}\n"
        "  cnn_lstm: {filters: {int: [8, 32]}, pool_size: 2}\n"
        "  cnn_bilstm: {filters: {int: [64, 128]}, lstm_units: 16, pool_size: {int: [2, 4]}}\n"
        "baselines:\n"
        "  - {architecture: cnn_bilstm, learning_rate: 1e-3, filters: 64, pool_size: 3}\n"
    )


def test_a_parameter_with_different_ranges_has_a_name_per_architecture_in_the_study(
    conditional: SearchSpace,
) -> None:
    trial = optuna.trial.FixedTrial(
        {"architecture": "cnn_lstm", "learning_rate": 1e-3, "cnn_lstm.lstm_units": 8}
        | {"cnn_lstm.filters": 9}
    )
    hyperparameters = conditional.suggest(trial)
    assert (hyperparameters.lstm_units, hyperparameters.filters, hyperparameters.pool_size) == (
        8,
        9,
        2,
    )
    assert conditional.values(trial.params) == {
        "learning_rate": 1e-3,
        "lstm_units": 8,
        "filters": 9,
        "pool_size": 2,
    }
    assert conditional.parameter_names == ("learning_rate", "lstm_units", "filters", "pool_size")
    assert conditional.varied_names == conditional.parameter_names


def test_what_follows_from_the_architecture_is_not_varied() -> None:
    space = SearchSpace.from_mapping(
        {
            "name": "s",
            "shared": {"batch_size": 32, "learning_rate": {"float": [1e-3, 1e-2]}, "max_length": 9},
            "architectures": {
                "lstm": {"lstm_units": 8},
                "cnn_lstm": {"lstm_units": {"int": [8, 16]}, "filters": 4, "max_length": 20},
            },
        },
        "s.yaml",
    )
    assert space.varied_names == ("learning_rate", "lstm_units")


def test_a_parameter_varied_by_one_architecture_keeps_its_name(conditional: SearchSpace) -> None:
    assert conditional.study_name("cnn_bilstm", "pool_size") == "pool_size"
    assert conditional.study_name("lstm", "learning_rate") == "learning_rate"
    assert conditional.study_name("lstm", "lstm_units") == "lstm.lstm_units"


def test_baselines_are_enqueued_under_the_names_of_the_study(conditional: SearchSpace) -> None:
    assert list(conditional.baseline_parameters()) == [
        {
            "architecture": "cnn_bilstm",
            "learning_rate": 1e-3,
            "cnn_bilstm.filters": 64,
            "pool_size": 3,
        }
    ]


def test_one_study_samples_every_architecture_of_a_conditional_space(
    conditional: SearchSpace,
) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = {conditional.suggest(study.ask()).architecture for _ in range(30)}
    assert seen == {"lstm", "cnn_lstm", "cnn_bilstm"}


def test_values_of_a_trial_that_has_sampled_nothing_are_empty(conditional: SearchSpace) -> None:
    assert conditional.values({}) == {}
    assert conditional.values({"architecture": "gone"}) == {}
    assert conditional.values({"architecture": "cnn_lstm"}) == {"pool_size": 2}


def test_a_custom_architecture_gets_its_own_parameters_and_ours_of_training() -> None:
    space = from_text(
        "name: s\nshared: {learning_rate: 1e-3}\n"
        "architectures: {'my_package.models:build': {depth: {int: [1, 4]}, lstm_units: 7, batch_size: 8}}"
    )
    trial = optuna.trial.FixedTrial({"architecture": "my_package.models:build", "depth": 3})
    hyperparameters = space.suggest(trial)
    assert hyperparameters.architecture == "my_package.models:build"
    assert dict(hyperparameters.custom) == {"depth": 3, "lstm_units": 7}
    assert (hyperparameters.batch_size, hyperparameters.learning_rate) == (8, 1e-3)


def test_own_parameters_win_over_shared_ones(conditional: SearchSpace) -> None:
    assert conditional.parameters("cnn_bilstm")["lstm_units"] == 16
    assert conditional.parameters("cnn_lstm")["lstm_units"] == IntRange(bounds=(8, 64))


def test_ranges_are_shown_in_words() -> None:
    space = from_text(
        with_parameter(
            "learning_rate: {float: [1e-4, 1e-2], log: true}, lstm_units: {int: [8, 64], step: 8}, "
            "pooling: {choice: [last, max]}"
        )
    )
    assert [str(parameter) for parameter in space.shared.values()] == [
        "0.0001 … 0.01 (log)",
        "8 … 64 (step 8)",
        "last | max",
    ]


def test_a_space_is_the_same_with_another_description_but_not_with_another_order(
    space: SearchSpace,
) -> None:
    content = space.to_mapping()
    reversed_order = dict(reversed(content["architectures"].items()))
    reworded = SearchSpace.from_mapping({**content, "description": "in other words"}, "reworded")
    reordered = SearchSpace.from_mapping({**content, "architectures": reversed_order}, "reordered")
    assert reworded.identity() == space.identity()
    assert reordered.to_mapping() == content
    assert reordered.identity() != space.identity()


def test_steps_of_a_float_range_are_met_in_spite_of_rounding() -> None:
    space = from_text(with_parameter("warmup: {float: [0, 0.3], step: 0.1}"))
    warmup = space.shared["warmup"]
    assert isinstance(warmup, FloatRange)
    assert warmup.contains(0.1 + 0.2 - 1e-12)
    assert not warmup.contains(0.15)
    assert not warmup.contains(math.nan)


def test_largest_configuration_has_every_size_at_its_upper_bound() -> None:
    space = SearchSpace.from_mapping(
        {
            "name": "s",
            "shared": {
                "lstm_units": {"int": [8, 64]},
                "batch_size": {"choice": [128, 32]},
                "pooling": {"choice": ["last", "max_mean", "max"]},
                "optimizer": {"choice": ["sgd", "adam"]},
                "embedding_size": 7,
            },
            "architectures": {"lstm": {}, "cnn_lstm": {"pool_size": {"int": [2, 5]}}},
        },
        "s.yaml",
    )
    (largest,) = space.largest("cnn_lstm")
    assert (largest.lstm_units, largest.batch_size, largest.embedding_size) == (64, 128, 7)
    assert (largest.pool_size, largest.pooling, largest.optimizer) == (2, "max_mean", "adam")


def test_parameters_of_ones_own_architecture_are_tried_at_every_end() -> None:
    space = SearchSpace.from_mapping(
        {
            "name": "s",
            "shared": {"batch_size": {"choice": [128, 32]}, "optimizer": "sgd"},
            "architectures": {
                "a.b:build": {"stride": {"int": [1, 4]}, "cell": {"choice": ["gru", "lstm"]}}
            },
        },
        "s.yaml",
    )
    largest = space.largest("a.b:build")
    assert [dict(each.custom) for each in largest] == [
        {"stride": 4, "cell": "gru"},
        {"stride": 1, "cell": "gru"},
        {"stride": 4, "cell": "lstm"},
    ]
    assert {each.batch_size for each in largest} == {128}


def test_every_word_of_ours_has_a_place_among_the_neediest() -> None:
    assert {name: set(words) for name, words in _NEEDIEST.items()} == {
        "optimizer": set(Optimizer),
        "pooling": set(Pooling),
    }


NAMED = """
name: named
architectures:
  my_models:build:
    rate: {choice: {none: null, some: 0.2}}
    layers: {choice: {small: [64], large: [64, 32]}}
    head: {choice: {plain: {}, deep: {units: [8, 4], bias: true}}}
"""


def test_a_choice_by_names_gives_an_own_architecture_values_of_any_kind() -> None:
    space = SearchSpace.from_text(NAMED, "named.yaml")
    names = {"rate": "none", "layers": "large", "head": "deep"}
    custom = space.hyperparameters("my_models:build", names).custom
    assert custom == {"rate": None, "layers": [64, 32], "head": {"units": [8, 4], "bias": True}}
    assert resolve("my_models:build", custom).model_dump(mode="json")["custom"] == custom
    trial = optuna.create_study().ask()
    suggested = space.suggest(trial).custom
    assert set(map(str, trial.params.values())) <= {
        *("my_models:build", "none", "some", "small", "large", "plain", "deep")
    }
    assert space.values(trial.params).keys() == suggested.keys()
    assert space.hyperparameters("my_models:build", space.values(trial.params)).custom == suggested
    assert SearchSpace.from_text(space.to_yaml(), "again") == space
    assert len(space.largest("my_models:build")) == 4
    assert str(space.parameters("my_models:build")["rate"]) == "none = null | some = 0.2"
