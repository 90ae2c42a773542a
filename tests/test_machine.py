"""CPUs, memory and disk of a machine, read from a made-up root folder."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.closed_folders import close

from tuner import machine
from tuner.machine import oom_kills

CGROUPS = Path("/sys/fs/cgroup/memory")
MEMINFO = "MemTotal: 16000000 kB\nMemFree: 1000000 kB\nMemAvailable: 8000000 kB\n"
V2 = {"proc/self/cgroup": "0::/box\n"}
V1 = {"proc/self/cgroup": "9:cpu,cpuacct:/box\n4:memory:/box\n0::/\n"}


def make_root(folder: Path, files: dict[str, str]) -> Path:
    """A folder that stands for `/` with these files in it."""
    for name, text in {"proc/meminfo": MEMINFO, **files}.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


@pytest.fixture
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.mark.usefixtures("eight_cpus")
@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({}, 8),
        (V2 | {"sys/fs/cgroup/box/cpu.max": "max 100000\n"}, 8),
        (V2 | {"sys/fs/cgroup/box/cpu.max": "250000 100000\n"}, 2),
        (V2 | {"sys/fs/cgroup/box/cpu.max": "50000 100000\n"}, 1),
        (V2 | {"sys/fs/cgroup/cpu.max": "300000 100000\n"}, 3),
        (V2 | {"sys/fs/cgroup/box/cpu.max": "6400000 100000\n"}, 8),
        (
            V1
            | {
                "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "400000\n",
                "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000\n",
            },
            4,
        ),
        (
            V1
            | {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            8,
        ),
    ],
)
def test_usable_cpus_follow_the_innermost_quota(
    tmp_path: Path, files: dict[str, str], cpus: int
) -> None:
    assert machine.usable_cpus(make_root(tmp_path, files)) == cpus


def test_usable_cpus_follow_the_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert machine.usable_cpus(make_root(tmp_path, {})) == 3


def test_memory_without_a_limit_is_the_machines(tmp_path: Path) -> None:
    found = machine.memory(make_root(tmp_path, {}))
    assert (found.total, found.available) == (16000000 * 1024, 8000000 * 1024)


def test_memory_counts_read_files_of_a_container_as_free(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/box/memory.max": "4000000000\n",
        "sys/fs/cgroup/box/memory.current": "3000000000\n",
        "sys/fs/cgroup/box/memory.stat": "anon 1\ninactive_file 1000000000\n",
    }
    found = machine.memory(make_root(tmp_path, V2 | files))
    assert (found.total, found.available) == (4000000000, 2000000000)


def test_memory_reads_version_1_and_its_value_for_no_limit(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "2000000000\n",
        "sys/fs/cgroup/memory/box/memory.usage_in_bytes": "500000000\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    }
    found = machine.memory(make_root(tmp_path, V1 | files))
    assert (found.total, found.available) == (2000000000, 1500000000)


def test_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    found = machine.disk(tmp_path / "runs" / "first")
    assert found.folder == tmp_path / "runs" / "first"
    assert found.is_writable
    assert 0 <= found.free <= found.total


def test_disk_below_a_folder_that_may_not_be_entered_is_that_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close(tmp_path, monkeypatch)
    found = machine.disk(tmp_path / "runs" / "first")
    assert found.folder == tmp_path / "runs" / "first"
    assert found.total == machine.disk(tmp_path).total
    monkeypatch.setattr(os, "access", lambda _, mode: not mode & os.X_OK)
    assert not machine.disk(tmp_path / "runs").is_writable


def test_disk_below_a_file_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("not a folder")
    assert not machine.disk(tmp_path / "runs").is_writable


@pytest.mark.parametrize(
    ("variables", "settings", "backend"),
    [
        ({}, None, "tensorflow"),
        ({}, '{"backend": "jax"}', "jax"),
        ({}, '{"floatx": "float32"}', "tensorflow"),
        ({"KERAS_BACKEND": "torch"}, '{"backend": "jax"}', "torch"),
        ({"KERAS_BACKEND": ""}, '{"backend": "jax"}', "jax"),
        ({}, "[]", None),
        ({}, "{", None),
    ],
)
def test_backend_is_found_as_keras_finds_it(
    tmp_path: Path, variables: dict[str, str], settings: str | None, backend: str | None
) -> None:
    file = tmp_path / ".keras" / "keras.json"
    if settings is not None:
        file.parent.mkdir()
        file.write_text(settings)
    assert machine.keras_backend(variables, tmp_path) == (backend, file)


def test_settings_of_keras_may_lie_in_a_folder_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    found = machine.keras_backend({"KERAS_HOME": str(tmp_path)}, Path("/home/somebody"))
    assert found == ("jax", tmp_path / "keras.json")


@pytest.fixture
def small_cgroup() -> Iterator[Path]:
    """A cgroup whose processes may have 50 MB together."""
    folder = CGROUPS / f"tuner-test-{uuid.uuid4().hex}"
    try:
        folder.mkdir()
        (folder / "memory.limit_in_bytes").write_text("50000000")
    except OSError as cause:
        pytest.skip(f"no cgroup of memory (version 1) can be made here: {cause}")
    yield folder
    folder.rmdir()


def test_the_kernels_count_grows_when_it_kills(small_cgroup: Path) -> None:
    before = oom_kills()
    program = (
        "import os, sys; open(sys.argv[1], 'w').write(str(os.getpid())); bytearray(200_000_000)"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(small_cgroup / "cgroup.procs")])
    assert ended.returncode == -9
    assert oom_kills() > before


def test_own_memory_leaves_out_what_is_shared_with_others(tmp_path: Path) -> None:
    status = "Name:\tpython\nVmRSS:\t 900000 kB\nRssAnon:\t 512000 kB\nRssFile:\t 300000 kB\nRssShmem:\t 10240 kB\n"
    assert machine.own_memory_mb(make_root(tmp_path, {"proc/self/status": status})) == 510


def test_own_memory_is_known_without_the_kernels_figures(tmp_path: Path) -> None:
    assert 10 < machine.own_memory_mb(tmp_path) < 100_000


def test_without_the_kernels_count_no_process_counts_as_killed(tmp_path: Path) -> None:
    assert oom_kills(tmp_path) == 0
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "vmstat").write_text("nr_free_pages 5\noom_kill 7\n")
    assert oom_kills(tmp_path) == 7


def test_ray_keeps_its_files_in_its_own_variable_and_never_in_tmpdir() -> None:
    assert machine.ray_folder({"TMPDIR": "/deep/down", "RAY_TMPDIR": ""}) == Path("/tmp")
    assert machine.ray_folder({"RAY_TMPDIR": "/scratch"}) == Path("/scratch")
