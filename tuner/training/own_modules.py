"""The modules of a person's own that this process may run: those that the person has named.

A search space, a run folder and a model folder may name modules: of architectures, and of layers that a saved model
has. Importing a module runs it, and folders come from other people, too. So nothing is imported because a folder names
it: the person names it, in the space of a search or with `--module`. This is the only place that imports such modules.
"""

import importlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from tuner.errors import ConfigError, SpaceError
from tuner.run.folder import RunFolder
from tuner.settings.config import SearchConfig
from tuner.settings.hyperparameters import is_custom
from tuner.text import excerpt, one_line

_named: set[str] = set()


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
    """The module, imported, from the current folder if it is nowhere else; only after it was named.

    Raises:
        ImportError: it was not named.
        Exception: whatever it raises.
    """
    if not _is_named(module):
        raise ImportError(f"{module} was not named with --module", name=module)
    _make_current_folder_importable()
    return importlib.import_module(module)


def import_modules(modules: str | Iterable[str]) -> None:
    """Imports modules that the person names with `--module`, so that Keras knows layers that they register.

    Raises:
        ConfigError: one is no module's name, or cannot be imported.
    """
    for module in name_modules(modules):
        try:
            import_module(module)
        except Exception as cause:  # a person's module may raise anything while it is imported
            raise ConfigError(
                f"module {module}: cannot be imported ({type(cause).__name__}: {one_line(str(cause))}); run tuner in "
                "the folder that it lies in, or install it"
            ) from cause


def module_of(architecture: str) -> str:
    """The module that an architecture of a person's own is in."""
    return architecture.partition(":")[0]


def is_module_name(text: str) -> bool:
    """Whether a module could have this name."""
    return all(map(str.isidentifier, text.split(".")))


def _is_named(module: str) -> bool:
    return module in _named or any(module.startswith(f"{each}.") for each in _named)


def _make_current_folder_importable() -> None:
    """As `python -m` would; Ray does so for its workers."""
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
