"""An exported model: raw text in, class probabilities out. `tuner export` writes it, `tuner.load_model` reads it."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tuner.data import SPECIAL_TOKENS, EncodedSequences, encode_known, token_ids
from tuner.data.encoding import TOKENIZERS
from tuner.errors import ConfigError, DataError, RunFolderError
from tuner.run.trial_status import TrialStatus
from tuner.settings.data import TokenMode
from tuner.text import excerpt, one_line
from tuner.training.devices import import_keras_quietly
from tuner.training.evaluation import mean_probabilities
from tuner.training.failures import status_of

FORMAT = 1
DESCRIPTION = "model.json"


@dataclass(frozen=True)
class Member:
    """One of the models whose probabilities are averaged, as `model.json` describes it."""

    file: str  # beside the description
    trial: int | None  # of the search; None where there was none
    seed: int
    max_length: int  # last tokens that it reads
    vocabulary_size: int  # ids that it knows
    module: str | None = None  # of a person's own architecture: may define layers


@dataclass(frozen=True)
class Description:
    """Everything that predicting needs besides the weights: the content of `model.json`."""

    run: str
    class_names: tuple[str, ...]
    token_mode: TokenMode
    vocabulary: tuple[str, ...]  # the name of token i; the first three are special
    members: tuple[Member, ...]

    def to_json(self) -> str:
        """The text of `model.json`."""
        return json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, where: str) -> "Description":
        """The inverse of `to_json`.

        Raises:
            RunFolderError: it is something else.
        """
        try:
            content = json.loads(text)
            if content.pop("format") != FORMAT:
                raise ValueError("made by another version of tuner")
            members = tuple(Member(**member) for member in content.pop("members"))
            description = cls(
                run=str(content["run"]),
                class_names=tuple(content["class_names"]),
                token_mode=TokenMode(content["token_mode"]),
                vocabulary=tuple(content["vocabulary"]),
                members=members,
            )
            description._check(content)
            return description
        except (KeyError, TypeError, ValueError, AttributeError) as cause:
            raise RunFolderError(
                f"{where}: no exported model of this version of tuner ({one_line(str(cause))})"
            ) from cause

    def _check(self, content: Mapping[str, object]) -> None:
        """Refuses content that `to_json` would not write."""
        for name, fewest in (("class_names", 2), ("vocabulary", len(SPECIAL_TOKENS))):
            given = content[name]
            if not isinstance(given, list) or len(given) < fewest:
                raise ValueError(f"{name} must be a list of {fewest} or more")
            if not all(isinstance(each, str) for each in given):
                raise ValueError(f"{name} must be texts")
        sizes = [(each.max_length, each.vocabulary_size) for each in self.members]
        if not sizes or not all(type(n) is int and n > 0 for pair in sizes for n in pair):
            raise ValueError("members must have a max_length and a vocabulary_size")


class Classifier:
    """An exported model.

    Args:
        path: the folder that `tuner export` made.

    Raises:
        RunFolderError: there is none, or it is damaged.
    """

    def __init__(self, path: Path | str) -> None:
        import_keras_quietly()
        from tuner.training.keras_internals import trace_prediction
        from tuner.training.loading import load_model, why_not_loaded

        folder = Path(os.path.expanduser(path))
        where = folder / DESCRIPTION
        try:
            text = where.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as cause:
            inside = folder / "model"
            remedy = "`tuner export` makes one"
            if (inside / DESCRIPTION).is_file():  # a run folder was named
                remedy = f"write {inside}"
            raise RunFolderError(
                f"{path}: no exported model (no {DESCRIPTION} in it); {remedy}"
            ) from cause
        self.description = Description.from_json(text, str(where))
        self._cut = TOKENIZERS[self.description.token_mode]
        self._ids = token_ids(self.description.vocabulary)
        self._models: list[tuple[Member, Any]] = []  # Keras models
        for member in self.description.members:
            try:
                with _full_gpu_explained():
                    model = load_model(folder / member.file, filter(None, [member.module]))
                    trace_prediction(model)
                if model.output_shape[-1] != (
                    1 if len(self.class_names) == 2 else len(self.class_names)
                ):
                    raise ValueError(f"it does not tell {len(self.class_names)} classes apart")
                self._models.append((member, model))
            except ConfigError:
                raise
            except Exception as cause:  # a damaged archive raises many kinds
                raise RunFolderError(
                    f"{folder / member.file}: cannot be loaded ({why_not_loaded(cause)}); export it again"
                ) from cause

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of the probabilities' columns."""
        return self.description.class_names

    def probabilities(self, texts: Sequence[str | Iterable[int]]) -> NDArray[np.float32]:
        """`(len(texts), n_classes)` float32; each row sums to 1.

        Args:
            texts: each a text, or a list of integers if the model learned from lists.

        Raises:
            DataError: `texts` is no list, or one of them is something else.
        """
        if isinstance(texts, str):
            raise DataError(f"texts: must be a list of texts, got one; write [{excerpt(texts)}]")
        if isinstance(texts, bytes | Mapping | pd.DataFrame) or not isinstance(
            texts, Sequence | np.ndarray | pd.Series | pd.Index
        ):
            raise DataError(
                f"texts: must be a list of texts, got {type(texts).__name__}; write a list"
            )
        if not len(texts):
            return np.zeros((0, len(self.class_names)), np.float32)
        return self.probabilities_of(self._encoded(texts))

    def probabilities_of(self, sequences: EncodedSequences) -> NDArray[np.float32]:
        """Probabilities of sequences that are already encoded with this model's vocabulary.

        Raises:
            ConfigError: the GPU has no memory left.
        """
        from tuner.training.evaluation import predict
        from tuner.training.shapes import prediction_widths

        with _full_gpu_explained():
            return mean_probabilities(
                [
                    predict(
                        model,
                        sequences.view(
                            vocabulary_size=member.vocabulary_size, max_length=member.max_length
                        ),
                        n_classes=len(self.class_names),
                        widths=prediction_widths(member.max_length),
                    )
                    for member, model in self._models
                ]
            )

    def predict(self, texts: Sequence[str | Iterable[int]]) -> pd.DataFrame:
        """One row per text: `label`, the likeliest class, then the probability of every class under its name."""
        probabilities = self.probabilities(texts)
        labels = [self.class_names[best] for best in probabilities.argmax(axis=1)]
        columns: dict[str, Any] = {
            f"p({name})": probabilities[:, number] for number, name in enumerate(self.class_names)
        }
        return pd.DataFrame({"label": labels, **columns})

    def _encoded(self, texts: Sequence[str | Iterable[int]]) -> EncodedSequences:
        words = (self._cut(_text(text, number)) for number, text in enumerate(texts))
        return encode_known(words, self._ids)


@contextmanager
def _full_gpu_explained() -> Iterator[None]:
    """Says what to do where a GPU has no memory left, such as beside a search; other errors pass.

    Raises:
        ConfigError: as above.
    """
    try:
        yield
    except Exception as error:
        if status_of(error) is not TrialStatus.OUT_OF_MEMORY:
            raise
        raise ConfigError(
            "the model does not fit into the memory that is free; beside a search that fills the GPU, put "
            "CUDA_VISIBLE_DEVICES=-1 in front of the command: it then uses the CPU"
        ) from error


def _text(given: object, number: int) -> str:
    if isinstance(given, str):
        return given
    if isinstance(given, Iterable) and not isinstance(given, bytes):
        items = list(given)
        if all(isinstance(i, int | np.integer) and not isinstance(i, bool) for i in items):
            return " ".join(map(str, items))
    raise DataError(
        f"texts[{number}]: must be a text or a list of integers, got {excerpt(given)}; correct it or leave it out"
    )
