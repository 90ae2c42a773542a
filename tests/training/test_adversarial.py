"""Adversarial noise: it raises the loss as much as requested, and leaves the rest of a step as it is."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tuner.data import pad
from tuner.errors import TrialFailed
from tuner.settings.hyperparameters import Hyperparameters, resolve
from tuner.training import adversarial
from tuner.training.adversarial import adversarial_shift
from tuner.training.builder import build_model
from tuner.training.compilation import compile_model
from tuner.training.steps import make_train_step

pytestmark = pytest.mark.keras

BATCH = 16
SMALL = {"vocabulary_size": 20, "embedding_size": 8, "lstm_units": 8, "batch_size": BATCH}


def compiled(hyperparameters: Hyperparameters, n_classes: int = 2) -> keras.Model:
    keras.utils.set_random_seed(1)
    model = build_model(hyperparameters, n_classes=n_classes)
    compile_model(model, hyperparameters, n_classes=n_classes, total_steps=10)
    return model


def weights_after_a_step(
    make_sequences, noise: float, width: int | None = None, **settings: object
) -> list[np.ndarray]:
    settings = {"optimizer": "sgd", "learning_rate": 0.1, **settings}
    model = compiled(resolve("cnn_bilstm", {**SMALL, **settings}))
    sequences = make_sequences(BATCH, n_classes=2, seed=1)
    ids = pad(sequences, np.arange(BATCH))
    if width is not None:
        ids = np.pad(ids, ((0, 0), (0, width - ids.shape[1])))
    make_train_step(model, batch_size=BATCH, adversarial_noise=noise)(ids, sequences.labels)
    return model.get_weights()


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adamw", "learning_rate": 0.01, "weight_decay": 0.1, "clipnorm": 0.1},
        {
            "embedding_dropout": 0.2,
            "spatial_dropout": 0.5,
            "input_dropout": 0.5,
            "recurrent_dropout": 0.5,
            "output_dropout": 0.5,
        },
    ],
    ids=["adamw", "sgd, dropout"],  # a mask of the second pass' own would give another gradient
)
def test_noise_that_vanishes_leaves_a_plain_step(make_sequences, settings) -> None:
    plain = weights_after_a_step(make_sequences, 0.0, **settings)

    noisy = weights_after_a_step(make_sequences, 1e-7, **settings)

    for one, other in zip(plain, noisy, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_noise_is_added_behind_the_dropout_of_embeddings(
    make_sequences, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def shift(ids, embedded, direction, noise):
        seen.append(np.asarray(embedded))
        return adversarial_shift(ids, embedded, direction, noise)

    monkeypatch.setattr(adversarial, "adversarial_shift", shift)
    model = compiled(resolve("lstm", {**SMALL, "embedding_dropout": 0.1, "spatial_dropout": 0.5}))
    sequences = make_sequences(BATCH, n_classes=2, seed=1)
    ids, ones = pad(sequences, np.arange(BATCH)), np.ones(BATCH, np.float32)

    adversarial.make_adversarial_step(model, 0.1)(
        (tf.constant(ids), sequences.labels[:, None], ones)
    )

    dropped = (seen[0] == 0).all(axis=1)  # channels of a sequence
    assert 0.2 < dropped.mean() < 0.8


def test_noise_changes_the_learned_weights(make_sequences) -> None:
    plain = weights_after_a_step(make_sequences, 0.0)

    noisy = weights_after_a_step(make_sequences, 0.5)

    assert max(abs(one - other).max() for one, other in zip(plain, noisy, strict=True)) > 1e-3


def test_padding_does_not_change_the_noise(make_sequences) -> None:
    narrow = weights_after_a_step(make_sequences, 0.3)

    wide = weights_after_a_step(make_sequences, 0.3, width=40)

    for one, other in zip(narrow, wide, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_noise_has_the_given_norm_and_raises_the_loss_more_than_chance(make_sequences) -> None:
    model = compiled(resolve("lstm", SMALL))
    sequences = make_sequences(BATCH, n_classes=2, seed=1)
    ids, labels = pad(sequences, np.arange(BATCH)), sequences.labels[:, None]
    embedding = model.get_layer("embedding")
    after = keras.Model([model.inputs[0], embedding.output], model.outputs[0])
    embedded = np.asarray(embedding(ids))
    with tf.GradientTape() as tape:
        moved = tf.constant(embedded)
        tape.watch(moved)
        loss = model.compute_loss(y=labels, y_pred=after([tf.constant(ids), moved]))
    shift = np.asarray(adversarial_shift(ids, moved, tape.gradient(loss, moved), 0.1))

    def loss_with(noise: np.ndarray) -> float:
        return float(
            model.compute_loss(y=labels, y_pred=after([ids, (embedded + noise).astype(np.float32)]))
        )

    real = (ids != 0)[:, :, None]
    size = np.sqrt(((embedded * real) ** 2).sum(axis=(1, 2)))
    np.testing.assert_allclose(np.sqrt((shift**2).sum(axis=(1, 2))), 0.1 * size, rtol=1e-4)
    chance = np.random.default_rng(0).normal(size=shift.shape) * real
    chance *= (0.1 * size / np.sqrt((chance**2).sum(axis=(1, 2))))[:, None, None]
    assert loss_with(shift) > loss_with(np.zeros_like(shift)) + 3 * abs(
        loss_with(chance) - loss_with(np.zeros_like(shift))
    )


# Every kind of layer that an architecture has, once.
@pytest.mark.parametrize(
    "architecture", ["cnn_bilstm", "gru", "lstm_recurrent_dropout", "stacked_lstm"]
)
def test_every_kind_of_layer_learns_with_noise(make_sequences, architecture: str) -> None:
    model = compiled(
        resolve(
            architecture,
            {**SMALL, "learning_rate": 0.02, "ngrams": 2},
        ),
        n_classes=3,
    )
    sequences = make_sequences(BATCH, n_classes=3, seed=1)
    step = make_train_step(model, batch_size=BATCH, adversarial_noise=0.05)
    ids = pad(sequences, np.arange(BATCH))

    losses = [step(ids, sequences.labels)[0] for _ in range(12)]

    assert losses[-1] < losses[0]


def test_noise_on_another_backend_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")

    with pytest.raises(
        TrialFailed, match="adversarial_noise: needs KERAS_BACKEND=tensorflow, got jax"
    ):
        make_train_step(keras.Sequential(), batch_size=BATCH, adversarial_noise=0.1)
