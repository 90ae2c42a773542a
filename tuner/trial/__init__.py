"""One trial: a model trained epoch by epoch. Knows no Ray and no Optuna; what is imported here loads no Keras."""

from tuner.trial.spec import EpochResult, TrainsByEpoch, TrialSpec

__all__ = ["EpochResult", "TrainsByEpoch", "TrialSpec"]
