"""Probabilities of one byte each, so that a table is small enough to be kept.

A byte counts 255 equal steps of the arc sine of the root. Near a half such a step is 0.006, near 0 and 1 much less. No
model's class changes: a half belongs to the lower class of two, and where several classes would share the largest byte,
the likeliest gets one more.
"""

import math

import numpy as np
from numpy.typing import NDArray

_STEPS = 255
_LEAST = 0.25  # of a step: a probability that rounds to 0 is small, but not impossible


def to_bytes(probabilities: NDArray[np.float16]) -> NDArray[np.uint8]:
    """As bytes.

    Args:
        probabilities: of class 1 of two, `(n_points, n_pool)`, or with an axis of classes.
    """
    exact = probabilities.astype(np.float64).clip(0, 1)
    found = np.round(np.arcsin(np.sqrt(exact)) * (2 / math.pi) * _STEPS)
    if exact.ndim == 2:
        half = _STEPS // 2
        found = np.where(exact > 0.5, np.maximum(found, half + 1), np.minimum(found, half))
    else:
        likeliest = exact.argmax(axis=2)[..., None]
        is_shared = found.argmax(axis=2)[..., None] != likeliest
        largest = np.take_along_axis(found, likeliest, axis=2)
        np.put_along_axis(found, likeliest, largest + is_shared, axis=2)
    return found.astype(np.uint8)


def from_bytes(coarse: NDArray[np.uint8], *, has_classes: bool) -> NDArray[np.float16]:
    """The probabilities; those of all classes, on the last axis, add up to 1."""
    least = np.maximum(coarse.astype(np.float32), _LEAST)
    found = np.sin(least * (math.pi / 2 / _STEPS)) ** 2
    if has_classes:
        found /= found.sum(axis=-1, keepdims=True)
    return found.astype(np.float16)
