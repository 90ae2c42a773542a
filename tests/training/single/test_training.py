"""Real trainings, each in a process of its own: TensorFlow is configured once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.commands import Ended, run_tuner
from support.forked_keras import KerasCommands

import tuner
from tuner.execution.search import run_search
from tuner.settings.config import make_config
from tuner.settings.space import SearchSpace

pytestmark = pytest.mark.keras

OWN_MODELS = """
import keras


def build(*, vocabulary_size, n_classes, width):
    ids = keras.Input((None,), dtype="int32")
    x = keras.layers.GlobalMaxPooling1D()(keras.layers.Embedding(vocabulary_size, width)(ids))
    return keras.Model(ids, keras.layers.Dense(1, activation="sigmoid")(x))
"""


Train = Callable[..., Ended]


@pytest.fixture
def train(folder: Path, keras_command: KerasCommands) -> Train:
    """Runs `tuner train` with these words, on a machine that has no GPU for it."""

    def _train(*words: str) -> Ended:
        return keras_command(["train", *words], folder, {"CUDA_VISIBLE_DEVICES": "-1"})

    return _train


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with hard sentences: figures of trainings differ in every digit."""
    path = tmp_path_factory.mktemp("trainings")
    rng = np.random.default_rng(0)
    words = np.array([*"abcdefghijklmnop"])
    texts = [" ".join(rng.choice(words, rng.integers(3, 12))) for _ in range(200)]
    rows = [f"{text},{'yes' if 'a' in text.split() else 'no'}" for text in texts]
    (path / "sentences.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    (path / "own_models.py").write_text(OWN_MODELS)
    return path


@pytest.mark.ray
def test_rows_are_reproduced_to_the_last_digit(
    shared_ray: None, folder: Path, train: Train
) -> None:
    space = SearchSpace.from_mapping(
        {
            "name": "small",
            "metric": {"name": "val_loss", "mode": "min"},  # no two alike, so some are pruned
            "max_epochs": 3,
            "shared": {
                "learning_rate": {"float": [1e-3, 5e-2], "log": True},
                "lstm_units": {"int": [4, 8]},
                "batch_size": 16,
                "schedule": "cosine",
            },
            "architectures": {
                "lstm_recurrent_dropout": {},
                "cnn_lstm_dropout": {"filters": {"int": [4, 8]}},
            },
        },
        "small.yaml",
    )
    settings = {"source": str(folder / "sentences.csv")}
    run = run_search(
        make_config(
            {
                "space": space,
                "data": settings,
                "out": str(folder),
                "name": "run",
                "trials": 4,
                "max_concurrent": 1,
                "pruner": "halving",
            }
        )
    ).run
    board = run.leaderboard().set_index("trial")
    assert set(board["status"]) == {"complete", "pruned"}
    assert board["val_loss"].is_unique
    chosen = [board.index[board["status"] == status][0] for status in ("complete", "pruned")]
    before = {path: path.stat().st_mtime_ns for path in (folder / "run").rglob("*")}
    ended = train(*(f"run:{trial}" for trial in chosen))
    assert (ended.code, ended.err) == (0, ""), ended.out
    for trial in chosen:
        row = board.loc[trial]
        assert f"trial {trial} of run: {row['architecture']}" in ended.out
        assert (
            f"best epoch {row['best_epoch']}: val_accuracy {row['val_accuracy']:.4f}, "
            f"val_loss {row['val_loss']:.4f}, on cpu" in ended.out
        )
    assert ended.out.count("Reproduced: best epoch, val_accuracy and val_loss are the row's") == 2
    assert {path: path.stat().st_mtime_ns for path in (folder / "run").rglob("*")} == before
    (folder / "sentences.csv").write_text((folder / "sentences.csv").read_text() + "a b,no\n")
    changed = train(f"run:{chosen[0]}")
    assert (changed.code, changed.out) == (2, "")
    assert "sentences.csv: differs from the data that run learned from" in changed.err


def test_an_architecture_of_ones_own_is_trained_and_written_for_predict(
    folder: Path, train: Train
) -> None:
    words = ("architecture=own_models:build", "width=8", "learning_rate=0.05", "batch_size=16")
    options = ("--data", "sentences.csv", "--epochs", "3", "--out", "models/mine")
    ended = train(*words, *options)
    assert (ended.code, ended.err) == (0, "")
    epochs = [line.split()[0] for line in ended.out.splitlines() if line.startswith("    ")]
    assert epochs == ["1", "2", "3"]
    made = folder / "models" / "mine"
    assert {path.name for path in made.iterdir()} == {"member-1.keras", "model.json", "README.md"}
    assert [path.name for path in made.parent.iterdir()] == ["mine"]
    classifier = tuner.load_model(made)
    assert list(classifier.predict(["a b c"]).columns) == ["label", "p(no)", "p(yes)"]
    card = (made / "README.md").read_text(encoding="utf-8")
    assert "Made by tuner from one training, not confirmed" in card
    assert "- width: 8" in card


OWN_LAYERS = """
import keras


class Scale(keras.layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return x * self.factor


def build(*, vocabulary_size, n_classes, width):
    ids = keras.Input((None,), dtype="int32")
    x = keras.layers.GlobalMaxPooling1D()(keras.layers.Embedding(vocabulary_size, width)(ids))
    return keras.Model(ids, keras.layers.Dense(1, activation="sigmoid")(Scale()(x)))
"""


def test_a_model_with_a_layer_of_ones_own_is_predicted_with_where_its_module_is_named(
    folder: Path, train: Train, keras_command: KerasCommands
) -> None:
    decorated = OWN_LAYERS.replace(
        "class S", "@keras.saving.register_keras_serializable()\nclass S"
    )
    (folder / "own_layers.py").write_text(decorated)
    words = ("architecture=own_layers:build", "width=4", "--data", "sentences.csv", "--epochs", "1")
    ended = train(*words, "--out", "layered")
    assert (ended.code, ended.err) == (0, "")
    for named, code in ((["--module=own_layers"], 0), ([], 2)):
        ended = keras_command(["predict", "layered", "a b", *named], folder)
        assert ended.code == code, ended.err
    assert "Keras does not know Scale" in ended.err
    assert "if you trust its code: --module own_layers, in Python modules=" in ended.err


def test_a_layer_that_could_not_be_loaded_again_is_refused_before_anything_is_trained(
    folder: Path, train: Train
) -> None:
    (folder / "plain_layers.py").write_text(OWN_LAYERS)
    words = ("architecture=plain_layers:build", "width=4", "--data", "sentences.csv")
    ended = train(*words, "--out", "plain")
    assert ended.code == 1
    assert "decorate it with @keras.saving.register_keras_serializable()" in ended.out
    assert not [line for line in ended.out.splitlines() if line.startswith("    1 ")]
    assert not (folder / "plain").exists()


def test_a_training_that_diverges_is_reported_and_leaves_no_model(
    folder: Path, train: Train
) -> None:
    words = ("learning_rate=1e38", "batch_size=8", "lstm_units=4")
    ended = train(*words, "--data", "sentences.csv", "--out", "diverged")
    assert ended.code == 1
    assert "diverged: loss became" in ended.out
    assert not (folder / "diverged").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("a=1 lstm_units=2", "lstm_units=3"), "a: no such parameter"),
        (("lstm_units=2 batch_size=8", "lstm_units=3", "--out", "m"), "--out: takes one model"),
        (("lstm_units=2", "--out", "full"), "full: is not empty and no exported model"),
        (("lstm_units=2", "--out", "file/m"), "file/m: cannot be made or written to"),
        (("architecture=nowhere:build", "--data", "sentences.csv"), "nowhere cannot be imported"),
        (
            ("lstm_units=2", "--data", "sentences.csv", "--gpus", "0.5"),
            "--gpus 0.5: Keras' backend sees no",
        ),
        (("lstm_units=2", "--data", "none.csv"), "none.csv: there is no such file"),
    ],
)
def test_a_refusal_is_one_line_and_leaves_nothing(
    folder: Path,
    train: Train,
    options: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "full").mkdir(exist_ok=True)
    (folder / "full" / "thesis.txt").write_text("years")
    (folder / "file").write_text("")
    before = set(folder.rglob("*"))
    monkeypatch.chdir(folder)
    has_data = "sentences.csv" in options  # so that TensorFlow is configured
    ended = train(*options) if has_data else run_tuner(["train", *options], capsys)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert {path for path in folder.rglob("*") if "__pycache__" not in path.parts} == {
        path for path in before if "__pycache__" not in path.parts
    }
