"""Finds good LSTM-family classifiers for your sequences: Optuna decides, Ray Tune executes, Keras trains.

    import tuner

    run = tuner.search("seed", data="reviews.csv", trials=30)
    run.leaderboard()
    tuner.confirm(run)
    tuner.load_model(tuner.export(run)).predict(["a text"])

Importing this loads nothing heavy.
"""

from tuner.api.finalists import confirm, export, test
from tuner.api.model import load_model
from tuner.api.search import search
from tuner.run import Run

__all__ = ["Run", "confirm", "export", "load_model", "search", "test"]
