"""A trained model as bytes, as a worker sends it and the run folder keeps it. Nothing in it is unpickled."""

import dataclasses
import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuner.errors import RunFolderError
from tuner.text import one_line
from tuner.training.spec import HeldOutFigures, TrainedModel


def to_bytes(model: TrainedModel) -> bytes:
    """An npz archive of `model`."""
    content = io.BytesIO()
    facts = {**dataclasses.asdict(model.figures), "vocabulary_size": model.vocabulary_size}
    arrays: dict[str, Any] = {
        f"weight{number}": array for number, array in enumerate(model.weights)
    }
    if model.validation is not None:
        arrays["validation"] = model.validation
    np.savez(
        content,
        facts=np.array(json.dumps(facts)),
        probabilities=model.probabilities,
        **arrays,
    )
    return content.getvalue()


def from_bytes(content: bytes, where: str) -> TrainedModel:
    """The inverse of `to_bytes`.

    Args:
        where: what holds it, for the message.

    Raises:
        RunFolderError: it is damaged.
    """
    with _read(content, where) as saved:
        figures, vocabulary_size = _facts(saved)
        count = sum(name.startswith("weight") for name in saved.files)
        weights = tuple(saved[f"weight{number}"] for number in range(count))
        return TrainedModel(
            figures, saved["probabilities"], weights, vocabulary_size, _validation(saved)
        )


def measured_in(
    content: bytes, where: str
) -> tuple[HeldOutFigures, NDArray[np.float32], NDArray[np.float32] | None]:
    """The figures and probabilities of the model in `content` on the held-out sequences, without its weights.

    Returns:
        The figures, `(n_held_out, n_classes)` probabilities, and those on the validation sequences where they are kept.

    Raises:
        RunFolderError: it is damaged.
    """
    with _read(content, where) as saved:
        figures, _ = _facts(saved)
        return figures, saved["probabilities"], _validation(saved)


def _validation(saved: Any) -> NDArray[np.float32] | None:
    """None in the file of the linear reference, of a toy, and of an earlier version."""
    return saved["validation"] if "validation" in saved.files else None


def _facts(saved: Any) -> tuple[HeldOutFigures, int]:
    """The figures, and the ids that the model knows."""
    facts = json.loads(str(saved["facts"]))
    vocabulary_size = int(facts.pop("vocabulary_size"))
    return HeldOutFigures(**facts), vocabulary_size


@contextmanager
def _read(content: bytes, where: str) -> Iterator[Any]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(each.file_size for each in archive.infolist())
        if unpacked > 2 * len(content):  # `to_bytes` compresses nothing
            raise ValueError(f"it would unpack into {unpacked:,} bytes")
        with np.load(io.BytesIO(content), allow_pickle=False) as saved:
            yield saved
    except Exception as cause:  # a damaged archive raises many kinds
        raise RunFolderError(
            f"{where}: damaged ({one_line(str(cause))}); remove it, `tuner confirm` trains it again"
        ) from cause
