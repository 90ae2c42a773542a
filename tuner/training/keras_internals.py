"""Every use of Keras beyond its documentation, each with its reason: the one module to look at when Keras changes.

`tests/training/test_keras_internals.py` fails when Keras changes one of them. Written for Keras 3.15. Nothing with an
underscore is used, and `tests/test_private_parts.py` keeps it so.

Must not import Keras at module level: some of this is done before Keras is first imported.
"""

import re
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

# keras/src/saving/serialization_lib.py, `_retrieve_class_or_fn` (https://github.com/keras-team/keras/issues/21046).
_UNKNOWN = re.compile(r"Could not locate (?:class|function) '(?P<name>[^']+)'")
WRAPPERS = "keras.src.wrappers"  # for scikit-learn
WRAPPER = "SKLearnClassifier"  # the first name in it


def import_keras_without_scikit_learn() -> None:
    """Has Keras find no scikit-learn when it is imported: 2 of the 5 s of CPU time that its import takes.

    Its wrappers for scikit-learn import it wherever it is installed (https://github.com/keras-team/keras/pull/20599),
    and go without it elsewhere. Everybody else finds it. For processes of our own only: the wrappers do not work then.
    """
    if "keras" not in sys.modules and not any(isinstance(f, _Hiding) for f in sys.meta_path):
        sys.meta_path.insert(0, _Hiding())


class _Hiding(MetaPathFinder):
    """Hides scikit-learn from Keras' wrappers, which have no names yet while they are imported."""

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        if name == "sklearn" and WRAPPERS in sys.modules:
            if not hasattr(sys.modules[WRAPPERS], WRAPPER):
                raise ModuleNotFoundError(name, name=name)
            sys.meta_path.remove(self)
        return None


def make_variables(model: "keras.Model", batch_size: int) -> None:
    """Makes the variables of optimizer and metrics, which Keras makes in the first step.

    TensorFlow traces a function twice when the first trace makes variables
    (https://github.com/tensorflow/tensorflow/issues/48851). And metrics that do not exist yet cannot be reset
    (https://github.com/keras-team/keras/issues/19203).
    """
    import numpy as np

    model.optimizer.build(model.trainable_variables)
    model.compute_metrics(
        x=None,
        y=np.zeros((batch_size, 1), np.int32),
        y_pred=np.full((batch_size, *model.output_shape[1:]), 0.5, np.float32),
        sample_weight=np.ones(batch_size, np.float32),
    )


def trace_prediction(model: "keras.Model") -> None:
    """Has `predict_on_batch` trace once for all widths and sizes, where it is TensorFlow's.

    It would trace anew for the second shape it sees (https://github.com/tensorflow/tensorflow/issues/34907). Its
    function is made by `make_predict_function` and takes a list of batches (keras/src/backend/tensorflow/trainer.py).
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    model.make_predict_function()
    model.predict_function.get_concrete_function([(tf.TensorSpec((None, None), tf.int32),)])


def input_mask(cell: Any, step: Any) -> Any:
    """The mask, `(batch, features)`, by which an LSTM cell drops its inputs.

    With recurrent dropout Keras makes a list of four, one for each gate; here all share the first
    (https://github.com/keras-team/keras/pull/20663).
    """
    masks = cell.get_dropout_mask(step)
    return masks[0] if isinstance(masks, list) else masks


def recurrent_mask(cell: Any, state: Any) -> Any:
    """The mask, `(batch, units)`, by which an LSTM cell drops its state; see `input_mask`."""
    masks = cell.get_recurrent_dropout_mask(state)
    return masks[0] if isinstance(masks, list) else masks


def unknown_name(error: Exception) -> str | None:
    """The class or function that Keras did not know when it loaded a model; None for any other error.

    Keras raises a TypeError whose text alone has the name.
    """
    found = _UNKNOWN.search(str(error))
    return found["name"] if found is not None else None
