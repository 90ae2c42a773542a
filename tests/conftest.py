"""Fixtures that several folders of tests share. No test touches the user's own cache, runs or Ray."""

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock
from moto.server import ThreadedMotoServer
from support.confirmed_run import Confirmed, make_confirmed_run
from support.forked_keras import KerasCommands, keras_commands
from support.searches import write_sentences

from tuner.execution import ray_internals
from tuner.execution.fork_server import ForkServer
from tuner.execution.worker_internals import workers_forked
from tuner.settings.space import SearchSpace
from tuner.training.keras_internals import import_keras_without_scikit_learn

import_keras_without_scikit_learn()

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("any time", deadline=None)
hypothesis.settings.register_profile("quick", deadline=None, max_examples=25)  # for `make check`
hypothesis.settings.load_profile("any time")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves out files of which `-m "not keras and …"` leaves no test: to import them takes as long as many tests."""
    excluded = set(re.findall(r"\bnot (\w+)", config.option.markexpr))
    if not excluded or " or " in config.option.markexpr or collection_path.suffix != ".py":
        return None
    marks = re.search(
        r"^pytestmark = ([(\[]\n(?: .*\n)+|.*)", collection_path.read_text(), re.MULTILINE
    )
    return bool(marks and excluded & set(re.findall(r"pytest\.mark\.(\w+)", marks[1]))) or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the longest tests first: of two processes neither then waits for the other in the end."""
    marks = ("ray", "keras", "slow")

    def weight(item: pytest.Item) -> int:
        return next(
            (n for n, mark in enumerate(marks) if item.get_closest_marker(mark)), len(marks)
        )

    heaviest: dict[object, int] = {}
    for item in items:
        heaviest[item.path] = min(weight(item), heaviest.get(item.path, len(marks)))
    items.sort(key=lambda item: heaviest[item.path])


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The cache of all that is tested, in this process and in those that it starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_disks() -> Iterator[None]:
    """This process need not survive a power cut, and thousands of small files are written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture
def central_european_time() -> Iterator[None]:
    """This machine's time zone. On 2026-10-25 the hour from 2:00, 0:00 UTC, is repeated from 1:00 UTC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture(scope="session")
def space() -> SearchSpace:
    """A small conditional space with one baseline."""
    return SearchSpace.from_mapping(
        {
            "name": "small",
            "max_epochs": 9,
            "shared": {
                "learning_rate": {"float": [1e-4, 1e-2], "log": True},
                "lstm_units": {"int": [8, 64]},
            },
            "architectures": {
                "lstm": {},
                "cnn_lstm": {"filters": {"int": [8, 32]}},
            },
            "baselines": [{"architecture": "lstm", "learning_rate": 1e-3, "lstm_units": 32}],
        },
        "small.yaml",
    )


@pytest.fixture(scope="session")
def shared_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Ray for all tests that need one: starting it takes seconds, and so does a worker that is not forked."""
    ray = pytest.importorskip("ray")
    folder = tmp_path_factory.mktemp("r")
    server = ForkServer.start(with_keras=False)
    with pytest.MonkeyPatch.context() as patch:
        # With it Ray refuses to declare GPUs that are hidden, as in `CUDA_VISIBLE_DEVICES=-1 make test`.
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        with workers_forked(server.listen(folder)):
            ray_internals.start(
                folder,
                num_cpus=2,
                num_gpus=2,  # declared: toy trials need none
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
            )
    yield
    ray.shutdown()
    server.close()


@pytest.fixture
def without_ray() -> Iterator[None]:
    """Trials of this test run in this process; see `trials_in_this_process`."""
    from support.in_process import trials_in_this_process  # not for all tests: it imports Ray Tune

    with trials_in_this_process():
        yield


@pytest.fixture(scope="session")
def keras_command() -> Iterator[KerasCommands]:
    """What runs commands that load Keras, each in a process of its own."""
    with keras_commands() as run:
        yield run


@pytest.fixture(scope="session")
def run_once(tmp_path_factory: pytest.TempPathFactory) -> Confirmed:
    """Searched and confirmed once for all tests, also of two processes, of which each has a copy."""
    from support.in_process import trials_in_this_process

    is_one_of_two = "PYTEST_XDIST_WORKER" in os.environ
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if is_one_of_two else base) / "confirmed-once"
    with FileLock(f"{shared}.lock"):
        if not (shared / "mine").is_dir():
            shared.mkdir()
            with trials_in_this_process():
                make_confirmed_run(shared)
    copy = tmp_path_factory.mktemp("confirmed") / "mine"
    shutil.copytree(shared / "mine", copy)
    return Confirmed(copy)


@pytest.fixture
def confirmed(run_once: Confirmed) -> Iterator[Confirmed]:
    """As its confirmation left it."""
    yield run_once
    run_once.folder.tests.unlink(missing_ok=True)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An AWS on this machine. What is in it stays for the next test: moto's servers share one memory."""
    monkeypatch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")  # read once in a process
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    yield
    server.stop()


@pytest.fixture
def sentences(tmp_path: Path) -> Path:
    """A CSV of two classes that are easy to distinguish: 60 short texts each."""
    return write_sentences(tmp_path)
