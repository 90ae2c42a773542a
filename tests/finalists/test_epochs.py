"""The number of epochs that is fixed before a finalist learns from the validation split, too."""

from collections.abc import Sequence
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState, create_trial
from support.run_files import record

from tuner.finalists.epochs import best_epochs_on_train, fixed_epochs
from tuner.run.attributes import Attribute
from tuner.run.requested_trainings import RequestedTraining
from tuner.run.train_on import TrainOn
from tuner.run.trial_status import TrialStatus

STOPPED = record(9, status=TrialStatus.PRUNED, best_epoch=1)
SEARCH = [
    *(record(number, best_epoch=epoch) for number, epoch in enumerate((3, 4, 4, 9))),
    record(4, architecture="cnn_lstm", best_epoch=2),
    record(5, status=TrialStatus.DIVERGED, best_epoch=1),
    record(6, status=TrialStatus.RUNNING, best_epoch=1),
    STOPPED,
]


@pytest.mark.parametrize(("fresh", "epochs"), [((2, 2, 7), 2), ((2, 3), 3), ((5,), 5)])
def test_fresh_seeds_decide_where_there_are_some(fresh: Sequence[int], epochs: int) -> None:
    assert fixed_epochs(STOPPED, SEARCH, fresh, 9) == epochs


def test_without_them_complete_trials_of_the_architecture_decide() -> None:
    assert fixed_epochs(STOPPED, SEARCH, [], 9) == 4
    assert fixed_epochs(record(4, architecture="cnn_lstm"), SEARCH, [], 9) == 2


def test_of_an_architecture_without_complete_trials_all_others_decide() -> None:
    other = record(7, architecture="bilstm", status=TrialStatus.PRUNED, best_epoch=1)
    assert fixed_epochs(other, [*SEARCH, other], [], 9) == 4


def test_without_any_complete_trial_it_trains_all_epochs() -> None:
    assert fixed_epochs(STOPPED, [STOPPED], [], 9) == 9


def test_fresh_seeds_on_train_are_those_of_the_finalist_that_left_a_model() -> None:
    confirmation = optuna.create_study()

    def end(training: RequestedTraining, **attributes: Any) -> None:
        trial = create_trial(
            state=TrialState.COMPLETE, value=0.5, user_attrs={**training.attributes, **attributes}
        )
        confirmation.add_trial(trial)

    model = {str(Attribute.HELD_OUT): {"epoch": 3}}
    end(RequestedTraining(9, 1, None, TrainOn.TRAIN), **model)
    end(RequestedTraining(9, 2, None, TrainOn.TRAIN))  # diverged
    end(RequestedTraining(9, 3, 5, TrainOn.BOTH), **model)
    end(RequestedTraining(8, 4, None, TrainOn.TRAIN), **model)
    assert best_epochs_on_train(confirmation, 9) == [3]
    assert best_epochs_on_train(None, 9) == []
