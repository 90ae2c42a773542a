"""The forms that a model is exported in, how programs without tuner use them, and the forms of predictions."""

from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from pathlib import Path

from tuner.errors import ConfigError
from tuner.extras import Extra, require
from tuner.text import code_span


class ExportFormat(StrEnum):
    """Forms of a model; the first is always written, because `tuner predict` reads it."""

    KERAS = "keras"  # a `.keras` file
    SAVED_MODEL = "savedmodel"  # TensorFlow's, a folder
    ONNX = "onnx"


class PredictionFormat(StrEnum):
    """How `tuner predict` writes."""

    CSV = "csv"
    JSON_LINES = "jsonl"


def read_formats(names: Iterable[str]) -> list[ExportFormat]:
    """The formats of these names.

    Raises:
        ConfigError: there is no such format.
    """
    try:
        return [ExportFormat(name) for name in names]
    except ValueError as cause:
        raise ConfigError(
            f"format: must be one of {', '.join(map(repr, map(str, ExportFormat)))}; {cause}"
        ) from cause


def check_possible(formats: Collection[ExportFormat]) -> None:
    """Refuses a format for which something is not installed.

    Raises:
        ConfigError: in one line, what to install.
    """
    if ExportFormat.ONNX in formats:
        require(Extra.ONNX, "--format onnx")


def beside(keras_file: Path, form: ExportFormat, formats: Collection[ExportFormat]) -> Path | None:
    """Where another form of a model lies, if it is to be written."""
    return keras_file.with_suffix(f".{form}") if form in formats else None


def usage(formats: Collection[ExportFormat], class_names: Sequence[str]) -> list[str]:
    """A section of a model's card, Markdown; nothing where only tuner and Keras read the model."""
    snippets = [_SNIPPETS[form] for form in ExportFormat if form in formats and form in _SNIPPETS]
    if not snippets:
        return []
    output = (
        f"`(batch, 1)`, the probability of {code_span(class_names[1])}"
        if len(class_names) == 2
        else f"`(batch, {len(class_names)})`, the probabilities of the classes in `model.json`'s order"
    )
    return [
        "## Without tuner",
        "",
        "Input: `ids` `(batch, time)`, right-padded with 0; int32 for a SavedModel, int64 for ONNX. A SavedModel also "
        "takes texts, in `serve_texts`. How a text becomes "
        "ids is below; `model.json` has the vocabulary, and each member's `max_length` and `vocabulary_size`. "
        f"Output: {output}. Of several members, the mean by their `weight`, raised to the power 1 / `temperature` and "
        "divided by the sum over classes; one member has that in it.",
        "",
        "```python",
        *"\n\n".join(snippets).splitlines(),
        "```",
        "",
    ]


_SNIPPETS = {
    ExportFormat.SAVED_MODEL: """import tensorflow as tf

loaded = tf.saved_model.load("model/member-1.savedmodel")
print(loaded.serve(tf.constant([[1, 14, 22]], tf.int32)))
print(loaded.serve_texts(tf.constant(["a text as it is"])))""",
    ExportFormat.ONNX: """import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("model/member-1.onnx")
print(session.run(None, {"ids": np.array([[1, 14, 22]], np.int64)})[0])""",
}
