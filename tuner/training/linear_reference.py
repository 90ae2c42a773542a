"""A reference that everybody can check: a linear model on the sequences' n-grams, trained in seconds.

A search that finds nothing better is not worth its hours, and a person who chooses by a report should see that. It is
told beside the search's models and never ranked among them. Must not import Ray or Keras.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import ComplementNB

from tuner.data import EncodedSequences
from tuner.settings.data import TokenMode
from tuner.training.linear_model import LinearModel, frequent_n_grams, presence

# Tokens of the longest n-grams. Triples of words gain 0.2 points on reviews and lose as much on sentences. Five
# characters gain five points over pairs in words of six languages, twelve in sentences (docs/measurements.md).
_LONGEST_OF_WORDS, _LONGEST_OF_OTHERS = 3, 5
_MOST_TOKENS = 10_000_000  # to learn from: a minute
_MOST_WEIGHTS = 20_000_000  # features x classes
_MOST_CLASSES = 20  # each has a regression of its own; with more, naive Bayes alone
_STRENGTH = 1.0  # the inverse of the L2 penalty; 0.25 and 4 are within 0.1 points of it on reviews
_COUNTS_FROM = 2  # sequences that have an n-gram, or it tells nothing about another one
_MOST_STEPS = 1000  # 100 are too few for words by their characters
_NEVER = -1e9  # the logit of a class without sequences


@dataclass(frozen=True, eq=False)
class Reference:
    """A trained linear reference, or the class frequencies alone.

    Attributes:
        frequencies: of the classes, `(n_classes,)` float32; without a model it gives them to every sequence.
        model: None where nothing tells the classes apart.
    """

    frequencies: NDArray[np.float32]
    model: LinearModel | None

    def probabilities_of(self, sequences: EncodedSequences) -> NDArray[np.float32]:
        """`(n_sequences, n_classes)`."""
        if self.model is None:
            return np.tile(self.frequencies, (len(sequences), 1))
        return self.model.probabilities_of(sequences)


def longest_n_gram(tokens: TokenMode) -> int:
    """Tokens of the longest n-grams that a reference knows."""
    return _LONGEST_OF_WORDS if tokens is TokenMode.WORDS else _LONGEST_OF_OTHERS


def train_reference(train: EncodedSequences, n_classes: int, *, longest: int) -> Reference:
    """Trains on one split.

    Features are the presence of n-grams, which are tokens that follow each other. Each has the log-count ratio of a
    class as its weight, and a logistic regression learns a factor for it (Wang & Manning, 2012, with a regression in
    place of their support vector machine). With more than 20 classes it is complement naive Bayes (Rennie et al.,
    2003).

    Args:
        longest: tokens of an n-gram, two or more; see `longest_n_gram`.
    """
    frequencies, max_length = frequencies_of(train, n_classes), int(train.lengths.max())
    train = _at_most(train, _MOST_TOKENS)
    if np.count_nonzero(np.bincount(train.labels, minlength=n_classes)) < 2:
        return Reference(frequencies, None)
    known = frequent_n_grams(train, longest, _COUNTS_FROM, max(1, _MOST_WEIGHTS // n_classes))
    if not any(map(len, known)):
        return Reference(frequencies, None)
    features = presence(train, known)
    is_regression = n_classes <= _MOST_CLASSES
    fit = _regressions if is_regression else _naive_bayes
    table, bias = fit(features, train.labels, n_classes)
    model = LinearModel(
        known, table.astype(np.float32), bias.astype(np.float32), max_length, is_regression
    )
    return Reference(frequencies, model)


def frequencies_of(train: EncodedSequences, n_classes: int) -> NDArray[np.float32]:
    """How frequent the classes are, `(n_classes,)`; none is impossible."""
    counts = np.bincount(train.labels, minlength=n_classes)
    return np.asarray((counts + 1) / (counts.sum() + n_classes), np.float32)


def _regressions(
    features: csr_matrix, labels: NDArray[np.int32], n_classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Table and bias of one regression per class against the rest; of two classes, one."""
    columns, biases = [], []
    for label in range(1, 2) if n_classes == 2 else range(n_classes):
        is_class = labels == label
        if not is_class.any():
            columns.append(np.zeros(features.shape[1]))
            biases.append(_NEVER)
            continue
        with_class = np.asarray(features[is_class].sum(axis=0)).ravel() + 1
        without = np.asarray(features[~is_class].sum(axis=0)).ravel() + 1
        ratio = np.log(with_class / with_class.sum()) - np.log(without / without.sum())
        # Its dual form takes the fewer of rows and features as unknowns; the seed decides the order of its steps.
        model = LogisticRegression(
            C=_STRENGTH, solver="liblinear", dual=True, random_state=0, max_iter=_MOST_STEPS
        )
        model.fit(features.multiply(ratio).tocsr(), is_class)
        columns.append(model.coef_[0] * ratio)
        biases.append(model.intercept_[0])
    return np.stack(columns, axis=1), np.array(biases)


def _naive_bayes(
    features: csr_matrix, labels: NDArray[np.int32], n_classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    model = ComplementNB().fit(features, labels)
    table = np.zeros((features.shape[1], n_classes))
    table[:, model.classes_] = model.feature_log_prob_.T
    bias = np.full(n_classes, _NEVER)
    bias[model.classes_] = 0.0
    return table, bias


def _at_most(sequences: EncodedSequences, tokens: int) -> EncodedSequences:
    """Sequences from all over the split, with about so many tokens together."""
    step = math.ceil(len(sequences.tokens) / tokens)
    if step <= 1:
        return sequences
    return sequences.only(np.arange(0, len(sequences), step))
