"""A search whose validation rotates: from real trainings to a tested and an exported model."""

from pathlib import Path

import numpy as np
import pytest
from support.grouped_data import write_groups
from support.searches import make
from support.watching import Recorder

from tuner.data import Dataset, Split, load_dataset
from tuner.data.rotation import parts_of, rotated
from tuner.errors import ConfigError, RunFolderError
from tuner.execution.search import run_search
from tuner.finalists.card import model_card
from tuner.finalists.choice import load_chosen
from tuner.finalists.confirmation import run_confirmation
from tuner.finalists.model_choice import MembersOf, ModelChoice
from tuner.finalists.ranking import read_finalists
from tuner.finalists.request import Request, confirmation_config
from tuner.finalists.testing import evaluate_test
from tuner.run import Run
from tuner.run.attributes import Attribute
from tuner.run.events import EventKind, SilentListener
from tuner.run.train_on import TrainOn, rows_of
from tuner.search.kept_reference import read_reference
from tuner.settings.config import SearchConfig
from tuner.settings.space import SearchSpace
from tuner.training.linear_reference import train_reference
from tuner.training.row_clusters import error_of_mean
from tuner.training.single.configurations import read_configurations
from tuner.training.single.settings import Settings
from tuner.training.single.training import load_data, train
from tuner.training.trained_model_file import from_bytes

pytestmark = [pytest.mark.slow, pytest.mark.keras, pytest.mark.usefixtures("without_ray")]

SPACE = SearchSpace.from_mapping(
    {
        "name": "real",
        "max_epochs": 2,
        "shared": {
            "learning_rate": {"float": [1e-3, 3e-2], "log": True},
            "lstm_units": 8,
            "embedding_size": 8,
        },
        "architectures": {"lstm": {}},
    },
    "real.yaml",
)


def config_of(sentences: Path, out: Path, **settings: object) -> SearchConfig:
    of_one = {"trials": 5, "ensemble": 3, "pruner": "none", "patience": "off", "name": "x"}
    return make(
        SPACE, sentences, out, trainer="keras", rotate_validation=True, **{**of_one, **settings}
    )


@pytest.fixture
def searched(sentences: Path, tmp_path: Path) -> tuple[SearchConfig, Run, Dataset, Recorder]:
    config, recorder = config_of(sentences, tmp_path), Recorder()
    return config, run_search(config, recorder).run, load_dataset(config.data), recorder


def test_each_trial_is_scored_on_a_part_of_its_own_and_learns_from_the_rest(
    searched: tuple[SearchConfig, Run, Dataset, Recorder],
) -> None:
    config, run, dataset, recorder = searched
    parts = parts_of(dataset)
    n_parts = int(parts.max()) + 1
    assert run.study.user_attrs[Attribute.VALIDATION_PARTS] == n_parts == 8
    (note,) = (event.error for event in recorder.events if event.kind is EventKind.NOTE)
    assert note is not None
    assert note.startswith("validation rotates over 8 parts of about 12 rows")
    for record in run.reader.records():
        own = rotated(dataset, record.number).splits[Split.VALIDATION]
        kept = from_bytes(run.files.trial_model(record.number).read_bytes(), "")
        assert kept.validation is not None
        is_right = kept.validation.argmax(axis=1) == own.labels
        assert record.score == pytest.approx(is_right.mean(), abs=1e-6)
        assert record.part == record.number

        (row,) = read_configurations([f"{run.folder}:{record.number}"], Settings())
        again = train(row, load_data(row), lambda _: None)
        assert again.best is not None
        assert again.best.val_loss == record.curve[again.best.epoch]["val_loss"]

    ensemble = run.ensemble
    assert ensemble is not None
    losses = {
        each.number: each.curve[each.best_epoch or 0]["val_loss"] for each in run.reader.records()
    }
    best, *others = ensemble.members
    left = sorted(set(losses) - {best}, key=losses.__getitem__)
    assert set(others) == set(left[:2])

    continued = run_search(config.model_copy(update={"trials": 6})).run
    assert len(continued.reader.records()) == 6
    fixed = config.model_copy(update={"rotate_validation": False})
    with pytest.raises(
        RunFolderError, match="belongs to a search with --rotate-validation; choose"
    ):
        run_search(fixed)


def test_the_reference_learns_from_all_parts_and_finalists_and_trials_are_compared_with_it(
    searched: tuple[SearchConfig, Run, Dataset, Recorder],
) -> None:
    _, run, dataset, _ = searched
    expected = train_reference(rows_of(dataset, TrainOn.BOTH), 2, longest=3)
    kept = read_reference(run.files, dataset)
    assert kept is not None
    held_out = dataset.splits[Split.CONFIRMATION]
    assert (kept.probabilities == expected.probabilities_of(held_out)).all()
    of_train = train_reference(dataset.splits[Split.TRAIN], 2, longest=3)
    assert (kept.probabilities != of_train.probabilities_of(held_out)).any()
    of_test = expected.probabilities_of(dataset.splits[Split.TEST])
    is_right = of_test.argmax(axis=1) == dataset.splits[Split.TEST].labels
    choice = ModelChoice(members=MembersOf.TRIALS, with_reference=True)
    chosen = load_chosen(run, choice)
    assert run.ensemble is not None
    assert tuple(record.number for record, _ in chosen.members) == run.ensemble.members
    assert chosen.reference is not None
    assert chosen.reference.train_on is TrainOn.BOTH
    evaluation = evaluate_test(chosen)
    assert evaluation.reference is not None
    assert evaluation.reference.accuracy == pytest.approx(np.mean(is_right))
    card = model_card(chosen)
    assert "scored on one of several parts of the training and validation rows, by turns" in card
    assert "trained on the training and the validation split (on" in card

    confirmed = confirm(run, Request(top=1, seeds=2))
    (first,) = read_finalists(confirmed, dataset)
    assert first.gap.of_selection is None  # the search scored it on other rows

    confirmed = confirm(run, Request(top=1, seeds=1, train_on=TrainOn.BOTH))
    assert not confirmed.files.reference_of_both.exists()  # the search's is that already
    finalist = load_chosen(confirmed, ModelChoice(with_reference=True))
    assert finalist.reference is not None
    assert finalist.reference.train_on is TrainOn.BOTH


def confirm(run: Run, request: Request) -> Run:
    config = confirmation_config(run.files, {})
    return run_confirmation(Run(run.folder), request, config, SilentListener()).run


def test_the_error_of_a_score_is_that_over_the_groups_of_its_part(
    tmp_path: Path,
) -> None:
    data = {"source": str(write_groups(tmp_path)), "group_column": "customer"}
    config = config_of(tmp_path, tmp_path, data=data, trials=2, ensemble=2, no_reference=True)
    run = run_search(config).run
    board = run.leaderboard().set_index("trial")
    dataset = load_dataset(config.data)
    parts, clusters = parts_of(dataset), dataset.clusters_of(Split.TRAIN)
    kept = from_bytes(run.files.trial_model(1).read_bytes(), "")
    assert kept.validation is not None
    is_right = kept.validation.argmax(axis=1) == dataset.splits[Split.TRAIN].labels[parts == 1]
    expected = error_of_mean(is_right.astype(np.float64), clusters[parts == 1])
    assert board["score_error"][1] == pytest.approx(expected, abs=1e-6)
    other = config.model_copy(
        update={"data": config.data.model_copy(update={"group_column": None})}
    )
    with pytest.raises(RunFolderError, match="a search with other groups of its training rows"):
        run_search(other)


def test_data_that_make_no_further_part_are_refused(tmp_path: Path) -> None:
    """All training rows are of one customer, more than the validation split has."""
    rows = ["text,label,customer,split"]
    for split, many in (("train", 60), ("validation", 20), ("confirmation", 20), ("test", 20)):
        rows += [f"{split} {n},{'ab'[n % 2]},{split},{split}" for n in range(many)]
    source = tmp_path / "customers.csv"
    source.write_text("\n".join(rows) + "\n", encoding="utf-8")
    data = {"source": str(source), "group_column": "customer"}
    with pytest.raises(ConfigError, match="--rotate-validation: no further part of the rows of"):
        run_search(config_of(source, tmp_path, data=data))
    assert not (tmp_path / "x").exists()
