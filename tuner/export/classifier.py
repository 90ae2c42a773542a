"""An exported model: raw text in, class probabilities out. `tuner export` writes it, `tuner.load_model` reads it."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tuner.data import EncodedSequences, encode_known, token_ids
from tuner.data.encoding import TOKENIZERS
from tuner.errors import ConfigError, DataError, RunFolderError
from tuner.export.description import MemberEntry, check_member, read_description
from tuner.run.trial_status import TrialStatus
from tuner.text import excerpt
from tuner.training.devices import import_keras_quietly
from tuner.training.evaluation import mean_probabilities
from tuner.training.failures import status_of
from tuner.training.temperature import tempered
from tuner.training.threshold import classes_of


class Classifier:
    """An exported model.

    Args:
        path: the folder that `tuner export` made.
        modules: of a person's own, which register layers that the model has. Nothing else that the folder names is
            imported.

    Raises:
        RunFolderError: there is none, or it is damaged.
        ConfigError: such a module cannot be imported.
    """

    def __init__(self, path: Path | str, modules: str | Iterable[str] = ()) -> None:
        folder = Path(os.path.expanduser(path))
        self.description = read_description(folder)
        for member in self.description.members:
            check_member(folder / member.file, folder)
        import_keras_quietly()
        from tuner.training.keras_internals import trace_prediction
        from tuner.training.loading import load_model, why_not_loaded

        self._cut = TOKENIZERS[self.description.token_mode]
        self._ids = token_ids(self.description.vocabulary)
        self._models: list[tuple[MemberEntry, Any]] = []  # Keras models
        for member in self.description.members:
            try:
                with _full_gpu_explained():
                    model = load_model(folder / member.file, modules)
                    trace_prediction(model)
                if model.output_shape[-1] != (
                    1 if len(self.class_names) == 2 else len(self.class_names)
                ):
                    raise ValueError(f"it does not tell {len(self.class_names)} classes apart")
                self._models.append((member, model))
            except ConfigError:
                raise
            except Exception as cause:  # a damaged archive raises many kinds
                reason = why_not_loaded(cause, member.module)
                raise RunFolderError(
                    f"{folder / member.file}: cannot be loaded ({reason}); export it again"
                ) from cause

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of the probabilities' columns."""
        return self.description.class_names

    @property
    def text_column(self) -> str | None:
        """The column of the texts, where one was asked for when the model learned."""
        return self.description.text_column

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
            mean = mean_probabilities(
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
                ],
                [member.weight for member, _ in self._models],
            )
        return tempered(mean, self.description.temperature)

    def predict(self, texts: Sequence[str | Iterable[int]]) -> pd.DataFrame:
        """One row per text: `label`, the predicted class, then the probability of every class under its name.

        That is the likeliest class, or of two classes the one that the model's threshold decides for.
        """
        probabilities = self.probabilities(texts)
        predicted = classes_of(probabilities, self.description.threshold)
        labels = [self.class_names[number] for number in predicted]
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
