"""The builder: tutorial's sizes, padding that changes nothing, files that load in safe mode."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.settings.hyperparameters import ARCHITECTURES, Hyperparameters, Pooling, resolve
from tuner.training.builder import build_model, uses_cudnn
from tuner.training.loading import load_model
from tuner.training.lstm import LSTM

pytestmark = pytest.mark.keras

SMALL = {"vocabulary_size": 30, "embedding_size": 5, "lstm_units": 4}
CONVOLUTION = {"filters": 6, "kernel_size": 4, "pool_size": 3}


def small(architecture: str, **parameters: object) -> Hyperparameters:
    convolution = CONVOLUTION if ARCHITECTURES[architecture].convolution else {}
    return resolve(architecture, {**SMALL, **convolution, **parameters})


def randomized(model: keras.Model) -> keras.Model:
    """Biases too: with zero biases much padding would pass unseen."""
    rng = np.random.default_rng(7)
    model.set_weights([rng.normal(0, 0.5, weight.shape) for weight in model.get_weights()])
    return model


def padded(sequences: list[list[int]], width: int) -> np.ndarray:
    return np.array([[*ids, *[0] * (width - len(ids))] for ids in sequences], np.int32)


@pytest.mark.parametrize(
    ("architecture", "weights"),
    [
        ("lstm", 213_301),
        ("lstm_dropout", 213_301),
        ("lstm_recurrent_dropout", 213_301),
        ("cnn_lstm", 216_405),
    ],
)
def test_tutorial_models_have_the_tutorials_weights(architecture: str, weights: int) -> None:
    assert build_model(resolve(architecture, {}), n_classes=2).count_params() == weights


VARIANTS = [
    *(
        (architecture, pooling, 1)
        for architecture in ARCHITECTURES
        for pooling in Pooling
        if architecture not in {"gru", "bigru", "stacked_lstm"}
    ),
    ("gru", Pooling.LAST, 1),
    ("bigru", Pooling.LAST, 2),
    ("bilstm", Pooling.MAX_MEAN, 2),
    ("cnn_bilstm", Pooling.LAST, 2),
    ("lstm", Pooling.LAST, 2),
]
_models: dict[tuple[str, Pooling, int], keras.Model] = {}


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: "-".join(map(str, variant)))
@settings(max_examples=3)
@given(
    sequences=st.lists(
        st.lists(st.integers(1, 29), min_size=1, max_size=11),
        min_size=1,
        max_size=4,
    ),
    wider=st.integers(1, 12),
)
def test_padding_does_not_change_a_result(
    variant: tuple[str, Pooling, int], sequences: list[list[int]], wider: int
) -> None:
    architecture, pooling, layers = variant
    if variant not in _models:
        hyperparameters = small(architecture, pooling=pooling, lstm_layers=layers)
        _models[variant] = randomized(build_model(hyperparameters, n_classes=3))
    model = _models[variant]
    longest = max(map(len, sequences))

    alone = np.vstack([model(padded([ids], len(ids))) for ids in sequences])
    together = np.asarray(model(padded(sequences, longest)))
    wide = np.asarray(model(padded(sequences, longest + wider)))

    np.testing.assert_allclose(together, alone, atol=2e-6)
    np.testing.assert_allclose(wide, alone, atol=2e-6)


@pytest.mark.parametrize("layers", [1, 2])
def test_backward_half_agrees_with_keras_bidirectional_on_full_width(layers: int) -> None:
    hyperparameters = small("bilstm", pooling=Pooling.MAX, lstm_layers=layers)
    ours = randomized(build_model(hyperparameters, n_classes=3))
    x = keras.Input((None,), dtype="int32")
    y = keras.layers.Embedding(30, 5, name="embedding")(x)
    for layer in range(1, layers + 1):
        lstm = keras.layers.LSTM(4, return_sequences=True)
        y = keras.layers.Bidirectional(lstm, name=f"layer_{layer}")(y)
    y = keras.layers.GlobalMaxPooling1D()(y)
    theirs = keras.Model(x, keras.layers.Dense(3, activation="softmax", name="classifier")(y))
    for name in ("embedding", "classifier"):
        theirs.get_layer(name).set_weights(ours.get_layer(name).get_weights())
    for layer in range(1, layers + 1):
        halves = (ours.get_layer(f"lstm_{layer}"), ours.get_layer(f"lstm_{layer}_backward"))
        weights = [weight for half in halves for weight in half.get_weights()]
        theirs.get_layer(f"layer_{layer}").set_weights(weights)
    ids = np.random.default_rng(0).integers(1, 30, (4, 9)).astype(np.int32)

    np.testing.assert_allclose(ours(ids), theirs(ids), atol=1e-6)


def test_cnn_lstm_agrees_with_plain_keras_layers_on_full_width() -> None:
    ours = randomized(build_model(small("cnn_lstm", pool_size=2), n_classes=2))
    x = keras.Input((None,), dtype="int32")
    y = keras.layers.Embedding(30, 5)(x)
    y = keras.layers.Conv1D(6, 4, padding="same", activation="relu")(y)
    y = keras.layers.LSTM(4)(keras.layers.MaxPooling1D(2)(y))
    theirs = keras.Model(x, keras.layers.Dense(1, activation="sigmoid")(y))
    theirs.set_weights(ours.get_weights())
    ids = np.random.default_rng(0).integers(1, 30, (4, 10)).astype(np.int32)

    np.testing.assert_allclose(ours(ids), theirs(ids), atol=1e-6)


def test_bigru_and_stacked_lstm_are_keras_own_layers() -> None:
    bigru = build_model(resolve("bigru", {}), n_classes=2)
    stacked = build_model(resolve("stacked_lstm", {}), n_classes=2)

    recurrent = [each for each in bigru.layers if isinstance(each, keras.layers.GRU)]
    assert [each.name for each in recurrent] == ["gru_1", "gru_1_backward"]
    assert [each.name for each in stacked.layers if isinstance(each, LSTM)] == ["lstm_1", "lstm_2"]


@pytest.mark.parametrize(("n_classes", "units"), [(2, 1), (3, 3)])
def test_output_is_one_probability_per_class(n_classes: int, units: int) -> None:
    output = np.asarray(build_model(small("lstm"), n_classes=n_classes)(padded([[1, 5], [1]], 2)))

    assert output.shape == (2, units)
    assert ((output > 0) & (output < 1)).all()
    if units > 1:
        np.testing.assert_allclose(output.sum(axis=1), 1, atol=1e-6)


def test_dropouts_change_training_and_leave_prediction_alone() -> None:
    dropouts = {
        "embedding_dropout": 0.5,
        "spatial_dropout": 0.5,
        "input_dropout": 0.5,
        "recurrent_dropout": 0.5,
        "output_dropout": 0.5,
    }
    ids = padded([[1, 5, 9, 4]], 4)
    for name, rate in dropouts.items():
        model = randomized(build_model(small("lstm", **{name: rate}), n_classes=2))
        trained = {float(np.asarray(model(ids, training=True)).item()) for _ in range(8)}
        predicted = {float(np.asarray(model(ids, training=False)).item()) for _ in range(2)}
        assert len(trained) > 1, name
        assert len(predicted) == 1, name


@pytest.mark.parametrize("architecture", ["cnn_bilstm", "lstm"])
def test_saved_model_loads_in_safe_mode_and_predicts_the_same(architecture: str, tmp_path) -> None:
    model = randomized(
        build_model(small(architecture, pooling=Pooling.MAX_MEAN, lstm_layers=2), n_classes=2)
    )
    ids = padded([[1, 5, 9, 4], [1, 7]], 8)
    model.save(tmp_path / "model.keras")

    loaded = load_model(tmp_path / "model.keras")

    np.testing.assert_array_equal(loaded(ids), model(ids))


def test_only_recurrent_dropout_leaves_cudnn() -> None:
    assert uses_cudnn(resolve("lstm", {"input_dropout": 0.3}))
    assert not uses_cudnn(resolve("lstm_recurrent_dropout", {}))
