"""Which code an architecture of a person's own has: a digest that changes when the code does.

Trials of two programs under one name would be ranked against each other. The files are found and read, and nothing is
imported: a run folder from somebody else may name any module.
"""

import ast
import hashlib
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from tuner.settings.hyperparameters import is_custom, module_of
from tuner.training.own_modules import is_module_name, user_folders


def code_of(architectures: Iterable[str]) -> dict[str, str]:
    """For each architecture of a person's own a digest of its module, and of modules beside it that it imports.

    Comments on lines of their own and blank lines do not count. One whose file is not found is left out.
    """
    found = {
        each: _digest(module_of(each))
        for each in filter(is_custom, architectures)
        if is_module_name(module_of(each))
    }
    return {architecture: digest for architecture, digest in found.items() if digest is not None}


def _digest(module: str) -> str | None:
    spec = _spec(module)
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return None
    file = Path(spec.origin)
    root = file.parents[module.count(".") + (file.name == "__init__.py")]
    digest = hashlib.sha256()
    for each in sorted(_with_imported(file, root, module)):
        digest.update(f"{each.relative_to(root).as_posix()}\n{_significant(each)}\n".encode())
    return digest.hexdigest()[:16]


def _spec(module: str) -> ModuleSpec | None:
    """Where the module lies; unlike `importlib.util.find_spec` this runs no package that it is in."""
    folders: list[str] | None = [*sys.path, *user_folders()]
    spec = None
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        spec = PathFinder.find_spec(name, folders)
        if spec is None:
            return None
        folders = list(spec.submodule_search_locations or ())
    return spec


def _with_imported(file: Path, root: Path, module: str) -> set[Path]:
    """The file, and those that it imports, and so on: in its package, or beside it where people keep scripts."""
    libraries = {*site.getsitepackages(), site.getusersitepackages()}
    # Resolved: through a link to the environment all of its packages would lie beside the module.
    is_library = root.resolve() in {
        Path(folder).resolve() for folder in {*libraries, *sysconfig.get_paths().values()}
    }
    own = root / module.partition(".")[0]
    found: set[Path] = set()
    pending = [file]
    while pending:
        each = pending.pop()
        if each in found or (is_library and own not in each.parents and each != file):
            continue
        found.add(each)
        for name in _imported(each, root):
            path = root.joinpath(*name.split("."))
            beside = (path.with_suffix(".py"), path / "__init__.py")
            pending += (candidate for candidate in beside if candidate.is_file())
    return found


def _imported(file: Path, root: Path) -> Iterator[str]:
    """Names of modules that the file imports, and names in them that may be modules."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return  # a trial will say what is wrong with it
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = file.relative_to(root).parts[: -node.level] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}".lstrip(".") for alias in node.names)


def _significant(file: Path) -> str:
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(
        line.rstrip() for line in lines if line.strip() and not line.lstrip().startswith("#")
    )
