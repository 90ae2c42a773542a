"""Loads what `tuner export` wrote."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuner.finalists.classifier import Classifier


def load_model(path: str | Path) -> "Classifier":
    """The model in a folder that `tuner export` made: raw text in, class probabilities out.

    Raises:
        RunFolderError: there is none, or it is damaged.
    """
    from tuner.finalists.classifier import Classifier

    return Classifier(path)
