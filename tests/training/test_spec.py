"""When a trial is over, by the validation losses of its epochs."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.settings.hyperparameters import Hyperparameters, Schedule
from tuner.training.spec import TrialSpec


def epochs_of(losses: Sequence[float], patience: int | None, stop_after: int | None = None) -> int:
    """How many epochs a trial trains that would have these validation losses."""
    spec = TrialSpec(0, Hyperparameters(architecture="lstm"), 0, len(losses), stop_after, patience)
    return next(n for n in range(1, len(losses) + 1) if spec.is_over(losses[:n]))


@pytest.mark.parametrize(
    ("losses", "patience", "epochs"),
    [
        ((0.6, 0.5, 0.4, 0.3), 1, 4),
        ((0.6, 0.5, 0.55, 0.3), 1, 3),
        ((0.6, 0.5, 0.55, 0.3), 2, 4),
        ((0.6, 0.5, 0.55, 0.52, 0.3), 2, 4),  # lower than the last, not than the best
        ((0.6, 0.6, 0.5), 1, 2),  # equal is no better
        ((0.6, 0.7, 0.8), None, 3),
    ],
)
def test_a_trial_ends_after_so_many_epochs_without_a_lower_loss(
    losses: Sequence[float], patience: int | None, epochs: int
) -> None:
    assert epochs_of(losses, patience) == epochs


def test_a_fixed_number_of_epochs_is_a_limit_too() -> None:
    assert epochs_of((0.6, 0.5, 0.4), None, stop_after=2) == 2


@pytest.mark.parametrize(("schedule", "epochs"), [("cosine", 2), ("constant", 5)])
def test_a_decay_ends_with_a_fixed_number_of_epochs(schedule: str, epochs: int) -> None:
    asked = Hyperparameters(architecture="lstm", schedule=Schedule(schedule))
    assert TrialSpec(0, asked, seed=0, max_epochs=5, stop_after=2).schedule_epochs == epochs
    assert TrialSpec(0, asked, seed=0, max_epochs=5, patience=1).schedule_epochs == 5


@given(st.lists(st.floats(0, 5), min_size=1, max_size=12), st.integers(1, 12))
def test_it_ends_where_keras_would_end_it(losses: list[float], patience: int) -> None:
    """`keras.callbacks.EarlyStopping(monitor="val_loss")`, as Keras 3.15 writes it."""
    best, wait, ended = float("inf"), 0, len(losses)
    for epoch, loss in enumerate(losses, start=1):
        wait += 1
        if loss < best:
            best, wait = loss, 0
        elif wait >= patience:
            ended = epoch
            break
    assert epochs_of(losses, patience) == ended
