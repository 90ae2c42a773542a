"""Finds good LSTM-family classifiers for your sequences: Optuna decides, Ray Tune executes, Keras trains.

    import tuner

    run = tuner.search("seed", data="reviews.csv", trials=30)
    run.leaderboard()
    tuner.load_model("runs/seed-reviews/model").predict(["a text"])

Importing this loads nothing heavy.
"""

from tuner.api import load_model, search
from tuner.run import Run

__all__ = ["Run", "load_model", "search"]
