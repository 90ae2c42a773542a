"""Every use of Keras beyond its documentation, each with its reason: the one module to look at when Keras changes.

`tests/training/test_keras_internals.py` fails when Keras changes one of them. Written for Keras 3.15. Nothing with an
underscore is used, and `tests/test_private_parts.py` keeps it so.

Must not import Keras at module level: some of this is done before Keras is first imported.
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

# keras/src/saving/serialization_lib.py, `_retrieve_class_or_fn` (https://github.com/keras-team/keras/issues/21046).
_UNKNOWN = re.compile(r"Could not locate (?:class|function) '(?P<name>[^']+)'")
WRAPPERS = "keras.src.wrappers"  # for scikit-learn
WRAPPER = "SKLearnClassifier"  # the first name in it
FILLED = ("zeros", "ones")
_FLOAT32 = "float32"


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


@contextmanager
def initial_values_by_numpy() -> Iterator[None]:
    """On JAX, has initial values drawn with NumPy meanwhile: other ones from the same seed.

    JAX compiles a function for every kind and shape of them, 1.5 s per trial. Keras' initializers call functions of
    these names through two modules of their own (keras/src/initializers/random_initializers.py,
    constant_initializers.py); what is asked for in another way than with a whole number and float32 goes to Keras.
    """
    import keras

    if keras.backend.backend() == "jax":
        with _by_numpy():
            yield
    else:
        yield


@contextmanager
def _by_numpy() -> Iterator[None]:
    import numpy as np
    from keras.src.initializers import constant_initializers as constant
    from keras.src.initializers import random_initializers

    kept = random_initializers.random, random_initializers.ops, constant.ops
    draws = {
        "uniform": lambda rng, shape, minval=0.0, maxval=1.0: rng.uniform(minval, maxval, shape),
        "normal": lambda rng, shape, mean=0.0, stddev=1.0: rng.normal(mean, stddev, shape),
        "truncated_normal": _truncated_normal,
    }
    algebra = {name: getattr(np, name) for name in ("diag", "sign", "transpose", "reshape")}
    random_initializers.random = _Changed(
        kept[0], {name: _drawn(draw, getattr(kept[0], name)) for name, draw in draws.items()}
    )
    random_initializers.ops = _Changed(kept[1], {**algebra, "qr": np.linalg.qr})
    constant.ops = _Changed(
        kept[2], {name: _filled(getattr(np, name), getattr(kept[2], name)) for name in FILLED}
    )
    try:
        yield
    finally:
        random_initializers.random, random_initializers.ops, constant.ops = kept


class _Changed:
    """A module of which some functions are others."""

    def __init__(self, module: Any, functions: dict[str, Callable[..., Any]]) -> None:
        self._module = module
        vars(self).update(functions)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _drawn(draw: Callable[..., Any], theirs: Callable[..., Any]) -> Callable[..., Any]:
    def ours(shape: Any, *, dtype: Any = None, seed: Any = None, **moments: Any) -> Any:
        import numpy as np

        if dtype != _FLOAT32 or not isinstance(seed, int):
            return theirs(shape, dtype=dtype, seed=seed, **moments)
        return draw(np.random.default_rng(seed), shape, **moments).astype(np.float32)

    return ours


def _filled(fill: Callable[..., Any], theirs: Callable[..., Any]) -> Callable[..., Any]:
    def ours(shape: Any, dtype: Any = None) -> Any:
        return fill(shape, dtype) if dtype == _FLOAT32 else theirs(shape, dtype=dtype)

    return ours


def _truncated_normal(rng: Any, shape: Any, mean: float = 0.0, stddev: float = 1.0) -> Any:
    """Normal values of which those beyond two deviations are drawn again."""
    import numpy as np

    values = rng.normal(size=shape)
    while (beyond := np.abs(values) > 2).any():
        values[beyond] = rng.normal(size=int(beyond.sum()))
    return values * stddev + mean


def make_variables(model: "keras.Model", batch_size: int) -> None:
    """Makes the variables of optimizer and metrics, which Keras makes in the first step.

    TensorFlow traces a function twice when the first trace makes variables
    (https://github.com/tensorflow/tensorflow/issues/48851). And metrics that do not exist yet cannot be reset
    (https://github.com/keras-team/keras/issues/19203).
    """
    import numpy as np

    with initial_values_by_numpy():
        model.optimizer.build(model.trainable_variables)
    model.compute_metrics(
        x=None,
        y=np.zeros((batch_size, 1), np.int32),
        y_pred=np.full((batch_size, *model.output_shape[1:]), 0.5, np.float32),
        sample_weight=np.ones(batch_size, np.float32),
    )


def trace_prediction(model: "keras.Model") -> None:
    """Has `predict_on_batch` trace once for all widths and sizes, where it is TensorFlow's, and never compile with XLA.

    It would trace anew for the second shape it sees (https://github.com/tensorflow/tensorflow/issues/34907). Its
    function is made by `make_predict_function` and takes a list of batches (keras/src/backend/tensorflow/trainer.py).

    Where TensorFlow sees a GPU, Keras has XLA compile a model that was loaded and not compiled, for every width anew:
    the linear model's first 300 texts take 12.5 s in place of 0.3 s. A model's `jit_compile` can be set.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    model.jit_compile = False
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
