"""Training with Keras: it learns, stops at once, traces little, keeps no memory."""

import gc
import math
import weakref
from dataclasses import replace

import keras
import numpy as np
import pytest

from tuner.data import WordVectors, bucketed_batches, pad
from tuner.errors import TrialDiverged, TrialFailed
from tuner.run.epoch_parts import EpochPart
from tuner.settings.hyperparameters import ARCHITECTURES, resolve
from tuner.settings.metric import Metric
from tuner.training import trial as training_module
from tuner.training.evaluation import evaluate
from tuner.training.spec import EpochResult, TrialSpec
from tuner.training.steps import (
    balanced_weights,
    fill_batch,
    make_train_step,
    make_train_steps,
)
from tuner.training.trial import Training

pytestmark = pytest.mark.keras

SMALL = {
    "vocabulary_size": 20,
    "embedding_size": 8,
    "lstm_units": 8,
    "batch_size": 16,
    "max_length": 12,
    "learning_rate": 0.02,
}


@pytest.fixture
def make_training(make_sequences):
    def _make(architecture: str = "lstm", *, n_classes: int = 2, epochs: int = 1, **more):
        n, keep_best = more.pop("n", 70), more.pop("keep_best", None)
        stop_after = more.pop("stop_after", None)
        return more.pop("cls", Training)(
            TrialSpec(0, resolve(architecture, {**SMALL, **more}), 3, epochs, stop_after),
            train=make_sequences(n, n_classes=n_classes, seed=1),
            validation=make_sequences(40, n_classes=n_classes, seed=2),
            n_classes=n_classes,
            keep_best=keep_best,
        )

    return _make


def test_a_model_that_is_measured_between_epochs_learns_as_if_it_were_not(
    make_training, make_sequences
) -> None:
    held_out = make_sequences(10, n_classes=2, seed=3)
    curves, models = [], []
    for is_measured in (False, True):
        # Dropout draws random numbers, recurrent dropout also where nothing is learned; and at so high a rate the
        # best epoch is not always the last.
        training = make_training(
            "lstm_recurrent_dropout",
            output_dropout=0.2,
            epochs=3,
            learning_rate=0.3,
            keep_best=Metric(),
            n=200,
        )
        curve = []
        for result in training.epochs():
            curve.append(replace(result, seconds=0.0))
            if is_measured:
                training.finish(held_out)
        curves.append(curve)
        models.append(training.finish(held_out))
    assert curves[0] == curves[1]
    assert models[0].figures.epoch == models[1].figures.epoch
    assert (models[0].probabilities == models[1].probabilities).all()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_learns_an_easy_task(make_training, n_classes: int) -> None:
    training = make_training("cnn_bilstm", n_classes=n_classes, n=400, epochs=4)

    results = list(training.epochs())

    assert results[-1].val_accuracy > 0.9
    assert results[-1].val_f1 > 0.9
    assert results[-1].loss < results[0].loss


TRAINED_ABOVE_OR_BELOW = {"cnn_bilstm", "lstm", "lstm_dropout", "lstm_recurrent_dropout"}


@pytest.mark.parametrize("architecture", sorted({*ARCHITECTURES} - TRAINED_ABOVE_OR_BELOW))
def test_every_other_architecture_trains(make_training, architecture: str) -> None:
    (result,) = make_training(architecture, n=20).epochs()

    assert math.isfinite(result.val_loss)


def test_model_is_the_one_that_was_scored(make_training, make_sequences) -> None:
    training = make_training()
    (result,) = training.epochs()
    validation = make_sequences(40, n_classes=2, seed=2).view(vocabulary_size=20, max_length=12)

    again = evaluate(training.model, validation, n_classes=2)

    assert again.accuracy == result.val_accuracy
    assert again.loss == result.val_loss
    assert result.val_accuracy_error is None  # of sequences of their own it follows from the score


def test_a_subclass_or_a_report_inside_an_epoch_changes_no_figure(make_training) -> None:
    looks: list[tuple[int, int, int]] = []

    class Looking(Training):
        def _after_steps(self, epoch: int, made: int, of: int) -> None:
            looks.append((epoch, made, of))
            self._evaluate(epoch)

    settings = {"epochs": 2, "output_dropout": 0.3, "schedule": "cosine"}
    plain = [
        replace(each, seconds=0) for each in make_training("lstm_dropout", **settings).epochs()
    ]
    looking = make_training("lstm_dropout", cls=Looking, **settings)

    progress = list(looking.progress(0.0))  # a part after every step but the last
    parts = [each for each in progress if isinstance(each, EpochPart)]

    assert [replace(each, seconds=0) for each in progress if isinstance(each, EpochResult)] == plain
    assert looks == [(epoch, made, 5) for epoch in (1, 2) for made in range(1, 6)]
    assert [(each.epoch, each.share) for each in parts] == [
        (epoch, made / 5) for epoch in (1, 2) for made in range(1, 5)
    ]
    assert parts[3].loss == pytest.approx(plain[0].loss, rel=0.2)
    assert parts[3].loss != parts[2].loss


def test_training_figures_are_means_over_every_sequence(make_training, make_sequences) -> None:
    training = make_training(learning_rate=1e-12)  # the weights stay, so the order does not matter
    (result,) = training.epochs()
    train = make_sequences(70, n_classes=2, seed=1).view(vocabulary_size=20, max_length=12)

    whole = evaluate(training.model, train, n_classes=2)

    assert result.loss == pytest.approx(whole.loss, rel=1e-5)
    assert result.accuracy == pytest.approx(whole.accuracy)


def test_divergence_ends_the_epoch_at_once(make_training) -> None:
    steps: list[int] = []
    training = make_training()
    classifier = training.model.get_layer("classifier")
    classifier.set_weights([np.full_like(w, np.nan) for w in classifier.get_weights()])
    step = make_train_step(training.model, batch_size=16)

    def counted(ids, labels):
        steps.append(len(ids))
        return step(ids, labels)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tuner.training.steps.make_train_step", lambda model, **_: counted)
        with pytest.raises(TrialDiverged, match="loss became nan in epoch 1; lower learning_rate"):
            list(training.epochs())

    assert len(steps) == 1


def test_divergence_in_the_last_step_shows_in_validation(make_training) -> None:
    training = make_training()
    model = training.model

    def ruins_the_weights(ids, labels):
        weights = model.get_layer("classifier").get_weights()
        model.get_layer("classifier").set_weights([np.full_like(w, np.nan) for w in weights])
        return 0.5, 0.5

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tuner.training.steps.make_train_step", lambda model, **_: ruins_the_weights)
        with pytest.raises(TrialDiverged, match="validation loss became nan in epoch 1"):
            list(training.epochs())


def test_error_inside_keras_is_a_failed_trial_with_its_cause(make_training) -> None:
    training = make_training()
    training.model.loss = None
    training.model.compiled = False

    with pytest.raises(TrialFailed, match=r"^\w+: \S") as caught:
        list(training.epochs())

    assert caught.value.__cause__ is not None


def test_the_embedding_starts_from_word_vectors_where_they_are_known(make_sequences) -> None:
    def started(architecture: str = "lstm", **parameters: object) -> np.ndarray:
        training = Training(
            TrialSpec(0, resolve(architecture, {**SMALL, **parameters}), 1, 1),
            train=make_sequences(30, n_classes=2, seed=1),
            validation=make_sequences(5, n_classes=2, seed=2),
            n_classes=2,
            vectors=vectors,
        )
        return training.model.get_layer("embedding").get_weights()[0]

    # The last one is of a word that this vocabulary has not.
    values = np.arange(24, dtype=np.float32).reshape(3, 8)
    vectors = WordVectors(np.array([7, 4, 900], np.int32), values)
    rows = started()
    np.testing.assert_array_equal(rows[[7, 4]], values[:2])
    assert np.abs(np.delete(rows, [7, 4], axis=0)).max() <= 0.05  # as Keras draws them
    with pytest.raises(TrialFailed, match="embedding_size must be 8, as the word vectors are, got"):
        started(embedding_size=4)


def test_model_that_cannot_be_built_is_a_failed_trial(make_sequences) -> None:
    with pytest.raises(TrialFailed, match="cannot be imported"):
        Training(
            TrialSpec(0, resolve("no_such_module:build", {}), 1, 1),
            train=make_sequences(5, n_classes=2, seed=1),
            validation=make_sequences(5, n_classes=2, seed=1),
            n_classes=2,
        )


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="counts TensorFlow's traces")
def test_traces_once_whatever_the_widths(make_training) -> None:
    traces: list[tuple[int | None, ...]] = []

    @keras.saving.register_keras_serializable(package="test")
    class Counting(keras.layers.Layer):
        def call(self, ids):
            traces.append(tuple(ids.shape))
            return ids

    training = make_training(epochs=2)
    ids = keras.Input((None,), dtype="int32")
    model = keras.Model(ids, training.model(Counting()(ids)))
    model.compile(optimizer="sgd", loss="binary_crossentropy", weighted_metrics=["accuracy"])
    traces.clear()

    step = make_train_step(model, batch_size=4)
    for rows, width in [(4, 8), (4, 16), (4, 24), (3, 8), (1, 32)]:
        step(np.ones((rows, width), np.int32), np.zeros(rows, np.int32))
        model.predict_on_batch(np.ones((rows, width), np.int32))

    assert traces == [(4, None), (None, None)]  # of the training step, of the prediction


def test_a_step_is_the_step_of_plain_keras_layers(make_training) -> None:
    ours = make_training(optimizer="adam").model
    words = keras.Input(
        (None, 20)
    )  # ones and zeros: an embedding's gradient in TensorFlow is a list of rows
    x = keras.layers.LSTM(8)(keras.layers.Dense(8, use_bias=False)(words))
    theirs = keras.Model(words, keras.layers.Dense(1, activation="sigmoid")(x))
    theirs.set_weights(ours.get_weights())
    theirs.compile(keras.optimizers.Adam(0.02), "binary_crossentropy", run_eagerly=True)
    rng = np.random.default_rng(0)
    step = make_train_step(ours, batch_size=8)

    for rows in (8, 8, 5):  # the last one is filled up
        batch = rng.integers(1, 20, (rows, 7)).astype(np.int32)
        labels = rng.integers(0, 2, rows).astype(np.int32)
        loss, _ = step(batch, labels)
        in_words = np.eye(20, dtype=np.float32)[batch]
        assert loss == pytest.approx(theirs.train_on_batch(in_words, labels[:, None]), rel=1e-5)

    for our, their in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(our, their, atol=2e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's alone")
def test_steps_in_one_call_are_the_same_steps(make_training) -> None:
    rng = np.random.default_rng(0)
    batches = [
        (
            rng.integers(1, 20, (rows, width)).astype(np.int32),
            rng.integers(0, 2, rows).astype(np.int32),
        )
        for rows, width in ((8, 7), (8, 16), (5, 3))
    ]
    figures, weights = [], []
    for at_once in (1, 8):
        model = make_training(optimizer="adam").model
        keras.utils.set_random_seed(0)
        learn = make_train_steps(model, batch_size=8, adversarial_noise=0.1, at_once=at_once)
        figures.append(np.concatenate([learn(batches), learn(batches[:1])]))
        weights.append(model.get_weights())

    assert figures[0].shape == (4, 2)
    np.testing.assert_allclose(figures[1], figures[0], rtol=1e-5)
    for several, single in zip(weights[1], weights[0], strict=True):
        np.testing.assert_allclose(several, single, atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's alone")
def test_an_epoch_of_several_steps_per_call_is_the_same_epoch(make_training) -> None:
    single, several = make_training(epochs=2), make_training(epochs=2)
    several._steps_per_call = 3
    for one, other in zip(several.epochs(), single.epochs(), strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-5)
        assert one.val_loss == pytest.approx(other.val_loss, rel=1e-5)


def test_filled_batch_keeps_the_mean_of_its_real_sequences() -> None:
    ids, labels, weights = fill_batch(np.array([[1], [2], [3]]), np.array([0, 1, 1]), 8)

    assert ids.shape == (8, 1)
    assert labels.shape == (8, 1)
    np.testing.assert_array_equal(ids[:3, 0], [1, 2, 3])
    values = ids[:, 0].astype(float)
    assert (weights * values).sum() / 8 == pytest.approx(2.0)
    assert not weights[3:].any()


def test_balanced_classes_count_the_same_however_rare_they_are() -> None:
    labels = np.array([0, 0, 0, 0, 0, 0, 1, 1, 2], np.int32)
    weights = balanced_weights(labels, 4)  # of the last no sequence is there

    assert weights.dtype == np.float32
    sums = [weights[labels[labels == label]].sum() for label in range(3)]
    assert sums == pytest.approx([9 / 4] * 3)
    ids = np.arange(9)[:, None]
    _, filled, given = fill_batch(ids, labels, 12, weights)
    by_class = [given[filled[:, 0] == label].sum() for label in range(3)]
    assert by_class == pytest.approx([3, 3, 3])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's alone")
@pytest.mark.parametrize("at_once", [1, 8])
def test_class_weights_reach_the_loss(make_training, at_once: int) -> None:
    ids = np.arange(1, 9, dtype=np.int32)[:, None].repeat(5, axis=1)
    labels = np.array([0, 0, 0, 0, 0, 0, 0, 1], np.int32)
    batches = [(ids, labels)]
    model = make_training(optimizer="sgd", learning_rate=1e-9).model
    plain = make_train_steps(model, batch_size=8, at_once=at_once)(batches)[0, 0]
    weights = balanced_weights(labels, 2)
    learn = make_train_steps(model, batch_size=8, at_once=at_once, class_weights=weights)
    probability = model.predict(ids, verbose=0)[:, 0]
    losses = -np.log(np.where(labels == 1, probability, 1 - probability))
    assert plain == pytest.approx(losses.mean(), rel=1e-4)
    assert learn(batches)[0, 0] == pytest.approx((losses * weights[labels]).mean(), rel=1e-4)


def test_embedding_has_no_rows_for_words_that_the_data_lacks(make_training) -> None:
    small, large = make_training(vocabulary_size=20), make_training(vocabulary_size=5000)
    assert large.weights == small.weights
    assert len(list(large.epochs())) == 1


def test_the_rate_has_decayed_by_the_last_epoch(make_training) -> None:
    training = make_training(schedule="cosine", epochs=4, stop_after=2)
    assert len(list(training.epochs())) == 2
    assert float(training.model.optimizer.learning_rate) == pytest.approx(0, abs=1e-9)


def test_model_is_freed_when_the_next_trial_starts(make_training) -> None:
    training = make_training()
    list(training.epochs())
    model = weakref.ref(training.model)
    del training

    make_training()
    gc.collect()

    assert model() is None


def test_first_steps_see_the_last_tokens_of_mixed_batches_later_ones_sorted_whole_sequences(
    make_training, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed, widths = [], []

    def batches(lengths, **options):
        mixed.append(options["mixed_batches"])
        return bucketed_batches(lengths, **options)

    def padded(sequences, indices, **options):
        widths.append(options["max_width"])
        return pad(sequences, indices, **options)

    monkeypatch.setattr(training_module, "bucketed_batches", batches)
    monkeypatch.setattr(training_module, "pad", padded)
    monkeypatch.setattr(training_module, "_SHORT_LENGTH", 4)

    list(make_training(n=160, epochs=2).epochs())  # 10 steps per epoch

    assert mixed == [2, 0]
    assert widths == [4] * 2 + [SMALL["max_length"]] * 18


@pytest.mark.parametrize(
    ("share", "most", "short"),
    [(0.1, 200, 2), (0.1, 1, 1), (0.9, 200, 3), (0.0, 200, 0)],
    ids=["share", "so many steps", "a third of the first epoch", "none"],
)
def test_the_length_warmup_ends_long_before_the_first_epoch_does(
    make_training, monkeypatch: pytest.MonkeyPatch, share: float, most: int, short: int
) -> None:
    monkeypatch.setattr(training_module, "SHORT_SEQUENCE_STEPS", most)

    training = make_training(n=160, epochs=2, length_warmup=share)  # 10 steps per epoch

    assert training._short_steps_left == short
