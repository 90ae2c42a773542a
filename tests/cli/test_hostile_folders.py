"""Folders from somebody who wants to run code here, or to write elsewhere: each is refused in one line.

An audit hook watches every import and every file that is opened for writing.
"""

import json
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.commands import Call, MakeRun
from support.run_files import record

from tuner.errors import SpaceError
from tuner.finalists import choice
from tuner.run.folder import RunFolder
from tuner.run.run_file import write_run_file
from tuner.settings.config import make_config
from tuner.settings.space import SearchSpace
from tuner.training import own_modules

EVIL = "evil_module"
_watched: list[tuple[str, str]] = []
_is_watching = False


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if not _is_watching:
        return
    if event == "import":
        _watched.append((event, str(arguments[0])))
    elif event == "open":
        path, _, flags = arguments
        if isinstance(path, str) and isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR):
            _watched.append((event, os.path.realpath(path)))


@pytest.fixture(scope="module")
def _hook() -> None:
    sys.addaudithook(_watch)  # stays until the process ends, and does nothing after this module


@pytest.fixture(autouse=True)
def trap(_hook: None, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module that must not be run, in the current folder; nothing may be written outside that folder."""
    global _is_watching
    (folder / f"{EVIL}.py").write_text("raise SystemExit('the trap has shut')")
    monkeypatch.setattr(own_modules, "_named", set())
    path = list(sys.path)
    _watched.clear()
    _is_watching = True
    yield
    _is_watching = False
    allowed = (str(folder), os.devnull, os.environ["TUNER_CACHE"])
    for event, what in _watched:
        if event == "import":
            assert EVIL not in what
        else:
            assert "__pycache__" in what or what.startswith(allowed), what
    assert sys.path == path


# -- models ---------------------------------------------------------------------------------------


def make_model(folder: Path, **member: object) -> Path:
    """A model folder whose one member is described so."""
    model = folder / "model"
    model.mkdir(exist_ok=True)
    whole = {
        "file": "member-1.keras",
        "trial": 1,
        "seed": 1,
        "max_length": 10,
        "vocabulary_size": 4,
        "module": None,
        **member,
    }
    description = {
        "format": 1,
        "run": "theirs",
        "class_names": ["a", "b"],
        "token_mode": "words",
        "vocabulary": ["", "", "", "x"],
        "members": [whole],
    }
    (model / "model.json").write_text(json.dumps(description))
    return model


@pytest.mark.parametrize(
    "file",
    [
        "../outside.keras",
        "/etc/hostname",
        "member-1.keras/../../outside.keras",
        "member-1.h5",
        "http://example.com/member-1.keras",
        "",
        None,
        ["member-1.keras"],
    ],
)
def test_a_member_outside_the_folder_is_refused(folder: Path, call: Call, file: object) -> None:
    model = make_model(folder, file=file)
    assert (
        "a member's file must be named like member-1.keras"
        in call("predict", str(model), "x").refusal
    )


@pytest.mark.parametrize("module", ["os; import evil", "..evil", "", 3, [EVIL], "a-b"])
def test_a_module_that_is_no_name_is_refused(folder: Path, call: Call, module: object) -> None:
    model = make_model(folder, module=module)
    assert "module must be a module's name" in call("predict", str(model), "x").refusal


@pytest.mark.parametrize("name", ["model.json", "member-1.keras"])
def test_a_link_to_another_folder_is_refused(
    folder: Path, call: Call, tmp_path: Path, name: str
) -> None:
    model = make_model(folder)
    (model / "member-1.keras").write_bytes(b"")
    (model / name).rename(tmp_path / name)
    (model / name).symlink_to(tmp_path / name)
    refusal = call("predict", str(model), "x").refusal
    assert f"{name}: is a link to a file outside the folder; put the file there" in refusal


def test_a_pipe_is_refused_and_not_waited_for(folder: Path, call: Call) -> None:
    model = make_model(folder)
    (model / "model.json").unlink()
    os.mkfifo(model / "model.json")
    assert "no exported model" in call("predict", str(model), "x").refusal


@pytest.mark.parametrize(
    "content", ["[" * 100_000, "9" * 5_000, '{"format": 1, "members": 3}', "\0", '"\\ud800"']
)
def test_a_strange_description_is_refused(folder: Path, call: Call, content: str) -> None:
    model = make_model(folder)
    (model / "model.json").write_text(content)
    assert "no exported model of this version" in call("predict", str(model), "x").refusal


def test_a_description_that_would_fill_the_memory_is_refused(folder: Path, call: Call) -> None:
    model = make_model(folder)
    os.truncate(model / "model.json", 2**40)
    assert "1,099,511,627,776 bytes" in call("predict", str(model), "x").refusal


def test_very_many_members_are_refused(folder: Path, call: Call) -> None:
    model = make_model(folder)
    content = json.loads((model / "model.json").read_text())
    content["members"] *= 1001
    (model / "model.json").write_text(json.dumps(content))
    assert "1,001 members; an export has 1,000 at most" in call("predict", str(model), "x").refusal


def test_an_archive_that_unpacks_into_very_much_is_refused(folder: Path, call: Call) -> None:
    model = make_model(folder)
    with zipfile.ZipFile(model / "member-1.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(10_000_000))
    assert "would unpack into 10,000,000 bytes" in call("predict", str(model), "x").refusal


def test_a_file_that_is_no_archive_is_refused(folder: Path, call: Call) -> None:
    model = make_model(folder)
    (model / "member-1.keras").write_bytes(b"import os")
    assert "member-1.keras: cannot be loaded" in call("predict", str(model), "x").refusal


# -- runs -----------------------------------------------------------------------------------------


@pytest.fixture
def run(folder: Path, make_run: MakeRun) -> str:
    """A run whose architecture is the module that must not be run."""
    architectures = {f"{EVIL}:build": {"units": {"int": [1, 2]}}}
    space = SearchSpace.from_mapping({"name": "x", "architectures": architectures}, "x.yaml")
    path = make_run("theirs", 0.5, space=space)
    write_run_file(RunFolder(folder / path), make_config({"space": space}), "data")
    return path


@pytest.mark.parametrize(
    "command",
    [
        ("confirm", "runs/theirs"),
        ("train", "runs/theirs:0"),
        ("search", "--config", "runs/theirs/run.yaml"),
        ("submit", "runs/theirs/run.yaml"),
    ],
    ids=lambda command: str(command[0]),
)
def test_code_that_only_a_run_folder_names_is_not_run(
    run: str, call: Call, command: tuple[str, ...]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in Path(run).rglob("*") if path.is_file()}
    refusal = call(*command).refusal
    assert f"its architecture '{EVIL}:build' is code of a module" in refusal
    assert f"which is run only if you name it: --module {EVIL}, in Python modules=" in refusal
    after = {path: path.stat().st_mtime_ns for path in Path(run).rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize("command", ["test", "export"])
def test_finalists_whose_code_only_a_run_folder_names_are_not_run(
    run: str, call: Call, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    finalist = SimpleNamespace(record=record(architecture=f"{EVIL}:build"))
    dataset = SimpleNamespace(fingerprint="data", class_names=("down", "up"))
    monkeypatch.setattr(choice, "load_dataset", lambda *_, **__: dataset)
    monkeypatch.setattr(choice, "read_finalists", lambda *_: [finalist])
    assert f"--module {EVIL}" in call(command, run).refusal


def test_a_module_in_a_name_that_is_no_module_is_not_suggested() -> None:
    with pytest.raises(SpaceError, match="is run only if you name it; read it first"):
        own_modules.check_named(["x; rm -rf ~ #:build"], "theirs")


@pytest.mark.parametrize(
    "name", ["logs", "finalists", "logs/tests.lock", "logs/lock", "tensorboard/written.txt"]
)
@pytest.mark.parametrize("command", ["leaderboard", "status", "confirm", "test", "stop"])
def test_a_link_that_would_be_written_through_is_refused(
    make_run: MakeRun, call: Call, tmp_path: Path, name: str, command: str
) -> None:
    place = Path(make_run("linked", 0.5))
    outside = tmp_path / "precious"
    outside.write_text("precious")
    (place / name).parent.mkdir(exist_ok=True)
    (place / name).symlink_to(outside)
    _watched.clear()  # of what this test has written
    assert (
        f"{name}: is a link; put the file or folder itself there"
        in call(command, str(place)).refusal
    )
    assert outside.read_text() == "precious"


@pytest.mark.parametrize("module", ["a b", "--config", "../evil", ""])
def test_a_module_that_is_none_is_refused(run: str, call: Call, module: str) -> None:
    assert (
        "module: must be named like my_models or my_package.models"
        in call("confirm", run, f"--module={module}").refusal
    )
