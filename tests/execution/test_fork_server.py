"""Workers are forked from a process that has imported what they need, and start by themselves where it is gone."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
import ray
from support.searches import make, toy_space

from tuner.execution import fork_server, forked_worker
from tuner.execution.fork_server import ForkServer
from tuner.execution.worker_internals import FIXED_AT_IMPORT
from tuner.settings.config import SearchConfig

pytestmark = [
    pytest.mark.ray,  # imported in the server
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers start by themselves"),
]

_RAYS_SETUP = str(Path(ray.__file__).parent / "_private" / "workers" / "setup_worker.py")
_PROGRAM = """
import json, os, sys
has_ray = "ray" in sys.modules
oom_score = int(open("/proc/self/oom_score_adj").read())
print(json.dumps([os.getpid(), os.getppid(), os.getpgrp(), os.getcwd(), has_ray, oom_score, sys.argv[1:]]))
print(os.environ["WORD"], file=sys.stderr)
"""


def _config(folder: Path, **settings: object) -> SearchConfig:
    return make(toy_space(), folder / "sentences.csv", folder, **settings)


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    server = ForkServer.start(with_keras=False)
    with patch.object(fork_server, "_running", server):
        yield server
    server.close()


@pytest.fixture(scope="module")
def listening(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's socket."""
    return server.listen(tmp_path_factory.mktemp("s"))


def _worker(
    listening: Path, folder: Path, *options: str, **environment: str
) -> "subprocess.Popen[str]":
    """What Ray starts, with a program that prints what it is."""
    program = folder / "worker.py"
    program.write_text(_PROGRAM, encoding="utf-8")
    variables = {forked_worker.SERVER: str(listening), forked_worker.SETUP: _RAYS_SETUP}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [
            *[sys.executable, forked_worker.__file__, "-s", str(program)],
            *["--word", "", "--language=PYTHON", *options],
        ],
        cwd=folder,
        env={**os.environ, **dict.fromkeys(FIXED_AT_IMPORT, "1"), **variables, **environment},
        stdout=pipe,
        stderr=pipe,
        text=True,
        preexec_fn=lambda: Path("/proc/self/oom_score_adj").write_text("900"),
    )


def test_a_worker_is_forked_with_all_that_ray_gave_it(
    server: ForkServer, listening: Path, tmp_path: Path
) -> None:
    started = _worker(listening, tmp_path, WORD="a\nword é")
    out, error = started.communicate(timeout=240)
    pid, parent, group, folder, has_ray, oom_score, arguments = json.loads(out)
    assert (pid, parent) != (started.pid, os.getpid())
    assert parent == server._process.pid
    assert group == pid
    assert Path(folder) == tmp_path.resolve()
    assert has_ray
    assert oom_score == 900
    assert arguments == ["--word", ""]
    assert error == "a\nword é\n"


@pytest.mark.parametrize("variable", FIXED_AT_IMPORT)
def test_a_worker_of_another_ray_starts_by_itself(
    listening: Path, tmp_path: Path, variable: str
) -> None:
    first = _worker(listening, tmp_path, WORD="")
    assert json.loads(first.communicate(timeout=240)[0])[0] != first.pid
    started = _worker(listening, tmp_path, WORD="", **{variable: "2"})
    assert json.loads(started.communicate(timeout=240)[0])[0] == started.pid


def test_a_worker_starts_by_itself_without_a_server(tmp_path: Path) -> None:
    started = _worker(tmp_path / "none", tmp_path, WORD="")
    assert json.loads(started.communicate(timeout=240)[0])[0] == started.pid


@pytest.mark.parametrize(
    ("context", "is_forked", "word"),
    [
        ({"env_vars": {"WORD": "its own"}, "py_executable": sys.executable}, True, "its own"),
        ({"env_vars": {"WORD": "${OTHER} own"}}, False, "the other's own"),
        ({"command_prefix": ["export", "WORD=set;"]}, False, "set"),
    ],
)
def test_a_worker_with_more_to_set_up_than_variables_starts_by_itself(
    listening: Path, tmp_path: Path, context: dict[str, object], is_forked: bool, word: str
) -> None:
    option = f"{forked_worker.RUNTIME_ENVIRONMENT}={json.dumps(context)}"
    started = _worker(listening, tmp_path, option, WORD="", OTHER="the other's")
    out, error = started.communicate(timeout=240)
    pid, *_, arguments = json.loads(out)
    assert (pid != started.pid) is is_forked
    assert arguments == ["--word", ""]
    assert error == f"{word}\n"


def test_a_server_serves_on_after_a_client_that_was_ended(
    server: ForkServer, listening: Path, tmp_path: Path
) -> None:
    for _ in range(3):
        ended = _worker(listening, tmp_path, WORD="")
        time.sleep(0.05)
        ended.kill()
        ended.communicate(timeout=240)
    started = _worker(listening, tmp_path, WORD="")
    assert json.loads(started.communicate(timeout=240)[0])[1] == server._process.pid


def test_one_server_runs_at_a_time_and_ends_with_the_driver(
    server: ForkServer, tmp_path: Path
) -> None:
    with fork_server.fork_server(_config(tmp_path)):
        assert fork_server.running_fork_server() is server
    assert server._process.poll() is None
    program = (
        f"import os, sys; sys.path.append({str(Path(__file__).parents[1])!r})\n"
        "from pathlib import Path; from tuner.execution import fork_server\n"
        "from support.searches import make, toy_space\n"
        "config = make(toy_space(), Path('sentences.csv'), Path('.'))\n"
        "with fork_server.fork_server(config):\n"
        "    print(fork_server.running_fork_server()._process.pid, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    driver = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert driver.returncode == -signal.SIGKILL, driver.stderr
    ends = time.monotonic() + 60
    while _lives(int(driver.stdout)):
        assert time.monotonic() < ends
        time.sleep(0.1)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("settings", [{"gpus_per_trial": 0.5}, {"address": "10.0.0.1:6379"}])
def test_workers_with_gpus_or_on_a_cluster_start_by_themselves(
    tmp_path: Path, settings: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fork_server, "_running", None)
    monkeypatch.delitem(sys.modules, "ray", raising=False)  # where Ray runs there is none, either
    with fork_server.fork_server(_config(tmp_path, **settings)):
        assert fork_server.running_fork_server() is None
