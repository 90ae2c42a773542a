"""A user's own architecture: `package.module:function` in a search space.

The function is called as

    build(*, vocabulary_size: int, n_classes: int, **parameters) -> keras.Model

where `parameters` are the ones that the search space lists for it beside those of training. It gets
`(batch, time)` int32 ids, right-padded with 0, and returns `(batch, 1)` sigmoid for two classes or
`(batch, n_classes)` softmax for more, not compiled. Nothing here loads Keras before the function is
called, so the driver may ask `check_importable`. Only modules that the person has named are imported: see
`tuner.training.own_modules`.
"""

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tuner.errors import SpaceError, TrialBroke, TrialFailed
from tuner.settings.hyperparameters import Hyperparameters, module_of
from tuner.training.failures import trial_error
from tuner.training.own_modules import (
    dtype_policy_of,
    import_latest,
    import_module,
)

if TYPE_CHECKING:
    import keras


def check_importable(architecture: str) -> None:
    """Refuses a `package.module:function` that cannot be found, before a search starts; edited code is read anew.

    Raises:
        SpaceError: the form is wrong, the module cannot be imported, or it has no such function.
    """
    try:
        _function(architecture, import_latest)
    except _NotFound as error:
        raise SpaceError(str(error)) from error


def build_custom_model(hyperparameters: Hyperparameters, *, n_classes: int) -> "keras.Model":
    """The model that the user's function returns, its input and output shapes checked.

    Raises:
        TrialBroke: the function cannot be found, or raises: the driver has found it, so it may be this node's fault.
            Errors of a lack of memory or of a GPU pass.
        TrialFailed: it returns something else than described above.
    """
    name = hyperparameters.architecture
    try:
        build = _function(name, import_module)
    except _NotFound as error:  # on this node, or while the file was being written
        raise TrialBroke(str(error)) from error
    try:
        with dtype_policy_of(module_of(name)):
            model = build(
                vocabulary_size=hyperparameters.vocabulary_size,
                n_classes=n_classes,
                **hyperparameters.custom,
            )
    except Exception as error:
        if not isinstance(trial_error(error), TrialBroke):  # no room for it, or a fault of the GPU
            raise
        raise TrialBroke(f"{name} raised {type(error).__name__}: {error}") from error
    _check_model(model, name, n_classes)
    return model


class _NotFound(Exception):
    """There is no function of this name; the message gives the reason and what to write."""


def _function(architecture: str, import_it: Callable[[str], ModuleType]) -> Callable[..., Any]:
    """The function that `package.module:function` names."""
    module_name, _, function_name = architecture.partition(":")
    if not all(map(str.isidentifier, [*module_name.split("."), function_name])):
        raise _NotFound(
            f"architecture {architecture!r} is not of the form package.module:function; write it like "
            "my_package.models:build"
        )
    try:
        module = import_it(module_name)
    except Exception as error:  # a user's module may raise anything while it is imported
        raise _NotFound(
            f"architecture {architecture!r}: module {module_name} cannot be imported "
            f"({type(error).__name__}: {error}); search from the folder that it lies in, or install it"
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise _NotFound(
            f"architecture {architecture!r}: {module_name} has no function {function_name}; define it there"
        )
    return function  # type: ignore[no-any-return]  # callable() narrows getattr's Any to Any


def _check_model(model: Any, name: str, n_classes: int) -> None:
    """Raises TrialFailed unless `model` takes one batch of ids and gives one row of probabilities per sequence."""
    import keras

    if not isinstance(model, keras.Model):
        raise TrialFailed(f"{name} returned {type(model).__name__}; return a keras.Model")
    if not model.built:
        raise TrialFailed(
            f"{name} returned a model without an input; begin it with keras.Input((None,))"
        )
    expected = (None, 1 if n_classes == 2 else n_classes)
    if isinstance(model.output_shape, list) or tuple(model.output_shape) != expected:
        raise TrialFailed(
            f"{name} returned a model with output shape {model.output_shape}; for {n_classes} classes it must be "
            f"{expected}"
        )
