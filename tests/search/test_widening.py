"""A search that goes on in a wider space: the same trials in its terms, also where it is killed meanwhile."""

import dataclasses
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from support.ensembles import RECORD
from support.studies import open_study, run_trial

from tuner.errors import RunFolderError
from tuner.run import Run
from tuner.run.attributes import Attribute
from tuner.run.folder import RunFolder
from tuner.run.journal import CONFIRMATION, confirmation_in
from tuner.run.optuna_internals import enqueued_parameters, frozen, storage_of
from tuner.run.records import StudyReader
from tuner.run.trial_status import TrialStatus
from tuner.search.widening import distribution_of
from tuner.settings.objectives import Cost
from tuner.settings.ranges import Range
from tuner.settings.space import ARCHITECTURE, SearchSpace

NARROW = SearchSpace.from_mapping(
    {
        "name": "narrow",
        "shared": {
            "learning_rate": {"float": [1e-3, 1e-2], "log": True},
            "max_length": 40,
            "batch_size": {"choice": [32, 64]},
        },
        "architectures": {"lstm": {"lstm_units": {"int": [8, 64]}}, "cnn_lstm": {"lstm_units": 9}},
        "baselines": [
            {
                "architecture": "lstm",
                "learning_rate": 0.005,
                "batch_size": 64,
                "lstm_units": 33,
            }
        ],
    },
    "narrow.yaml",
)
WIDE = SearchSpace.from_mapping(
    {
        "name": "wide",
        "shared": {
            "learning_rate": {"float": [1e-4, 1e-1], "log": True},
            "max_length": {"choice": [20, 40, 80]},
            "batch_size": {"choice": [16, 32, 64]},
            "ngrams": {"choice": [0, 2]},
        },
        "architectures": {
            "bilstm": {"lstm_units": 5},
            "cnn_lstm": {"lstm_units": {"int": [9, 20]}},
            "lstm": {"lstm_units": {"int": [4, 128]}},
        },
        "baselines": [
            {
                "architecture": "lstm",
                "learning_rate": 0.005,
                "batch_size": 64,
                "lstm_units": 33,
                "max_length": 40,
                "ngrams": 0,
            },
            {
                "architecture": "bilstm",
                "learning_rate": 0.005,
                "batch_size": 16,
                "max_length": 20,
                "ngrams": 2,
            },
        ],
    },
    "wide.yaml",
)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "study.journal"


def searched(journal: Path, trials: int = 8, cost: Cost | None = None) -> StudyReader:
    """A search with trials of many kinds, the last of which runs, knows its architecture alone, and was interrupted."""
    study = open_study(journal, NARROW, cost=cost)
    for number in range(trials):
        status = (TrialStatus.COMPLETE, TrialStatus.PRUNED, TrialStatus.DIVERGED)[number % 3]
        run_trial(study, 0.5 + number / 100, 0.6, status=status)
    study.study.set_user_attr(Attribute.ENSEMBLE, RECORD.model_dump(mode="json"))
    study.study.set_user_attr(Attribute.GPU_MEMORY, {"gpu": 1})
    study.record_seconds(77.0)
    running = study.ask()
    running.suggest_categorical(ARCHITECTURE, list(NARROW.architectures))
    return StudyReader(study.study)


def reopened(journal: Path) -> StudyReader:
    return Run(journal.parent).reader


def test_a_search_that_was_not_widened_has_no_trials_from_elsewhere(journal: Path) -> None:
    searched(journal)
    assert reopened(journal).n_from_narrower == 0


def test_all_trials_are_there_in_terms_of_the_wider_space(journal: Path) -> None:
    before = searched(journal)
    content = journal.read_bytes()
    study = open_study(journal, WIDE)
    assert journal.read_bytes().startswith(content)  # copies in storage only ever grow
    assert "bilstm" in study.widened
    assert "max_length 20 | 40 | 80 in place of 40" in study.widened
    after = reopened(journal)
    assert after.space == WIDE
    assert study.seconds == 77.0
    assert after.ensemble == RECORD
    assert Attribute.GPU_MEMORY not in after.study.user_attrs  # of larger models it is another
    old, new = before.records(), after.records()
    for one, other in zip(old, new, strict=True):
        assert other.parameters.items() >= one.parameters.items()
        assert other.parameters["max_length"] == 40
        assert other.parameters["ngrams"] == 0
        assert other == dataclasses.replace(one, parameters=other.parameters)
        assert NARROW.hyperparameters(one.architecture, one.parameters) == WIDE.hyperparameters(
            other.architecture, other.parameters
        )
    waiting = after.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    assert [enqueued_parameters(each)[ARCHITECTURE] for each in waiting] == ["bilstm"]
    study.requeue_interrupted_trials()
    *_, again = after.study.get_trials(deepcopy=False)
    assert enqueued_parameters(again)["max_length"] == 40


def test_the_sampler_learns_from_all_trials(journal: Path) -> None:
    searched(journal, trials=12)
    study = open_study(journal, WIDE)
    drawn = []
    for _ in range(12):
        trial = study.ask()
        study.space.suggest(trial)
        drawn.append(trial.params)
        known = frozen(trial).distributions
        earlier = [
            each
            for each in study.study.get_trials(deepcopy=False)[:12]
            if each.params[ARCHITECTURE] == trial.params[ARCHITECTURE]
        ]
        # Optuna models parameters together where their distributions are the same.
        assert all(each.distributions == known for each in earlier)
        study.finish(trial, TrialStatus.FAILED, "x")
    assert {each[ARCHITECTURE] for each in drawn} >= {"lstm", "bilstm"}


@pytest.mark.parametrize("space", [NARROW, WIDE])
def test_distributions_are_those_that_optuna_makes_of_a_range(space: SearchSpace) -> None:
    study = optuna.create_study()
    for _ in range(10):
        trial = study.ask()
        space.suggest(trial)
        architecture = trial.params[ARCHITECTURE]
        for name, parameter in space.parameters(architecture).items():
            if isinstance(parameter, Range):
                found = frozen(trial).distributions[space.study_name(architecture, name)]
                assert found == distribution_of(parameter)


def test_it_widens_again_and_never_back(journal: Path) -> None:
    searched(journal)
    open_study(journal, WIDE)
    content = journal.read_bytes()
    with pytest.raises(RunFolderError, match=r"this one has no bilstm; choose another --name"):
        open_study(journal, NARROW)
    assert journal.read_bytes() == content
    wider: dict[str, Any] = WIDE.to_mapping()
    wider["shared"]["batch_size"] = {"choice": [16, 32, 64, 128]}
    study = open_study(journal, SearchSpace.from_mapping(wider, "w"))
    assert study.widened == ("batch_size 16 | 32 | 64 | 128 in place of 16 | 32 | 64",)
    assert study.study.study_name == "tuner 3"
    assert open_study(journal, SearchSpace.from_mapping(wider, "w")).widened == ()
    assert len(reopened(journal).records()) == 9
    assert reopened(journal).n_from_narrower == 9


def test_a_space_that_only_looks_different_is_no_wider_one(journal: Path) -> None:
    searched(journal)
    content: dict[str, Any] = NARROW.to_mapping()
    own = reversed(content["architectures"].items())
    other = SearchSpace.from_mapping({**content, "architectures": dict(own), "name": "other"}, "o")
    assert other.identity() != NARROW.identity()
    assert open_study(journal, other).widened == ()
    assert reopened(journal).n_from_narrower == 0
    assert list(reopened(journal).space.architectures) == list(other.architectures)


def test_two_objectives_keep_their_values_and_names(journal: Path) -> None:
    before = searched(journal, cost=Cost.WEIGHTS)
    after = open_study(journal, WIDE, cost=Cost.WEIGHTS).study
    assert after.metric_names == before.study.metric_names
    assert after.directions == before.study.directions
    values = [[each.values for each in study.trials[:8]] for study in (before.study, after)]
    assert values[0] == values[1]


def test_the_finalists_follow(journal: Path) -> None:
    before = searched(journal)
    finalists = optuna.create_study(
        storage=storage_of(before.study), study_name=CONFIRMATION, direction="maximize"
    )
    finalists.set_user_attr(Attribute.SPACE, NARROW.to_mapping())
    finalists.enqueue_trial(before.study.trials[0].params, user_attrs={Attribute.FINALIST: 0})
    trial = finalists.ask()
    NARROW.suggest(trial)
    finalists.tell(trial, 0.9)
    open_study(journal, WIDE)
    run = Run(journal.parent)
    found = run.confirmation
    assert found is not None
    assert found.study_name == "confirmation 2"
    (record,) = StudyReader(found).records()
    assert record.parameters == run.reader.records()[0].parameters
    assert found.trials[0].user_attrs == {Attribute.FINALIST: 0}
    assert found.trials[0].value == 0.9


# A study's name, two attributes, five trials, their number, a baseline, and last the space, with which it counts.
WRITES = 11


@pytest.mark.parametrize("left", range(WRITES))
def test_killed_meanwhile_it_counts_as_not_widened_and_widens_the_next_time(
    journal: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    before = searched(journal, trials=4).records()
    note = RunFolder(journal.parent).leaderboard_note
    note.parent.mkdir()
    note.write_text("{}")
    calls = iter(range(100))
    backend = optuna.storages.journal.JournalFileBackend

    def append(self: Any, logs: Any) -> None:
        if next(calls) == left:
            raise RuntimeError("killed")
        original(self, logs)

    original = backend.append_logs
    monkeypatch.setattr(backend, "append_logs", append)
    with pytest.raises(RuntimeError, match="killed"):
        open_study(journal, WIDE)
    monkeypatch.undo()
    assert not note.exists()  # it is about the study that is about to be replaced
    run = Run(journal.parent)
    assert run.reader.records() == before
    assert run.space == NARROW
    assert confirmation_in(run.storage, run.study) is None
    assert open_study(journal, NARROW).widened == ()
    size = journal.read_bytes().count(b"\n")
    study = open_study(journal, WIDE)
    assert journal.read_bytes().count(b"\n") == size + WRITES + (
        left > 0
    )  # what was left is removed first
    assert study.study.study_name == "tuner 2"
    assert len(reopened(journal).records()) == len(before)
