"""Whether all nodes of a cluster can keep checkpoints where the search wants them."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from support.run_files import files_below
from support.searches import make

from tuner.data import load_dataset
from tuner.errors import ConfigError
from tuner.execution.checkpoints import check_nodes, check_writable, checkpoints_of, try_here
from tuner.execution.faulty_nodes import Node
from tuner.settings.space import SearchSpace
from tuner.storage import Storage

NODES = [Node(f"id-{host}", "10.0.0.1", host, {"CPU": 2.0}) for host in ("anna", "bert")]


def asking(place_at: Callable[[Node, str], str]) -> Callable[..., Mapping[str, str | None]]:
    """Nodes that find the storage in a place of their own."""

    def ask(nodes: Sequence[Node], place: str, token: str) -> Mapping[str, str | None]:
        return {node.id: try_here(place_at(node, place), token, node.id) for node in nodes}

    return ask


def test_nodes_that_share_the_storage_say_nothing_and_leave_nothing(tmp_path: Path) -> None:
    notes: list[str] = []
    check_nodes(Storage(str(tmp_path / "all")), NODES, asking(lambda _, place: place), notes.append)
    assert notes == []
    assert set(files_below(tmp_path)) <= {"all"}


def test_a_node_on_which_the_folder_is_another_one_is_named(tmp_path: Path) -> None:
    notes: list[str] = []
    ask = asking(lambda node, place: place if node.host == "anna" else str(tmp_path / "bert"))
    check_nodes(Storage(str(tmp_path / "all")), NODES, ask, notes.append)
    (note,) = notes
    assert note.startswith("tuner: --storage-path: bert cannot keep checkpoints there: ")
    assert "does not show what the driver has written there, so it is not shared" in note


def test_a_folder_that_is_copied_to_nodes_is_not_shared(tmp_path: Path) -> None:
    notes: list[str] = []

    def place_at(node: Node, place: str) -> str:
        return str(shutil.copytree(place, tmp_path / node.host)) if node.host == "bert" else place

    check_nodes(Storage(str(tmp_path / "all")), NODES, asking(place_at), notes.append)
    (note,) = notes
    assert "bert cannot keep checkpoints there" in note
    assert "what it writes there does not arrive here" in note


def test_storage_that_no_node_can_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ask = asking(lambda node, place: str(tmp_path / "file"))
    message = r"no node can keep checkpoints there \(anna and 1 more\): .*file.*; give the nodes the right"
    with pytest.raises(ConfigError, match=message):
        check_nodes(Storage(str(tmp_path / "all")), NODES, ask, print)


def test_a_node_that_does_not_answer_is_named(tmp_path: Path) -> None:
    notes: list[str] = []
    both = asking(lambda _, place: place)
    check_nodes(
        Storage(str(tmp_path / "all")),
        NODES,
        lambda *asked: {**both(*asked), "id-bert": "no answer within 60 s"},
        notes.append,
    )
    assert notes == [
        "tuner: --storage-path: bert cannot keep checkpoints there: no answer within 60 s; "
        "trials that such a node loses start anew"
    ]


def test_storage_that_this_machine_cannot_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_writable(None)
    storage = Storage(str(tmp_path / "all"))
    check_writable(storage)
    assert set(files_below(tmp_path)) <= {"all"}

    def refuse(self: Storage, name: str, content: bytes) -> None:
        raise OSError(f"{self.place}/{name}: AccessDenied")

    monkeypatch.setattr(Storage, "write", refuse)
    with pytest.raises(ConfigError, match=r"--storage-path: .*AccessDenied; choose another one"):
        check_writable(storage)


def test_storage_that_cannot_be_reached_is_refused_by_its_option(
    space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    config = make(space, sentences, tmp_path, storage_path="nonsense://bucket")
    with pytest.raises(ConfigError, match=r"^--storage-path: nonsense://.*; .* or write 'off': "):
        checkpoints_of(config, load_dataset(config.data))
