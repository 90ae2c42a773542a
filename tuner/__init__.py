"""Finds good LSTM-family classifiers for your sequences: Optuna decides, Ray Tune executes, Keras trains.

    import tuner

    run = tuner.search("seed", data="reviews.csv", trials=30)
    run.leaderboard()

Importing this loads nothing heavy.
"""

from tuner.api import search
from tuner.run import Run

__all__ = ["Run", "search"]
