"""The two kinds of training, for tests of what both must do. TensorFlow is imported for the real one only."""

from collections.abc import Callable

import pytest

from tuner.training.spec import TrainsByEpoch
from tuner.training.toy import ToyTraining

BOTH = [pytest.param("keras", marks=pytest.mark.keras), "toy"]


def training_of(kind: str) -> Callable[..., TrainsByEpoch]:
    """What makes a training of this kind."""
    if kind == "toy":
        return ToyTraining
    from tuner.training.trial import Training

    return Training
