"""The n-gram branch: it counts what the model reads, is as sure as strange sequences allow, and ignores padding."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tuner.data import EncodedSequences
from tuner.settings.hyperparameters import resolve
from tuner.settings.metric import Metric
from tuner.training import ngrams
from tuner.training.loading import load_model
from tuner.training.ngrams import NGramLogits, start_from_counts
from tuner.training.spec import TrialSpec
from tuner.training.trial import Training

pytestmark = pytest.mark.keras

SMALL = {"vocabulary_size": 20, "embedding_size": 8, "lstm_units": 8, "batch_size": 16}


def encoded(sequences: list[list[int]], labels: list[int]) -> EncodedSequences:
    offsets = np.cumsum([0, *map(len, sequences)]).astype(np.int64)
    return EncodedSequences(
        np.concatenate(sequences).astype(np.int32), offsets, np.array(labels, np.int32)
    )


def started(sequences: EncodedSequences, *, longest: int = 2, n_classes: int = 2) -> NGramLogits:
    layer = NGramLogits(longest, 1 if n_classes == 2 else n_classes)
    layer.build((None, None))
    start_from_counts(layer, sequences, n_classes)
    return layer


def bucket(layer: NGramLogits, *gram: int) -> int:
    """The table's row of one n-gram."""
    *_, found = ngrams._buckets(np.array([gram]), len(gram), layer.n_buckets)
    return int(found[0, 0])


@pytest.mark.parametrize("longest", [1, 2, 3])
def test_logits_are_the_sum_of_the_rows_of_the_n_grams_that_were_counted(longest: int) -> None:
    sequences = [[1, 5, 9, 9, 5], [1, 7], [3], [250_000, 600_000, 2_000_000, 4]]
    layer = NGramLogits(longest, 3)
    layer.build((None, None))
    table = np.random.default_rng(0).normal(size=(layer.n_buckets, 3)).astype(np.float32)
    layer.set_weights([table])
    ids = np.zeros((4, 8), np.int32)  # padded beyond the longest
    for row, sequence in zip(ids, sequences, strict=True):
        row[: len(sequence)] = sequence

    logits = keras.ops.convert_to_numpy(layer(ids))

    grams, rows = ngrams._n_grams(encoded(sequences, [0] * 4), longest, layer.n_buckets)
    for row, given in enumerate(logits):
        own = table[grams[rows == row]]
        np.testing.assert_allclose(given, own.sum(axis=0) / np.sqrt(len(own)), atol=1e-5)


def test_table_starts_with_log_count_ratios() -> None:
    sequences = [[4, 5], [4, 5], [4, 6], [6, 5], [6, 5], [6, 4]]  # once per sequence
    layer = started(encoded(sequences, [1, 1, 1, 0, 0, 0]))
    table = layer.get_weights()[0][:, 0]

    def odds(own: int, others: int) -> float:
        return np.log((own + 1) / (others + 1))  # either class has nine n-grams

    scale = table[bucket(layer, 4)] / odds(3, 1)
    assert scale > 0.1
    assert table[bucket(layer, 4, 5)] == pytest.approx(scale * odds(2, 0), rel=1e-5)
    assert table[bucket(layer, 6)] == pytest.approx(scale * odds(1, 3), rel=1e-5)
    assert np.count_nonzero(table) == 6  # of 5, as frequent in both, it is 0


def test_n_grams_that_only_their_own_sequence_has_explain_nothing() -> None:
    sequences = [[3 + 2 * n, 4 + 2 * n] for n in range(40)]
    layer = started(encoded(sequences, [n % 2 for n in range(40)]))

    assert np.abs(layer.get_weights()[0]).max() < 1e-6


def test_every_class_has_a_column_and_one_without_sequences_says_nothing() -> None:
    sequences = [[4, 9], [4, 9], [5, 9], [5, 9], [6, 9], [6, 9]]
    layer = started(encoded(sequences, [0, 0, 1, 1, 3, 3]), n_classes=4)
    table = layer.get_weights()[0]

    assert [int(table[bucket(layer, token)].argmax()) for token in (4, 5, 6)] == [0, 1, 3]
    assert np.abs(table[:, 2]).max() < 1e-6


def test_many_classes_do_not_make_a_huge_table() -> None:
    layer = NGramLogits(2, 330)

    assert layer.n_buckets * 330 <= 4_000_000


@pytest.mark.parametrize(("architecture", "n_classes"), [("lstm", 2), ("cnn_bilstm", 3)])
def test_training_starts_from_its_counts_and_its_model_is_kept_and_loaded(
    make_sequences, architecture: str, n_classes: int, tmp_path: Path
) -> None:
    data = {
        "train": make_sequences(70, n_classes=n_classes, seed=1),
        "validation": make_sequences(40, n_classes=n_classes, seed=2),
    }
    hyperparameters = resolve(architecture, {**SMALL, "ngrams": 2, "learning_rate": 0.01})
    spec = TrialSpec(0, hyperparameters, 3, 2)
    training = Training(spec, **data, n_classes=n_classes, keep_best=Metric())
    first = training.model.get_layer("ngrams").get_weights()[0]

    *_, result = training.epochs()

    assert np.count_nonzero(first) > 20
    assert result.val_accuracy > 0.9  # a token says it; untrained LSTMs take longer
    assert np.abs(training.model.get_layer("ngrams").get_weights()[0] - first).max() > 1e-3
    assert training.finish(data["validation"]).figures.accuracy > 0.9

    training.model.save(tmp_path / "model.keras")
    ids = np.array([[1, 4, 5, 0], [4, 7, 3, 9]], np.int32)
    np.testing.assert_allclose(
        load_model(tmp_path / "model.keras").predict_on_batch(ids),
        training.model.predict_on_batch(ids),
        atol=1e-6,
    )
