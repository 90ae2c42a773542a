"""The linear reference of finalists that learned from the validation split, too."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from support.confirmed_run import Confirmed

from tuner.data import Split
from tuner.errors import RunFolderError
from tuner.export.classifier import Classifier
from tuner.finalists.card import model_card
from tuner.finalists.choice import load_chosen
from tuner.finalists.confirmation import run_confirmation
from tuner.finalists.export import export_model
from tuner.finalists.model_choice import MembersOf, ModelChoice
from tuner.finalists.ranking import compared_with_reference, read_finalists
from tuner.finalists.reference_of_splits import ReferenceOfBoth
from tuner.finalists.request import Request, confirmation_config
from tuner.finalists.testing import evaluate_test
from tuner.run import Run
from tuner.run.events import SilentListener
from tuner.run.folder import RunFolder
from tuner.run.sessions import SessionEnd
from tuner.run.train_on import TrainOn, rows_of
from tuner.search.kept_reference import read_reference, read_reference_file
from tuner.training.linear_reference import train_reference

pytestmark = [pytest.mark.slow, pytest.mark.keras, pytest.mark.usefixtures("without_ray")]

TOGETHER = ModelChoice(with_reference=True)


def confirm_on_both(folder: RunFolder) -> SessionEnd:
    request = Request(top=1, seeds=2, train_on=TrainOn.BOTH)
    config = confirmation_config(folder, {})
    return run_confirmation(Run(folder.path), request, config, SilentListener()).reason


@pytest.fixture
def folder(run_once: Confirmed, tmp_path: Path) -> RunFolder:
    """A run folder that may be changed."""
    shutil.copytree(run_once.folder.path, tmp_path / "mine")
    return RunFolder(tmp_path / "mine")


def test_it_learns_from_what_they_have_learned_from(
    run_once: Confirmed, folder: RunFolder, tmp_path: Path
) -> None:
    dataset, run = run_once.dataset, Run(folder.path)
    assert load_chosen(run, TOGETHER).train_on is TrainOn.TRAIN
    assert confirm_on_both(folder) is SessionEnd.BUDGET_USED
    of_search, of_both = (
        read_reference(folder, dataset),
        read_reference_file(folder.reference_of_both, dataset),
    )
    assert of_search is not None
    assert of_both is not None
    learned = rows_of(dataset, TrainOn.BOTH)
    assert len(learned) == sum(len(dataset.splits[s]) for s in (Split.TRAIN, Split.VALIDATION))
    again = train_reference(learned, 2, longest=3)
    held_out = dataset.splits[Split.CONFIRMATION]
    assert (again.probabilities_of(held_out) == of_both.probabilities).all()
    assert (of_both.probabilities != of_search.probabilities).any()

    run = Run(folder.path)
    (finalist,) = read_finalists(run, dataset)
    assert finalist.reference is not None
    assert (finalist.reference.probabilities == of_both.probabilities).all()
    compared = compared_with_reference(finalist, folder, dataset, run.space.metric)
    assert compared is not None
    chosen = load_chosen(run, TOGETHER)
    assert chosen.reference is not None
    assert (chosen.train_on, chosen.reference.train_on) == (TrainOn.BOTH, TrainOn.BOTH)
    assert (chosen.reference.model.probabilities == of_both.probabilities).all()
    assert "trained on the training and the validation split (on" in model_card(chosen)
    assert Classifier(export_model(chosen, tmp_path / "model")).description.members[-1].is_reference
    evaluation = evaluate_test(chosen)
    assert evaluation.reference is not None
    test = dataset.splits[Split.TEST]
    right = again.probabilities_of(test).argmax(axis=1) == test.labels
    assert evaluation.reference.accuracy == pytest.approx(np.mean(right))
    trials = load_chosen(run, TOGETHER.model_copy(update={"members": MembersOf.TRIALS}))
    assert trials.reference is not None
    assert trials.reference.train_on is TrainOn.TRAIN


def test_a_run_that_was_confirmed_before_has_the_searchs_until_it_is_confirmed_again(
    folder: RunFolder,
) -> None:
    confirm_on_both(folder)
    folder.reference_of_both.unlink()
    chosen = load_chosen(Run(folder.path), TOGETHER)
    assert chosen.reference is not None
    assert (chosen.train_on, chosen.reference.train_on) == (TrainOn.BOTH, TrainOn.TRAIN)
    assert "trained on the training split (on" in model_card(chosen)
    assert confirm_on_both(folder) is SessionEnd.BUDGET_WAS_USED  # nothing else is trained
    again = load_chosen(Run(folder.path), TOGETHER)
    assert again.reference is not None
    assert again.reference.train_on is TrainOn.BOTH


def test_it_is_trained_in_a_thread_and_written_by_the_driver(
    run_once: Confirmed, folder: RunFolder
) -> None:
    dataset, place = run_once.dataset, folder.reference_of_both
    beside = ReferenceOfBoth(folder, dataset)
    beside.wait()  # nothing was started
    beside.start()
    assert beside._training._thread is not None
    beside._training._thread.join()
    beside.start()
    assert not place.exists()
    assert not beside.collect()  # no trial's figures change by it
    written = read_reference_file(place, dataset)
    beside.wait()
    again = ReferenceOfBoth(folder, dataset)
    again.start()
    assert again._training._thread is None  # it is there
    place.unlink()
    ReferenceOfBoth(folder, dataset).ensure()
    anew = read_reference_file(place, dataset)
    assert written is not None
    assert anew is not None
    assert (anew.probabilities == written.probabilities).all()


def test_a_confirmation_trains_it_beside_its_trials(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ReferenceOfBoth, "ensure", lambda self: None)  # what its end would do
    confirm_on_both(folder)
    assert folder.reference_of_both.is_file()


def test_where_the_search_kept_none_there_is_none(folder: RunFolder) -> None:
    folder.reference.unlink()
    confirm_on_both(folder)
    assert not folder.reference_of_both.exists()
    with pytest.raises(RunFolderError, match=r"reference\.npz: the linear reference is missing"):
        load_chosen(Run(folder.path), TOGETHER)
