"""Why processes died."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tuner.driver.deaths import Inquest
from tuner.machine import oom_kills

DIED = "ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task."
CGROUPS = Path("/sys/fs/cgroup/memory")


def test_a_process_that_just_died_may_have_had_bad_luck() -> None:
    death = Inquest(lambda: 3).why(DIED)
    assert death.reason == "its process died; see the run's logs"
    assert not death.is_out_of_memory


def test_one_that_ray_ended_for_its_memory_took_too_much() -> None:
    error = "ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory"
    death = Inquest(lambda: 0).why(error)
    assert death.is_out_of_memory
    assert "Ray ended its process" in death.reason


def test_the_kernels_kills_are_told_from_others_by_its_count() -> None:
    counts = iter([5, 6, 6])
    inquest = Inquest(lambda: next(counts))
    assert inquest.why(DIED).is_out_of_memory
    assert not inquest.why(DIED).is_out_of_memory


def test_an_error_before_the_trial_began_is_told_by_its_last_line() -> None:
    death = Inquest(lambda: 0).why("Traceback …\n  File …\nImportError: no module named x\n")
    assert death.reason == "its process could not begin: ImportError: no module named x"


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


def test_where_the_kernel_does_not_tell_nobody_was_killed(tmp_path: Path) -> None:
    assert oom_kills(tmp_path) == 0
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "vmstat").write_text(f"nr_free_pages 5{os.linesep}oom_kill 7{os.linesep}")
    assert oom_kills(tmp_path) == 7
