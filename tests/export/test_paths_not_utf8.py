"""A model of data whose path is not UTF-8: the byte is written as an escape sequence."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tuner.data import Split
from tuner.export import model
from tuner.export.model import Member, write_model
from tuner.settings.data import TokenMode
from tuner.training.spec import LinearShape

NAME = "caf\udce9.csv"  # as Python has the bytes of caf\xe9.csv


def test_a_model_is_written_whose_card_names_such_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keras_file = SimpleNamespace(save_keras_model=lambda *_, path, **__: path.touch())
    monkeypatch.setitem(sys.modules, "tuner.export.keras_file", keras_file)
    monkeypatch.setattr(model, "import_keras_quietly", lambda: None)
    monkeypatch.setattr(model, "_check_predictions", lambda *_: None)
    trained: Any = SimpleNamespace(vocabulary_size=4)
    dataset: Any = SimpleNamespace(
        class_names=("no", "yes"),
        token_mode=TokenMode.WORDS,
        vocabulary=("", "", "", "film"),
        splits={Split.VALIDATION: None},
    )
    write_model(
        tmp_path / "model",
        run=NAME,
        dataset=dataset,
        measured_on=Split.VALIDATION,
        members=[Member(trained, LinearShape(max_length=5), seed=0, trial=None)],
        card=f"`{NAME}`",
    )
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert card == r"`caf\udce9.csv`"
    description = (tmp_path / "model" / "model.json").read_text(encoding="utf-8")
    assert json.loads(description)["run"] == NAME
