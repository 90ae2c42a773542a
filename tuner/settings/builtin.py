"""Finds a space by name or file: the built-in ones, and a person's own."""

import difflib
import os
from importlib import resources
from pathlib import Path

from tuner.errors import SpaceError
from tuner.settings.space import SearchSpace
from tuner.text import one_line


def builtin_space_names() -> list[str]:
    """Names of the spaces that come with the package."""
    return sorted(path.stem for path in _builtin_folder().glob("*.yaml"))


def find_space(name_or_path: str) -> SearchSpace:
    """The space in a file, or a built-in one by its name.

    Raises:
        SpaceError: neither exists, or the space is not valid.
    """
    # os.path, because pathlib raises on `~nobody` and on names too long for the file system.
    path = Path(os.path.expanduser(name_or_path))
    if path.suffix in {".yaml", ".yml"} or os.path.isfile(path):
        if not os.path.exists(path):
            raise SpaceError(f"{one_line(name_or_path)}: no such file; {_what_exists(path.stem)}")
        return SearchSpace.from_file(path)
    if name_or_path in builtin_space_names():
        return SearchSpace.from_file(_builtin_folder() / f"{name_or_path}.yaml")
    raise SpaceError(
        f"{name_or_path!r} is neither a file nor a built-in space; {_what_exists(name_or_path)}"
    )


def space_text(name_or_path: str) -> str:
    """The text of a valid space, with its comments.

    Raises:
        SpaceError: as `find_space`.
    """
    space = find_space(name_or_path)
    if name_or_path in builtin_space_names() and not os.path.isfile(name_or_path):
        return (_builtin_folder() / f"{name_or_path}.yaml").read_text(encoding="utf-8")
    return space.to_yaml()


def _builtin_folder() -> Path:
    # A checkout comes first: an editable install leaves a stale copy behind (measured).
    checkout = Path(__file__).resolve().parents[2] / "search_spaces"
    if checkout.is_dir() and (checkout.parent / "pyproject.toml").is_file():
        return checkout
    return Path(str(resources.files("tuner") / "_builtin" / "search_spaces"))


def _what_exists(wanted: str) -> str:
    names = builtin_space_names()
    near = difflib.get_close_matches(wanted, names, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"write a YAML file's path or one of {', '.join(names)}"
