"""Temperature scaling: probabilities made as sure as they are right (Guo et al., 2017).

One parameter is fitted on sequences that the model did not learn from. It changes no label, because all classes of a
sequence keep their order. Must not import Ray or Keras.
"""

import numpy as np
from numpy.typing import NDArray

_SMALLEST = 1e-7  # as for losses
_LARGEST = 5.0  # of the temperature and of its inverse
_FEWEST = 100  # sequences
_FEWEST_WRONG = 10  # of them; with fewer, a sure model would become surer by chance


def fit_temperature(probabilities: NDArray[np.float32], labels: NDArray[np.int32]) -> float:
    """The temperature of the lowest loss; 1 where there are too few sequences or errors to fit it by.

    Args:
        probabilities: `(n, n_classes)`, of a model or of the average of several.
        labels: `(n,)`.
    """
    wrong = int((probabilities.argmax(axis=1) != labels).sum())
    if len(labels) < _FEWEST or wrong < _FEWEST_WRONG:
        return 1.0
    return best_temperature(probabilities, labels)


def best_temperature(probabilities: NDArray[np.float32], labels: NDArray[np.int32]) -> float:
    """The temperature of the lowest loss on these sequences, however few they are.

    Args:
        probabilities, labels: as in `fit_temperature`; at least one.
    """
    logs = np.log(np.clip(probabilities.astype(np.float64), _SMALLEST, 1.0))
    of_true = logs[np.arange(len(labels)), labels].mean()

    def slope(power: float) -> float:
        """Of the loss, which is convex in the inverse of the temperature."""
        return float((_softmax(power * logs) * logs).sum(axis=1).mean() - of_true)

    low, high = 1 / _LARGEST, _LARGEST
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return round(2 / (low + high), 4)


def tempered(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """The probabilities raised to the power 1 / temperature, each row divided by its sum; `(n, n_classes)`."""
    if temperature == 1.0:
        return probabilities
    logs = np.log(np.clip(probabilities.astype(np.float64), _SMALLEST, 1.0))
    return _softmax(logs / temperature).astype(np.float32)


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares
