"""A model that was trained once, without a search, for the tests of predicting."""

from pathlib import Path

import pytest

from tuner.export.classifier import Classifier
from tuner.export.single import export_training
from tuner.training.single.configurations import read_configurations
from tuner.training.single.settings import make_settings
from tuner.training.single.training import load_data, train


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that tells good reviews from bad ones."""
    folder = tmp_path_factory.mktemp("exported")
    rows = [
        f"{words} film number {number},{label}"
        for number in range(60)
        for words, label in (("good fine great", "positive"), ("bad poor awful", "negative"))
    ]
    (folder / "sentences.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    words = ["architecture=lstm lstm_units=8 embedding_size=8 learning_rate=0.02 batch_size=16"]
    settings = make_settings({"data": str(folder / "sentences.csv"), "epochs": 3})
    (configuration,) = read_configurations(words, settings)
    dataset = load_data(configuration)
    trained = train(configuration, dataset, lambda _: None, keep_model=True)
    return export_training(configuration, trained, dataset, "tuner train", folder / "model")


@pytest.fixture(scope="session")
def classifier(exported: Path) -> Classifier:
    """That model."""
    return Classifier(exported)
