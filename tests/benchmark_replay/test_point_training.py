"""A real training, measured inside its epochs."""

import time
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from benchmarks.replay.recording import Job, Plan

from tuner.data import EncodedSequences
from tuner.settings.hyperparameters import resolve
from tuner.settings.space import SearchSpace

pytestmark = pytest.mark.keras


def sequences(n: int, seed: int) -> EncodedSequences:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n).astype(np.int32)
    tokens = np.stack([np.full(n, 1), 3 + labels, rng.integers(5, 20, n)], axis=1)
    return EncodedSequences(
        tokens.astype(np.int32).ravel(), np.arange(0, 3 * n + 1, 3, dtype=np.int64), labels
    )


def training_at(points: Sequence[Fraction]):
    from benchmarks.replay.point_training import PointTraining

    settings = {"vocabulary_size": 20, "lstm_units": 4, "batch_size": 8, "max_length": 5}
    job = Job(0, 0, {}, resolve("lstm_recurrent_dropout", settings))
    return PointTraining(
        job.spec(2),
        points=points,
        clock=time.process_time,
        train=sequences(72, 1),
        validation=sequences(30, 2),
        n_classes=2,
    )


def test_training_is_measured_at_its_points_and_stays_the_same() -> None:
    space = SearchSpace.from_mapping(
        {"name": "made", "max_epochs": 2, "architectures": {"lstm": {}}}, "made"
    )
    points = Plan("made", space, "made", "words", 72, 30, 1, 1).points
    at_steps = []
    training = training_at(points)
    evaluate = training._evaluate

    def noted(epoch: int):
        at_steps.append(training._steps)
        return evaluate(epoch)

    training._evaluate = noted
    results = list(training.epochs())
    measured = training.measured()
    plain = training_at([Fraction(1, 2), Fraction(1)])
    expected = list(plain.epochs())

    assert at_steps == [1, 2, 4, 6, 8, 9, 10, 12, 14, 16, 18]  # of 18: 1/27, 1/9, … and 1/2
    assert [each.val_loss for each in results] == [each.val_loss for each in expected]
    ends = [points.index(Fraction(1, 2)), points.index(Fraction(1))]
    np.testing.assert_array_equal(measured.answers[ends], plain.measured().answers)
    assert measured.answers.shape == (11, 30)
    assert measured.steps == 18
    assert all(np.diff(measured.training_s) >= 0)
    assert sum(result.seconds for result in results) > measured.training_s[-1]
