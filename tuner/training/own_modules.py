"""The modules of a person's own that this process may run: those that the person has named.

A search space, a run folder and a model folder may name modules: of architectures, and of layers that a saved model
has. Importing a module runs it, and folders come from other people, too. So nothing is imported because a folder names
it: the person names it, in the space of a search or with `--module`. This is the only place that imports such modules.
"""

import importlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from tuner.errors import ConfigError, SpaceError
from tuner.run.folder import RunFolder
from tuner.settings.config import SearchConfig
from tuner.settings.hyperparameters import TOY_MODULE, is_custom, module_of
from tuner.text import excerpt, one_line

_named = {TOY_MODULE}
_sources: dict[str, bytes] = {}  # of the modules that were imported, as they were then
_dtype_policies: dict[str, Any] = {}  # that modules have set while they were imported


def name_modules(modules: str | Iterable[str]) -> list[str]:
    """Lets this process run these modules and those in them: the person named them with `--module`.

    Returns:
        The modules as a list.

    Raises:
        ConfigError: one is no module's name.
    """
    given = [modules] if isinstance(modules, str) else list(modules)
    for module in given:
        if not isinstance(module, str) or not is_module_name(module):
            raise ConfigError(
                f"module: must be named like my_models or my_package.models, got {excerpt(module)}"
            )
    _named.update(given)
    return given


def name_modules_of(architectures: Iterable[str]) -> None:
    """Lets this process run the modules of these architectures: the person named them, in a space or as a word."""
    _named.update(module_of(each) for each in architectures if is_custom(each))


def check_named(architectures: Iterable[str], where: object) -> None:
    """Refuses architectures of modules that the person has not named.

    Args:
        where: the folder or file that they stand in, for the message.

    Raises:
        SpaceError: one is.
    """
    for architecture in architectures:
        module = module_of(architecture)
        if is_custom(architecture) and not _is_named(module):
            # The form of others is refused where they are looked for.
            advice = f": --module {module}, in Python modules=" if is_module_name(module) else ""
            raise SpaceError(
                f"{where}: its architecture {excerpt(architecture)} is code of a module, which is run only if you name "
                f"it{advice}; read it first if the folder is not yours"
            )


def check_own_space(config: SearchConfig, file: Path | None) -> None:
    """Refuses to search again as the `run.yaml` of a run folder asks for, with modules that the person has not named.

    Any other settings file is the person's own word, as a space is.

    Raises:
        SpaceError: as above.
    """
    if file is not None and RunFolder(file.parent).journal.exists():
        check_named(config.space.architectures, file)


def import_module(module: str) -> ModuleType:
    """The module, imported once, from the current folder if it is nowhere else; only after it was named.

    The trials of a process train with the code that it has imported, whatever is written into the file meanwhile.

    Raises:
        ImportError: it was not named.
        Exception: whatever it raises.
    """
    if not _is_named(module):
        raise ImportError(f"{module} was not named with --module", name=module)
    make_importable(user_folders())
    if module in _sources:
        return importlib.import_module(module)
    with _dtype_policy_noted(module):
        imported = importlib.import_module(module)
    _sources[module] = _source(imported)
    return imported


def import_latest(module: str) -> ModuleType:
    """As `import_module`, and anew where its file was edited since, as between two cells of a notebook.

    Before anything trains, not for a trial: its code would be another one than that of the trials before it.

    Raises:
        ImportError: it was not named.
        Exception: whatever it raises.
    """
    imported = import_module(module)
    source = _source(imported)
    if _sources[module] != source:
        with _dtype_policy_noted(module):
            imported = importlib.reload(imported)
        _sources[module] = source
    return imported


@contextmanager
def dtype_policy_of(module: str) -> Iterator[None]:
    """Has Keras use the dtype policy that this module set when it was imported, which `clear_session` takes back."""
    policy = _dtype_policies.get(module)
    if policy is None:
        yield
        return
    keras = sys.modules["keras"]
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextmanager
def _dtype_policy_noted(module: str) -> Iterator[None]:
    """Notes the dtype policy that a module sets while it is imported here, and takes it back: it is for its models."""
    before = _dtype_policy()
    _dtype_policies.pop(module, None)
    try:
        yield
    finally:
        now = _dtype_policy()
        if now is not None and now != before:
            _dtype_policies[module] = now
            keras = sys.modules["keras"]
            keras.config.set_dtype_policy(before or keras.config.floatx())


def _dtype_policy() -> Any:
    """Keras' dtype policy; None where Keras is not loaded."""
    keras = sys.modules.get("keras")
    return None if keras is None else keras.config.dtype_policy()


def user_folders() -> tuple[str, ...]:
    """The folders of this process where people keep their own modules: the script's and the current one."""
    script = os.path.dirname(os.path.realpath(sys.argv[0])) if sys.argv and sys.argv[0] else ""
    return (*([script] if script in sys.path else []), os.getcwd())


def folders_for(architectures: Iterable[str]) -> tuple[str, ...]:
    """The folders that other processes need for these architectures: none for those that are not a person's own."""
    return user_folders() if any(map(is_custom, architectures)) else ()


def make_importable(folders: Sequence[str]) -> None:
    """Lets this process import modules from these folders, after all others: none takes the place of a library."""
    known = {os.path.abspath(folder) for folder in sys.path}
    sys.path.extend(folder for folder in folders if folder not in known)


def _source(module: ModuleType) -> bytes:
    try:
        return Path(module.__file__ or "").read_bytes()
    except OSError:  # of a package without a file, say
        return b""


def import_modules(modules: str | Iterable[str]) -> None:
    """Imports modules that the person names with `--module`, so that Keras knows layers that they register.

    Raises:
        ConfigError: one is no module's name, or cannot be imported.
    """
    for module in name_modules(modules):
        try:
            import_latest(module)
        except Exception as cause:  # a person's module may raise anything while it is imported
            raise ConfigError(
                f"module {module}: cannot be imported ({type(cause).__name__}: {one_line(str(cause))}); run tuner in "
                "the folder that it lies in, or install it"
            ) from cause


def is_module_name(text: str) -> bool:
    """Whether a module could have this name."""
    return all(map(str.isidentifier, text.split(".")))


def _is_named(module: str) -> bool:
    return module in _named or any(module.startswith(f"{each}.") for each in _named)
