"""What programs other than tuner predict with an exported model."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tuner.data import EncodedSequences, pad


def others_predict(made: Path, view: EncodedSequences) -> list[NDArray[np.float32]]:
    """The probabilities of the first member in ONNX Runtime and in TensorFlow; skips the test without one of them.

    Args:
        view: cut to the member's vocabulary and length.
    """
    onnxruntime = pytest.importorskip("onnxruntime")
    tensorflow = pytest.importorskip("tensorflow")
    ids = pad(view, np.arange(len(view)))
    session = onnxruntime.InferenceSession(made / "member-1.onnx")
    (output,) = session.run(None, {"ids": ids.astype(np.int64)})
    loaded = tensorflow.saved_model.load(made / "member-1.savedmodel")
    return [output, loaded.serve(ids).numpy()]
