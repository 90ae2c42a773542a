"""The configurations that `tuner train` reads, before anything is trained."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.studies import open_study, run_trial

from tuner.data import load_dataset
from tuner.errors import DataError, UsageError
from tuner.run.folder import RunFolder
from tuner.run.run_file import write_run_file
from tuner.run.trial_status import TrialStatus
from tuner.settings.config import make_config
from tuner.settings.space import SearchSpace
from tuner.training.single import configurations
from tuner.training.single.configurations import read_configurations
from tuner.training.single.settings import Settings, make_settings
from tuner.training.single.training import load_data
from tuner.training.spec import derive_seed


@pytest.fixture
def run(space: SearchSpace, sentences: Path, tmp_path: Path) -> str:
    """A run of a complete trial, a pruned one and one that runs, recorded with two CPUs."""
    config = make_config(
        {
            "space": space,
            "data": {"source": str(sentences), "seed": 4},
            "out": str(tmp_path),
            "name": "mine",
            "seed": 3,
            "cpus_per_trial": 2,
        }
    )
    folder = RunFolder(config.folder)
    study = open_study(folder.journal, space, seed=3)
    write_run_file(folder, config, "the data's fingerprint")
    run_trial(study, 0.6, 0.7, 0.8)
    run_trial(study, 0.5, 0.4, status=TrialStatus.PRUNED)
    study.space.suggest(study.ask())
    return str(config.folder)


def read(*words: str, **settings: Any) -> list[Any]:
    return read_configurations(words, Settings(**settings))


def test_parameters_beside_each_other_are_one_configuration_on_top_of_the_defaults() -> None:
    (one,) = read("architecture=cnn_lstm", "lstm_units=64", "learning_rate=1e-2", "pooling=max")
    asked = one.spec.hyperparameters
    assert (asked.architecture, asked.lstm_units, asked.learning_rate) == ("cnn_lstm", 64, 0.01)
    assert (asked.pooling, asked.filters, asked.batch_size) == ("max", 32, 64)
    assert (one.epochs, one.spec.max_epochs, one.data.source) == (9, 9, "imdb-train")
    assert one.spec.seed == derive_seed(0, "trial 0")  # as a search's first trial
    assert (one.cpus, one.gpus, one.row) == (1, 0, None)


def test_a_gpu_of_this_machine_is_used_unasked_unless_a_row_beside_it_had_none(
    monkeypatch: pytest.MonkeyPatch, run: str
) -> None:
    monkeypatch.setattr(configurations, "default_gpus", lambda: "auto")
    assert [(each.gpus, each.are_gpus_asked) for each in read("lstm_units=8")] == [(1, False)]
    assert read("lstm_units=8", gpus=0)[0].gpus == 0
    row, other = read(f"{run}:0", "architecture=lstm lstm_units=8", cpus=1)
    assert (row.gpus, other.gpus) == (1, 1)
    row = replace(row, gpus=0.0, are_gpus_asked=True)
    found = configurations._with_default_gpus([row, other])
    assert [each.gpus for each in found] == [0, 0]


def test_configurations_in_quotes_are_several() -> None:
    three = read("lstm_units=8", "architecture=bilstm lstm_units=9", "batch_size=32")
    found = [(each.title, dict(each.parameters)) for each in three]
    assert found == [("lstm", {"lstm_units": 8, "batch_size": 32}), ("bilstm", {"lstm_units": 9})]


def test_a_users_own_architecture_takes_any_parameter() -> None:
    (one,) = read(
        "architecture=my.models:build", "units=3", "rate=0.5", "deep=true", "batch_size=8"
    )
    assert one.spec.hyperparameters.custom == {"units": 3, "rate": 0.5, "deep": True}
    assert one.spec.hyperparameters.batch_size == 8


def test_settings_are_for_parameters_too() -> None:
    data = {"source": "rotten-tomatoes", "sample": 100}
    (one,) = read("lstm_units=8", data=data, epochs=2, seed=5, cpus=3, gpus=0.5)
    assert (one.data.source, one.data.sample, one.data.seed) == ("rotten-tomatoes", 100, 0)
    assert (one.epochs, one.spec.seed) == (2, derive_seed(5, "trial 0"))
    assert (one.cpus, one.gpus) == (3, 0.5)


def test_a_row_has_the_settings_of_its_search(run: str, space: SearchSpace) -> None:
    complete, pruned = read(f"{run}:0", f"{run}:1")
    assert complete.spec.hyperparameters.lstm_units == 32  # the baseline
    assert (complete.epochs, complete.spec.max_epochs) == (3, 9)  # its patience ended it
    assert (pruned.epochs, pruned.spec.max_epochs) == (2, 9)  # the schedule knows all of them
    assert (complete.spec.seed, complete.data.seed, complete.cpus) == (7, 4, 2)  # as it was noted
    assert complete.row.fingerprint == "the data's fingerprint"
    assert complete.row.is_unchanged


def test_a_row_with_another_seed_or_length_is_another_training(run: str) -> None:
    (seeded,) = read(f"{run}:1", seed=8)
    assert seeded.spec.seed == derive_seed(8, "trial 1")
    assert (seeded.data.seed, seeded.epochs) == (4, 2)
    (longer,) = read(f"{run}:1", epochs=4)
    assert (longer.epochs, longer.spec.max_epochs) == (4, 4)
    assert not seeded.row.is_unchanged
    assert not longer.row.is_unchanged


def test_a_row_is_not_trained_with_other_word_vectors(
    space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    vectors = tmp_path / "words.vec"
    vectors.write_text("film 1 2\n")
    data = {"source": str(sentences), "vectors": str(vectors)}
    config = make_config({"space": space, "data": data, "out": str(tmp_path), "name": "mine"})
    folder = RunFolder(config.folder)
    study = open_study(folder.journal, space)
    write_run_file(folder, config, load_dataset(config.data).fingerprint)
    run_trial(study, 0.6)
    (row,) = read(f"{config.folder}:0")
    assert load_data(row).vectors is not None
    vectors.write_text("film 30 40\n")
    with pytest.raises(DataError, match=r"words\.vec: other word vectors than those that .*mine"):
        load_data(row)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lstm_unit=3"], "lstm_unit: no such parameter; did you mean lstm_units?"),
        (["lstm_units=x"], "lstm_units: must be a number, got 'x'"),
        (["lstm_units=0"], "must be greater than or equal to 1, got 0"),
        (["filters=3"], "lstm takes no filters; write another architecture"),
        (["architecture=lstmm"], "architecture=lstmm: no such architecture; did you mean lstm?"),
        (["lstm_units=3", "lstm_units=4"], "given twice; of several configurations write each"),
        (["lstm_units=[3,4]"], "must be one value, such as lstm_units=64"),
        (["lstm_units={int:[3,4]}"], "must be one value, such as lstm_units=64"),
        (["lstm"], "did you mean architecture=lstm?"),
        (["nonsense"], "must be a row .* or parameters"),
        ([""], "must be a row .* or parameters"),
        (["runs/none:1"], "runs/none: no such run folder"),
    ],
)
def test_a_row_that_cannot_be_trained_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(*words)


def test_rows_that_cannot_be_trained_are_refused(run: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no such trial in this run; its trials are 0 to 2"):
        read(f"{run}:3")
    with pytest.raises(UsageError, match="this trial has not ended"):
        read(f"{run}:2")
    with pytest.raises(UsageError, match=f"names no row; write {run}:17"):
        read(run)
    with pytest.raises(UsageError, match="--data: a row is trained on its run's data"):
        read(f"{run}:0", data={"source": "imdb"})
    with pytest.raises(UsageError, match="different shares of their machine"):
        read(f"{run}:0", "architecture=lstm lstm_units=3")
    assert len(read(f"{run}:0", "architecture=lstm lstm_units=3", cpus=1)) == 2
    file = tmp_path / "mine" / "run.yaml"
    file.write_text(file.read_text().replace("trainer: keras", "trainer: toy"))
    with pytest.raises(UsageError, match="this run was a rehearsal"):
        read(f"{run}:0")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 0}, "--epochs: must be greater than or equal to 1, got 0"),
        ({"seed": -1}, "--seed: must be greater than or equal to 0, got -1"),
        ({"gpus": "some"}, "--gpus: must be a number or auto, got 'some'"),
        ({"sample": 0}, "--sample: must be greater than or equal to 1, got 0"),
        ({"tokens": "bytes"}, "--tokens: must be 'words'"),
    ],
)
def test_settings_out_of_bounds_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_settings(given)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["{run}:0", "lstm_units=8"], r"^lstm_units=8: a row \(.*:0\) is trained as it was"),
        (["lstm_units"], "^lstm_units: has no value; write lstm_units=VALUE"),
    ],
)
def test_words_that_are_no_configuration_are_refused_with_advice(
    run: str, words: list[str], problem: str
) -> None:
    with pytest.raises(UsageError, match=problem):
        read(*(word.format(run=run) for word in words))


def test_data_of_a_row_is_refused_by_the_flag_that_was_typed(run: str) -> None:
    settings = make_settings({"sample": "5", "data": None})
    with pytest.raises(UsageError, match=r"^--sample: a row is trained on its run's"):
        read_configurations([f"{run}:0"], settings)
