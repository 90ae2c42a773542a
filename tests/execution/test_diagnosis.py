"""The diagnosis of a process' death."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.watching import Clock

from tuner.errors import DeviceFault, GpuMissing, MpsFault
from tuner.execution.diagnosis import STARTED, Diagnosis, Diagnostician
from tuner.execution.mps import JOINED

ILLEGAL = "InternalError: CUDA_ERROR_ILLEGAL_ADDRESS"
DIED = "ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task."


class Machine:
    """A clock, and the kernel's count of its kills."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.kills = 5  # long ago

    def diagnostician(self, **settings: Any) -> Diagnostician:
        return Diagnostician(lambda: self.kills, self.clock, **settings)


def test_a_process_that_just_died_may_have_had_bad_luck() -> None:
    diagnosis = Machine().diagnostician().diagnose(DIED)
    assert diagnosis.reason == "its process died; see the run's logs"
    assert not diagnosis.is_out_of_memory


def test_a_process_that_ray_ended_for_its_memory_ran_out_of_it() -> None:
    error = "ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory"
    diagnosis = Machine().diagnostician().diagnose(error)
    assert diagnosis.is_out_of_memory
    assert "Ray ended its process" in diagnosis.reason


def test_the_death_of_a_node_is_not_the_trials_fault() -> None:
    machine = Machine()
    diagnostician = machine.diagnostician()
    machine.kills += 1
    error = f"{DIED}\nThe actor died because its node has died. Node Id: ab12"
    assert diagnostician.diagnose(error) == Diagnosis("its node died", is_charged=False)
    assert diagnostician.diagnose(DIED).is_out_of_memory  # the kill was another's


def test_a_process_that_cannot_be_reached_is_its_nodes_fault_on_a_cluster_only() -> None:
    error = "The actor ab12 is unavailable: The actor is temporarily unavailable: Socket closed"
    elsewhere = Machine().diagnostician(is_cluster=True).diagnose(error)
    assert elsewhere == Diagnosis("its node could not be reached", is_charged=False)
    assert Machine().diagnostician().diagnose(error) == Diagnosis(
        "its process died; see the run's logs"
    )


def test_the_kernel_knows_nothing_of_other_machines() -> None:
    machine = Machine()
    diagnostician = machine.diagnostician(is_cluster=True)
    machine.kills += 1
    assert not diagnostician.diagnose(DIED).is_out_of_memory


def test_two_kills_by_the_kernel_explain_two_deaths() -> None:
    machine = Machine()
    diagnostician = machine.diagnostician()
    machine.kills += 2
    assert [diagnostician.diagnose(DIED).is_out_of_memory for _ in range(3)] == [True, True, False]


def test_a_kill_of_long_ago_explains_nothing() -> None:
    machine = Machine()
    diagnostician = machine.diagnostician()
    machine.kills += 1
    diagnostician.watch()  # another program's process
    machine.clock.now += 11
    assert not diagnostician.diagnose(DIED).is_out_of_memory


def test_another_error_is_shown_by_its_last_line() -> None:
    diagnosis = (
        Machine()
        .diagnostician()
        .diagnose("Traceback …\n  File …\nImportError: no module named x\n")
    )
    assert diagnosis.reason == "its process failed: ImportError: no module named x"


def test_a_process_that_could_not_be_set_up_is_told_with_its_error() -> None:
    machine = Machine()
    diagnostician = machine.diagnostician()
    machine.kills += 1  # of another one
    cause = "ModuleNotFoundError: No module named 'my_models'"
    error = (
        "ray.exceptions.ActorDiedError: The actor died because of an error raised in its creation task, "
        f"ray::TrialActor.__init__() (pid=4712, ip=10.0.0.1, actor_id=ab12)\n  File …\n{cause}\n"
    )
    assert diagnostician.diagnose(error) == Diagnosis(f"its process failed: {cause}")


def test_an_error_without_a_text_is_a_death() -> None:
    assert Machine().diagnostician().diagnose("").reason == "its process died; see the run's logs"


# -- GPUs ----------------------------------------------------------------------------------------


def death(host: str = "10.0.0.1", pid: int = 4711) -> str:
    """As Ray reports it."""
    return f"{DIED}\n\tclass_name: TrialActor\n\tpid: {pid}\n\tnamespace: x\n\tip: {host}\n"


def fault(kind: type[DeviceFault] = MpsFault, words: str = ILLEGAL) -> str:
    """As Ray reports it."""
    return (
        "ray::TrialActor.train() (pid=4712, ip=10.0.0.1, actor_id=ab12, repr=<TrialActor>)\n  File …\n"
        f"tuner.errors.{kind.__name__}: {words}\n"
    )


@pytest.mark.parametrize(("kind", "is_charged"), [(MpsFault, False), (DeviceFault, True)])
def test_a_fault_is_charged_where_no_other_process_may_be_its_cause(
    kind: type[DeviceFault], is_charged: bool
) -> None:
    assert Machine().diagnostician().diagnose(fault(kind)) == Diagnosis(
        f"its GPU failed: {ILLEGAL}", is_device_fault=True, is_charged=is_charged
    )


def test_a_missing_gpu_is_told_from_a_faulty_one() -> None:
    words = f"Keras' backend finds no GPU on host{200 * '.'}; install it"
    diagnosis = Machine().diagnostician().diagnose(fault(GpuMissing, words))
    assert diagnosis == Diagnosis(words, is_device_fault=True, is_gpu_missing=True)


@pytest.mark.parametrize(
    ("host", "seconds", "is_charged"),
    [("10.0.0.1", 9, False), ("10.0.0.1", 11, True), ("10.0.0.2", 9, True)],
)
def test_processes_that_die_with_a_gpu_are_not_charged(
    host: str, seconds: int, is_charged: bool
) -> None:
    machine = Machine()
    diagnostician = machine.diagnostician()
    diagnostician.diagnose(fault())
    machine.clock.now += seconds
    diagnosis = diagnostician.diagnose(death(host))
    assert diagnosis.is_charged == is_charged


def on_host(logs: Path) -> Diagnostician:
    """Of a cluster in which `death` was on `host`."""
    return Machine().diagnostician(logs=logs, host_at={"10.0.0.1": "host"}.get)


# Their ends as reports to TensorFlow have them (tensorflow#60607).
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "2026-05-16 14:44:23.01: F tensorflow/tsl/framework/bfc_allocator.cc:700] Check failed: h != kInvalid\n"
            "Fatal Python error: Aborted\n",
            Diagnosis("", is_out_of_memory=True, is_gpu_full=True),
        ),
        (
            "F0000 00:00:1764151.1 99 cuda_executor.cc:9] Failed setting context: CUDA_ERROR_OUT_OF_MEMORY\n",
            Diagnosis("", is_out_of_memory=True, is_gpu_full=True),
        ),
        (
            "terminate called after throwing an instance of 'std::bad_alloc'\n",
            Diagnosis("", is_out_of_memory=True),
        ),
        (
            "F0000 00:00:1764151.1 99 cuda_event.cc:9] CUDA_ERROR_ILLEGAL_ADDRESS: …\n",
            Diagnosis("", is_device_fault=True),
        ),
        # The line with CUDA's name stands before (tensorflow#103430).
        (
            "E0000 00:00:1764151.1 99 cuda_event.cc:55] failed to query event: CUDA_ERROR_ILLEGAL_ADDRESS: …\n"
            "F0000 00:00:1764151.1 99 device_event_mgr.cc:226] Unexpected Event status: 1\n"
            "*** Check failure stack trace: ***\n",
            Diagnosis("", is_device_fault=True),
        ),
        (
            "2026-05-16 14:44:23.01: F tensorflow/core/common_runtime/gpu/gpu_util.cc:293] GPU->CPU Memcpy failed\n",
            Diagnosis("", is_device_fault=True),
        ),
        (
            "F0 device_event_mgr.cc:226] Unexpected Event status: 1\n" + 1_000 * "    @ 0x7f\n",
            Diagnosis("", is_device_fault=True),
        ),
        ("W Allocator (GPU_0_bfc) ran out of memory, which is not a failure\n", Diagnosis("")),
        ("ValueError: F1 score\n…: out of memory, which was another trial\n", Diagnosis("")),
        ("MemoryError\n…\nFatal Python error: Segmentation fault\n", Diagnosis("")),
    ],
)
def test_the_last_lines_of_a_process_on_a_gpu_tell_why_it_died(
    tmp_path: Path, words: str, expected: Diagnosis
) -> None:
    (tmp_path / "worker-host-4711.log").write_text(f"{STARTED}\n{words}", encoding="utf-8")
    diagnosis = on_host(tmp_path).diagnose(death())
    assert replace(diagnosis, reason="") == expected


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        # One table of more than 2**31 numbers on an H200.
        (
            "F0000 00:00:1795808895.02 15729 gpu_launch_config.h:129] Check failed: work_count >= 0 (-7 vs. 0) \n"
            "*** Check failure stack trace: ***\nFatal Python error: Aborted\n",
            "Check failed: work_count >= 0 (-7 vs. 0)",
        ),
        (
            "2026-05-16 14:44:23.01: F tensorflow/core/framework/tensor.cc:733] Check failed: [a] b [[node]] in op\n",
            "Check failed: [a] b [[node]] in op",
        ),
        (
            "Fatal Python error: Segmentation fault\n\nThread 0x7f\n",
            "Fatal Python error: Segmentation fault",
        ),
    ],
)
def test_what_a_library_said_when_it_ended_the_process_is_told(
    tmp_path: Path, words: str, reason: str
) -> None:
    (tmp_path / "worker-host-4711.log").write_text(f"{STARTED}\n{words}", encoding="utf-8")
    diagnosis = on_host(tmp_path).diagnose(death())
    assert diagnosis == Diagnosis(f"its process died: {reason}; see the run's logs")


def test_a_process_that_a_fault_ended_is_not_charged_where_it_had_joined_mps(
    tmp_path: Path,
) -> None:
    log = f"{STARTED}\n{JOINED}\n{9_000 * '.'}\nF0 cuda_event.cc:9] {ILLEGAL}\n"
    (tmp_path / "worker-host-4711.log").write_text(log, encoding="utf-8")
    diagnosis = on_host(tmp_path).diagnose(death())
    assert diagnosis.is_device_fault
    assert not diagnosis.is_charged


def test_only_what_a_process_itself_wrote_tells_why_it_died(tmp_path: Path) -> None:
    fault = f"{STARTED}\nF0 cuda_event.cc:9] {ILLEGAL}\n"
    for host, words in (("host", f"{fault}{STARTED}\nepoch 1\n"), ("other", fault)):
        (tmp_path / f"worker-{host}-4711.log").write_text(words, encoding="utf-8")
    assert on_host(tmp_path).diagnose(death()) == Diagnosis("its process died; see the run's logs")


def test_a_process_whose_log_is_elsewhere_just_died(tmp_path: Path) -> None:
    diagnosis = on_host(tmp_path).diagnose(death())
    assert diagnosis == Diagnosis("its process died; see the run's logs")
