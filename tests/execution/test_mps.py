"""NVIDIA MPS, with a program in place of NVIDIA's; killed processes leave nothing."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.mps_node import GRACE_S, Node, processes, read, wait_for

from tuner.execution import mps, mps_keeper
from tuner.nvidia import Driver, Gpu, MpsMode

pytestmark = pytest.mark.slow  # each test waits for processes that it starts

PROGRAM = Path(__file__).parents[1] / "support" / "mps_control.py"


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    made = Node()
    programs = made.root / "bin"
    programs.mkdir()
    program = programs / "nvidia-cuda-mps-control"
    source = PROGRAM.read_text(encoding="utf-8")
    program.write_text(f"#!{sys.executable} -IS\n{source}", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.delenv(mps.PIPES, raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    yield made
    made.close()


DIVIDED = Gpu("GPU-1", "H100", slices=(Gpu("MIG-1", "H100 1g.10gb"),))


def show(monkeypatch: pytest.MonkeyPatch, gpu: Gpu) -> None:
    """Has the driver list a GPU."""
    monkeypatch.setattr(mps, "ask_driver", lambda: Driver("580", (gpu,)))


@contextmanager
def joining() -> Iterator[None]:
    """Has this process leave MPS at the end, as no other process does before it dies."""
    try:
        yield
    finally:
        for variable in (mps.PIPES, "CUDA_MPS_LOG_DIRECTORY"):
            os.environ.pop(variable, None)
        for file in mps._held:
            file.close()
        mps._held.clear()


def test_two_processes_at_once_start_one_daemon_for_all_gpus_and_the_last_one_ends_it(
    node: Node,
) -> None:
    first, second = node.client(CUDA_VISIBLE_DEVICES="1"), node.client(CUDA_VISIBLE_DEVICES="0")
    assert read(first) == read(second) == node.joined
    assert (node.root / "started").read_text(encoding="ascii") == "all\n"
    assert node.folder.stat().st_mode & 0o777 == 0o700
    first.kill()
    time.sleep(3 * GRACE_S)
    assert node.folder.exists()
    second.kill()
    node.wait_until_clear()
    assert (node.root / "ended").exists()


def test_a_dead_keeper_is_replaced_and_what_it_left_is_used_or_cleared(node: Node) -> None:
    assert node.answer() == node.joined
    os.kill(node.keeper, signal.SIGKILL)
    node.clients[0].kill()  # and nobody is there to end the daemon
    assert node.answer() == node.joined
    assert node.starts == 1
    node.clients[1].kill()
    node.wait_until_clear()


def test_looking_finds_a_daemon_and_starts_none(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mps.mps_state(root=node.root) == mps.MpsState(False)
    assert not node.folder.exists()
    assert node.answer() == node.joined
    assert mps.mps_state(root=node.root) == mps.MpsState(True)
    monkeypatch.setenv(mps.PIPES, str(node.root / "elsewhere"))
    assert "no MPS answers there" in mps.mps_state(root=node.root).reason
    monkeypatch.delenv(mps.PIPES)
    node.clients[0].kill()
    node.wait_until_clear()
    monkeypatch.setenv("PATH", str(node.root))
    assert "nvidia-cuda-mps-control is missing" in mps.mps_state(root=node.root).reason


def test_looking_names_what_keeps_it_from_starting(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.folder.mkdir()
    (node.folder / "failure").write_text("no device", encoding="utf-8")
    assert mps.mps_state(root=node.root) == mps.MpsState(False, "no device")
    show(monkeypatch, DIVIDED)
    assert "MIG" in mps.mps_state(root=node.root).reason


def test_a_dead_daemon_is_replaced(node: Node) -> None:
    assert node.answer() == node.joined
    os.kill(node.daemon, signal.SIGKILL)
    assert node.answer() == node.joined
    assert node.starts == 2


def test_a_daemon_that_answers_late_keeps_its_clients(node: Node) -> None:
    assert node.answer() == node.joined
    daemon = node.daemon
    assert node.answer(MPS_TEST="late") == node.joined
    assert (node.daemon, node.starts) == (daemon, 1)


def test_a_keeper_finds_what_this_process_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also packages in a folder of PYTHONPATH, such as all of those that it imports."""
    folders: list[str] = []

    def run(command: list[str], *, env: dict[str, str], **options: object) -> None:
        folders.extend(env["PYTHONPATH"].split(os.pathsep))

    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.setattr(subprocess, "run", run)
    mps._keep(tmp_path, GRACE_S)
    assert str(tmp_path / "packages") in folders


def test_a_keeper_that_cannot_be_replaced_keeps_nobody_from_joining(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert node.answer() == node.joined
    os.kill(node.keeper, signal.SIGKILL)
    wait_for(lambda: not processes(b"tuner.execution.mps_keeper", str(node.folder).encode()))
    monkeypatch.setattr(mps.sys, "executable", "/nowhere/python")
    with joining():
        assert mps.ensure(MpsMode.AUTO, root=node.root, grace_s=GRACE_S) == mps.MpsState(True)


def test_a_keeper_outlives_what_it_cannot_do_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems = [TimeoutError("the lock is held"), OSError("too many open files")]

    def is_used(folder: Path) -> bool:
        if problems:
            raise problems.pop()
        return False

    monkeypatch.setattr(mps, "is_used", is_used)
    monkeypatch.setattr(mps, "end", lambda folder: folder.rename(tmp_path / "ended"))
    (tmp_path / "mps").mkdir()
    mps_keeper.keep(tmp_path / "mps", 0.01)
    assert (tmp_path / "ended").exists()


def test_a_daemon_that_does_not_answer_is_ended_and_replaced(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert node.answer() == node.joined
    hanging = node.daemon
    os.kill(hanging, signal.SIGSTOP)
    monkeypatch.setattr(mps, "_ANSWER_S", 1.0)
    monkeypatch.setattr(mps, "_AGAIN_S", 0.0)
    with joining():
        assert mps.ensure(MpsMode.AUTO, root=node.root, grace_s=GRACE_S) == mps.MpsState(True)
        assert os.environ[mps.PIPES] == str(node.folder / "pipe")
        assert node.daemon != hanging
        assert hanging not in processes(str(node.folder).encode())


@pytest.mark.parametrize("given", [True, False], ids=["by its variable", "where CUDA looks"])
def test_a_daemon_of_the_persons_own_is_used_and_left_alone(node: Node, given: bool) -> None:
    pipes = node.root / ("own" if given else "nvidia-mps")
    (pipes / "log").mkdir(parents=True)
    own = {mps.PIPES: str(pipes), "CUDA_MPS_LOG_DIRECTORY": str(pipes / "log")}
    subprocess.run(["nvidia-cuda-mps-control", "-d"], check=True, env={**os.environ, **own})
    assert node.answer(**(own if given else {})) == f"True  {pipes if given else None}"
    assert not node.folder.exists()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (
            "refuse",
            "nvidia-cuda-mps-control does not start: Failed to start: the driver does not support MPS",
        ),
        ("no server", "NVIDIA's MPS server does not start: no device"),
        ("hang", "nvidia-cuda-mps-control -d does not answer within 0.3 s"),
    ],
)
def test_what_cannot_start_has_one_reason_and_leaves_nothing(
    node: Node, monkeypatch: pytest.MonkeyPatch, fault: str, reason: str
) -> None:
    monkeypatch.setenv("MPS_TEST", fault)
    monkeypatch.setattr(mps, "_ANSWER_S", 0.3 if fault == "hang" else 20.0)
    monkeypatch.setattr(mps, "_SERVER_S", 0.3)
    state = mps.ensure(MpsMode.AUTO, root=node.root, grace_s=GRACE_S)
    assert not state.is_running
    assert reason in state.reason
    assert mps.PIPES not in os.environ
    assert [path.name for path in node.folder.iterdir()] == ["failure"]
    # A process that was told to quit takes a moment.
    wait_for(lambda: processes(str(node.folder).encode()) == [])
    monkeypatch.delenv("MPS_TEST")
    assert node.answer() == f"False {state.reason} None"  # at once, without another try
    os.utime(node.folder / "failure", (0, 0))
    assert node.answer() == node.joined


def test_without_the_program_the_reason_is_that_it_is_missing(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(node.root))
    state = mps.ensure(MpsMode.AUTO, root=node.root)
    assert state.reason == "nvidia-cuda-mps-control is missing, which comes with NVIDIA's driver"


def test_a_wrong_variable_is_named(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(mps.PIPES, "/nowhere")
    state = mps.ensure(MpsMode.AUTO, root=node.root)
    assert "CUDA_MPS_PIPE_DIRECTORY is /nowhere, but no MPS answers there" in state.reason


def test_a_folder_that_is_another_users_is_not_used(node: Node) -> None:
    (node.root / "elsewhere").mkdir()
    node.folder.symlink_to(node.root / "elsewhere")
    state = mps.ensure(MpsMode.AUTO, root=node.root)
    assert "is not this user's folder; remove it" in state.reason


def test_off_starts_nothing(node: Node) -> None:
    assert mps.ensure(MpsMode.OFF, root=node.root) == mps.MpsState(False, "--mps off")
    assert not node.folder.exists()


@pytest.mark.parametrize(
    ("gpu", "reason"),
    [
        (DIVIDED, "slices of a GPU (MIG)"),
        (
            Gpu("GPU-1", "Tesla P100", capability=(6, 0)),
            "needs a GPU from 2017 on (Volta), and Tesla P100 is older",
        ),
    ],
)
def test_slices_and_old_gpus_are_not_shared_through_it(
    node: Node, monkeypatch: pytest.MonkeyPatch, gpu: Gpu, reason: str
) -> None:
    show(monkeypatch, gpu)
    assert reason in mps.ensure(MpsMode.AUTO, root=node.root).reason


def test_what_another_user_has_put_where_cuda_looks_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nvidia-mps").mkdir()
    (tmp_path / "nvidia-mps" / "control").touch()
    monkeypatch.delenv(mps.PIPES, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))  # as in a container whose host runs MPS
    assert mps.mps_state(root=tmp_path).is_running
    original = Path.stat

    def of_another(self: Path, **options: bool) -> os.stat_result:
        found = list(original(self, **options))
        found[4] = 4711
        return os.stat_result(found)

    monkeypatch.setattr(Path, "stat", of_another)
    assert "nvidia-cuda-mps-control is missing" in mps.mps_state(root=tmp_path).reason
