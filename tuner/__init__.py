"""Finds good LSTM-family classifiers for your sequences: Optuna decides, Ray Tune executes, Keras trains.

    import tuner

    run = tuner.search("seed", data="reviews.csv", trials=30)
    run.leaderboard()
    tuner.confirm(run)
    tuner.load_model(tuner.export(run)).predict(["a text"])

Importing this loads nothing heavy.
"""

import sys

# Python puts the current folder first for `python -m tuner`: a `random.py` or `keras.py` there would be imported.
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    del sys.path[0]

from typing import TYPE_CHECKING

# Before the functions of the same names: loading a submodule would bind its name here once more.
import tuner.export
import tuner.search  # noqa: F401
from tuner.api import confirm, export, load_model, search, test
from tuner.run import Run

if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name: str) -> str:
        """The installed version, looked up when it is asked for."""
        if name != "__version__":
            raise AttributeError(f"module 'tuner' has no attribute {name!r}")
        from importlib.metadata import version

        return version("sequence-tuner")


__all__ = ["Run", "__version__", "confirm", "export", "load_model", "search", "test"]
