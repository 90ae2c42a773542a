"""Models for programs without tuner."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.confirmed_run import Confirmed

from tuner.data import Split, pad
from tuner.errors import ConfigError
from tuner.export.classifier import Classifier
from tuner.export.formats import ExportFormat
from tuner.finalists.export import export_model

pytestmark = pytest.mark.keras


_SERVE = """
import json, sys
sys.modules["tuner"] = None  # not to be imported
import numpy as np, tensorflow as tf
for folder, ids in zip(sys.argv[1::2], sys.argv[2::2]):
    loaded = tf.saved_model.load(folder)
    print(json.dumps(loaded.serve(tf.constant(np.load(ids))).numpy().tolist()))
"""


def test_programs_without_tuner_predict_the_same(confirmed: Confirmed, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    made = export_model(
        confirmed.chosen(confirmed.finalists),
        tmp_path / "model",
        [ExportFormat.SAVED_MODEL, ExportFormat.ONNX],
    )
    held_out = confirmed.dataset.splits[Split.CONFIRMATION]
    inputs, places = [], []
    for number, known in enumerate(Classifier(made).description.members, start=1):
        view = held_out.view(vocabulary_size=known.vocabulary_size, max_length=known.max_length)
        inputs.append(pad(view, np.arange(len(view))))
        np.save(tmp_path / f"{number}.npy", inputs[-1])
        places += [str(made / f"member-{number}.savedmodel"), str(tmp_path / f"{number}.npy")]
    served = subprocess.run(
        [sys.executable, "-c", _SERVE, *places], capture_output=True, text=True, check=True
    )
    for number, (finalist, ids, line) in enumerate(
        zip(confirmed.finalists, inputs, served.stdout.splitlines(), strict=True), start=1
    ):
        expected = finalist.members[0].model.probabilities[:, 1:]
        assert np.array(json.loads(line)) == pytest.approx(expected, abs=1e-5)
        session = onnxruntime.InferenceSession(made / f"member-{number}.onnx")
        (output,) = session.run(None, {"ids": ids.astype(np.int64)})
        assert output == pytest.approx(expected, abs=1e-5)
    card = (made / "README.md").read_text(encoding="utf-8")
    assert "the probability of `positive`" in card
    assert "--ensemble=2 --format=onnx --format=savedmodel" in card


def test_a_format_whose_package_is_missing_is_refused_before_anything_is_made(
    confirmed: Confirmed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuner.extras.find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=r'^--format onnx: .* -m pip install "sequence-tuner\[onnx\]"'
    ):
        export_model(confirmed.chosen(), tmp_path / "model", [ExportFormat.ONNX])
    assert list(tmp_path.iterdir()) == []
