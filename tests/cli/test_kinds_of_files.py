"""The table of kinds of files and commands: every command finds the same rows in a file, or refuses it alike.

What follows the reading is left out, so that neither Ray nor Keras starts: a search stops before its first trial, a
training before its model, and a model's place is taken by one that answers with the text.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from support.commands import Call, Ended
from support.kinds_of_files import READ, REFUSED, Rows

from tuner import run
from tuner.data import Dataset, EncodedSequences, load_dataset
from tuner.errors import ConfigError
from tuner.execution import search
from tuner.export import classifier
from tuner.finalists import choice, testing
from tuner.run.folder import RunFolder
from tuner.settings.config import make_config
from tuner.settings.data import DataConfig
from tuner.settings.space import SearchSpace
from tuner.training.single import training

ENOUGH = "read, and that is enough"


class Model:
    """In place of an exported model: the label that it predicts shows the text."""

    description = SimpleNamespace(members=(), threshold=0.5)
    text_column = None

    def __init__(self, *_: object) -> None: ...

    def predict(self, texts: Sequence[str]) -> pd.DataFrame:
        return pd.DataFrame({"label": [f"of {text}" for text in texts], "p(of)": 1.0})

    def probabilities_of(self, sequences: EncodedSequences) -> NDArray[np.float32]:
        return np.full((len(sequences), 2), 0.5, np.float32)


@pytest.fixture
def datasets(folder: Path, space: SearchSpace, monkeypatch: pytest.MonkeyPatch) -> list[Dataset]:
    """The data sets that commands have read; nothing is made of them."""
    read: list[Dataset] = []
    (folder / "small.yaml").write_text(space.to_yaml())  # is read sooner than a built-in one

    def stop(plan: Any, listener: object) -> None:
        read.append(plan.dataset)
        raise ConfigError(ENOUGH)

    def load_data(configuration: Any) -> None:
        read.append(load_dataset(configuration.data))
        raise ConfigError(ENOUGH)

    monkeypatch.setattr(search, "run_plan", stop)
    monkeypatch.setattr(training, "load_data", load_data)
    monkeypatch.setattr(classifier, "Classifier", Model)
    monkeypatch.setattr(testing, "Classifier", Model)
    monkeypatch.setattr(testing, "export_model", lambda *_: None)
    monkeypatch.setattr(run, "Run", lambda path: path)
    monkeypatch.setattr(choice, "load_chosen", lambda *_: run_with_a_finalist(folder, space))
    return read


def run_with_a_finalist(folder: Path, space: SearchSpace) -> SimpleNamespace:
    """A run on other rows, as far as a test evaluation needs one."""
    source = folder / "searched.csv"
    rows = "".join(f"searched text {number},{('down', 'up')[number % 2]}\n" for number in range(40))
    source.write_text(f"text,label\n{rows}")
    config = make_config({"space": space, "data": {"source": str(source)}})
    return SimpleNamespace(
        run=SimpleNamespace(
            files=RunFolder(folder / "run"),
            folder=folder / "run",
            name="run",
            recorded=SimpleNamespace(created="2026-11-26T09:00:00+00:00"),
        ),
        config=config,
        dataset=load_dataset(DataConfig(source=str(source))),
        better_since=None,
        gains_text=None,
        of_reference=None,
        trials=None,
        finalists=(),
    )


def read_by_all(call: Call, name: str) -> dict[str, Ended]:
    """Every command that reads rows, on one file."""
    return {
        "data": call("data", name),
        "search": call("search", "small.yaml", "--data", name),
        "train": call("train", "lstm_units=4", "--data", name),
        "test": call("test", "run", "--data", name, "--no-reference"),
        "predict": call("predict", "model", "--input", name, "--raw"),
        "predict to a file": call("predict", "model", "--input", name, "--output", "out.jsonl"),
    }


def is_splittable(rows: Rows) -> bool:
    """Whether every class has a text for each of the four splits."""
    return min(Counter(label for _, label in set(rows)).values()) >= 4


@pytest.mark.parametrize("kind", READ)
def test_every_command_reads_the_same_rows(
    folder: Path, call: Call, datasets: list[Dataset], kind: str
) -> None:
    name, content, expected = READ[kind]
    (folder / name).write_bytes(content)
    ended = read_by_all(call, name)
    count = len(expected)

    if is_splittable(expected):
        assert ended["data"].out.startswith(f"{name}: {count:,} rows, 2 classes\n")
        for command in ("search", "train"):
            assert ended[command].err.endswith(f"tuner: {ENOUGH}\n")
        by_class = Counter(label for _, label in expected)
        assert len(datasets) == 2
        for dataset in datasets:
            labels = np.concatenate([each.labels for each in dataset.splits.values()])
            assert Counter(dataset.class_names[label] for label in labels) == by_class
    else:
        for command in ("data", "search", "train"):
            assert "distinct texts to train on and needs 4" in ended[command].err
    assert f"{name}, {count} sequences\n" in ended["test"].out
    rows = list(csv.DictReader(ended["predict"].out.splitlines(keepends=True)))
    lines = (folder / "out.jsonl").read_text(encoding="utf-8").splitlines()
    for predicted in (rows, list(map(json.loads, lines))):
        assert [(row["text"], row["label"]) for row in predicted] == expected
        assert [row["predicted_label"] for row in predicted] == [
            f"of {text}" for text, _ in expected
        ]
    assert ended["predict to a file"].out == f"{count:,} predictions: out.jsonl\n"


@pytest.mark.parametrize("kind", REFUSED)
def test_every_command_refuses_in_the_same_words(
    folder: Path, call: Call, datasets: list[Dataset], kind: str
) -> None:
    name, content, message = REFUSED[kind]
    (folder / name).write_bytes(content)
    before = {*folder.iterdir(), folder / "searched.csv"}
    refusals = {command: ended.err for command, ended in read_by_all(call, name).items()}
    # What helps may differ: data need labels, too.
    assert len({error.rpartition("; ")[0] for error in refusals.values()}) == 1, refusals
    for refusal in refusals.values():
        assert refusal.startswith(f"tuner: {name}: ")
        assert re.search(message, refusal)
    assert {*folder.iterdir()} <= before
