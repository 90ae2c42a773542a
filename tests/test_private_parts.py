"""Private parts of Ray, Optuna, Keras and TensorFlow are used in modules of their own, each with its reason."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TUNER = Path(__file__).parents[1] / "tuner"
ALLOWED = {
    "ray": (
        "execution/ray_internals.py",
        "execution/tune_internals.py",
        "execution/worker_internals.py",
    ),
    "optuna": ("run/optuna_internals.py",),
    "keras": ("training/keras_internals.py",),
    "tensorflow": ("training/keras_internals.py",),
}
MODULES = {module for modules in ALLOWED.values() for module in modules}
# Modules without an underscore that their owners do not document.
UNDOCUMENTED = (
    "ray.scripts",
    "ray.tune.execution",
    "keras.src",
    "tensorflow.python",
    "optuna.storages.journal._",
)
# RAY_TMPDIR and those of the token are documented, and read by us as by Ray.
_VARIABLE = re.compile(r"(RAY|TUNE)_(?!TMPDIR|AUTH_)\w+")
FILES = sorted(file for file in TUNER.rglob("*.py") if str(file.relative_to(TUNER)) not in MODULES)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def imported_modules(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def private_imports(tree: ast.AST) -> list[str]:
    """Modules of theirs, and names in them, that are private or not documented."""
    return [
        name
        for name in imported_modules(tree)
        if name.split(".")[0] in ALLOWED
        and (name.startswith(UNDOCUMENTED) or any(is_private(part) for part in name.split(".")))
    ]


def names_defined(tree: ast.AST) -> set[str]:
    """Names with an underscore that a module defines itself: functions, methods, attributes."""
    defined = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            defined.add(node.attr)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            defined.add(node.target.id)
        elif isinstance(node, ast.Assign):
            defined |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {name for name in defined if is_private(name)}


def private_attributes(
    tree: ast.AST, defined_here: set[str], defined_anywhere: set[str]
) -> list[str]:
    """Attributes with an underscore of objects that are none of this module's.

    Of `self` and the like, whatever some class of ours defines is its own; what it inherits from theirs is not.
    """
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not is_private(node.attr):
            continue
        is_own = isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}
        if ast.unparse(node) == "os._exit":
            continue
        if node.attr not in (defined_anywhere if is_own else defined_here):
            found.append(ast.unparse(node))
    return found


def private_uses(text: str, defined_anywhere: set[str] = frozenset()) -> list[str]:  # type: ignore[assignment]
    tree = ast.parse(text)
    defined = names_defined(tree)
    variables = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and _VARIABLE.fullmatch(node.value)
    ]
    attributes = private_attributes(tree, defined, defined_anywhere | defined)
    return private_imports(tree) + attributes + variables


def test_private_parts_are_used_in_their_modules_only() -> None:
    texts = {file: file.read_text(encoding="utf-8") for file in FILES}
    anywhere = set().union(*(names_defined(ast.parse(text)) for text in texts.values()))
    found = {
        str(file.relative_to(TUNER)): uses
        for file, text in texts.items()
        if (uses := private_uses(text, anywhere))
    }
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "import ray._private.services",
        "from ray._private import worker",
        "from optuna.storages.journal._storage import JournalStorageReplayResult",
        "from ray.tune.execution import class_cache",
        "from keras.src import backend",
        "from tensorflow.python.eager import context",
        "import ray\nray._private.worker",
        "study._storage.get_trial(0)",
        "def f(trial):\n    return trial._trial_id",
        "class Sampler(TPESampler):\n    def f(self):\n        return self._rng",
        "import os\nos.environ['TUNE_GLOBAL_CHECKPOINT_S'] = '1'",
        "x = 'RAY_gcs_rpc_server_reconnect_timeout_s'",
    ],
)
def test_a_private_use_is_found(text: str) -> None:
    assert len(private_uses(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "import ray\nray.init(address='auto')",
        "from optuna.trial import TrialState",
        "class A:\n    def __init__(self):\n        self._x = 1\n    def f(self, other):\n        return other._x",
        "import os\nos._exit(1)",
        "x = 'RAY_TMPDIR'",
        "x = 'set RAY_AUTH_TOKEN to the token'",
    ],
)
def test_public_names_and_our_own_are_not_found(text: str) -> None:
    assert private_uses(text) == []
