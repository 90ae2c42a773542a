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

_MOST_TOKENS = 10_000_000  # to learn from: a minute
_MOST_WEIGHTS = 20_000_000  # features x classes
_MOST_CLASSES = 20  # each has a regression of its own; with more, naive Bayes alone
_STRENGTH = 1.0  # the inverse of the L2 penalty; 0.25 and 4 are within 0.1 points of it on reviews
_COUNTS_FROM = 2  # sequences that have an n-gram, or it tells nothing about another one


@dataclass(frozen=True, eq=False)
class Reference:
    """A trained one.

    Attributes:
        probabilities: of the classes, `(n_sequences, n_classes)` float32, on the sequences it was measured on.
        majority: the same of the model that knows how frequent the classes are and nothing else.
    """

    probabilities: NDArray[np.float32]
    majority: NDArray[np.float32]


def train_reference(
    train: EncodedSequences, measured_on: EncodedSequences, n_classes: int
) -> Reference:
    """Trains on one split, and gives the probabilities of another's sequences.

    Features are the presence of single tokens and of pairs that follow each other. Each has the log-count ratio of a
    class as its weight, and a logistic regression learns a factor for it (Wang & Manning, 2012, with a regression in
    place of their support vector machine). With more than 20 classes it is complement naive Bayes (Rennie et al.,
    2003).
    """
    train = _at_most(train, _MOST_TOKENS)
    counts = np.bincount(train.labels, minlength=n_classes)
    frequencies = (counts + 1) / (counts.sum() + n_classes)
    majority = np.tile(frequencies.astype(np.float32), (len(measured_on), 1))
    if np.count_nonzero(counts) < 2:
        return Reference(majority, majority)
    most = max(1, _MOST_WEIGHTS // n_classes)
    known = _frequent(train, most)
    if not len(known):
        return Reference(majority, majority)
    features, others = _presence(train, known), _presence(measured_on, known)
    if n_classes > _MOST_CLASSES:
        probabilities = _by_naive_bayes(features, train.labels, others, n_classes)
    else:
        probabilities = _by_regressions(features, train.labels, others, n_classes)
    return Reference(probabilities.astype(np.float32), majority)


def _by_regressions(
    features: csr_matrix, labels: NDArray[np.int32], others: csr_matrix, n_classes: int
) -> NDArray[np.float64]:
    """One regression per class against the rest; of two classes, one."""
    columns = []
    for label in range(1, 2) if n_classes == 2 else range(n_classes):
        is_class = labels == label
        if not is_class.any():
            columns.append(np.zeros(others.shape[0]))
            continue
        with_class = np.asarray(features[is_class].sum(axis=0)).ravel() + 1
        without = np.asarray(features[~is_class].sum(axis=0)).ravel() + 1
        ratio = np.log(with_class / with_class.sum()) - np.log(without / without.sum())
        # Its dual form takes the fewer of rows and features as unknowns; the seed decides the order of its steps.
        model = LogisticRegression(C=_STRENGTH, solver="liblinear", dual=True, random_state=0)
        model.fit(features.multiply(ratio).tocsr(), is_class)
        columns.append(model.predict_proba(others.multiply(ratio).tocsr())[:, 1])
    if n_classes == 2:
        return np.stack([1 - columns[0], columns[0]], axis=1)
    scores = np.stack(columns, axis=1) + 1e-9
    return np.asarray(scores / scores.sum(axis=1, keepdims=True))


def _by_naive_bayes(
    features: csr_matrix, labels: NDArray[np.int32], others: csr_matrix, n_classes: int
) -> NDArray[np.float64]:
    model = ComplementNB().fit(features, labels)
    probabilities = np.zeros((others.shape[0], n_classes))
    probabilities[:, model.classes_] = model.predict_proba(others)
    return probabilities


def _at_most(sequences: EncodedSequences, tokens: int) -> EncodedSequences:
    """Sequences from all over the split, with about so many tokens together."""
    step = math.ceil(len(sequences.tokens) / tokens)
    if step <= 1:
        return sequences
    return sequences.only(np.arange(0, len(sequences), step))


def _n_grams(sequences: EncodedSequences) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sequence and n-gram of every token and every pair, each once per sequence, in order."""
    tokens = sequences.tokens.astype(np.int64)
    rows = np.repeat(np.arange(len(sequences)), sequences.lengths)
    follows = rows[1:] == rows[:-1]
    pairs = (tokens[:-1][follows] + 1 << 31) + tokens[1:][follows]
    grams = np.concatenate([tokens, pairs])
    places = np.concatenate([rows, rows[1:][follows]])
    order = np.lexsort((grams, places))
    grams, places = grams[order], places[order]
    is_first = np.ones(len(grams), bool)
    is_first[1:] = (grams[1:] != grams[:-1]) | (places[1:] != places[:-1])
    return places[is_first], grams[is_first]


def _frequent(sequences: EncodedSequences, most: int) -> NDArray[np.int64]:
    """The n-grams that several sequences have, the most frequent ones of them, sorted."""
    grams, counts = np.unique(_n_grams(sequences)[1], return_counts=True)
    grams, counts = grams[counts >= _COUNTS_FROM], counts[counts >= _COUNTS_FROM]
    if len(grams) > most:
        grams = np.sort(grams[np.argsort(-counts, kind="stable")[:most]])
    return grams


def _presence(sequences: EncodedSequences, known: NDArray[np.int64]) -> csr_matrix:
    """Which of the `known` n-grams a sequence has: `(n_sequences, len(known))`, 0 and 1."""
    rows, grams = _n_grams(sequences)
    at = np.searchsorted(known, grams)
    at[at == len(known)] = 0
    is_known = known[at] == grams
    rows, at = rows[is_known], at[is_known]
    return csr_matrix(
        (np.ones(len(rows), np.float32), (rows, at)), shape=(len(sequences), len(known))
    )
