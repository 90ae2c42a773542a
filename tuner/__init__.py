"""Finds good LSTM-family classifiers for your sequences: Optuna decides, Ray Tune executes, Keras trains.

    import tuner

    run = tuner.search("seed", data="reviews.csv", trials=30)
    run.leaderboard()
    tuner.confirm(run)
    tuner.load_model(tuner.export(run)).predict(["a text"])

Importing this loads nothing heavy.
"""

# Before the functions of the same names: loading a submodule would bind its name here once more.
import tuner.export
import tuner.search  # noqa: F401
from tuner.api import confirm, export, load_model, search, test
from tuner.run.run import Run

__all__ = ["Run", "confirm", "export", "load_model", "search", "test"]
