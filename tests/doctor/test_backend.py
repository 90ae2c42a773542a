"""TensorFlow, asked in a process of its own, which other programs play here."""

import subprocess
from typing import NoReturn

import pytest

from tuner.doctor import backend
from tuner.doctor.backend import TensorFlowAnswer, TensorFlowState, ask_tensorflow

NAMED = """print('hello\\nGPUS {"names": ["Tesla T4"], "cuda": "12.5.1", "kernels": ["sm_70"]}', flush=True)"""
T4 = TensorFlowAnswer(TensorFlowState.WORKS, ("Tesla T4",), cuda="12.5.1", kernels=("sm_70",))


def test_tensorflow_answers_among_other_output() -> None:
    found = ask_tensorflow(program=f"{NAMED}; print('STEPS [4.5, 0.02]\\nbye')")
    assert (found.state, found.names, found.cuda) == (T4.state, T4.names, T4.cuda)
    assert (found.step_s, found.step_error) == ((4.5, 0.02), "")


def test_without_a_gpu_there_is_no_step() -> None:
    found = ask_tensorflow(program=NAMED.replace('"Tesla T4"', ""))
    assert (found.names, found.step_s, found.step_error) == ((), (), "")


def test_a_step_that_fails_is_quoted_beside_the_gpus() -> None:
    found = ask_tensorflow(program=f"{NAMED}; raise RuntimeError('out of memory')")
    assert (found.state, found.names) == (T4.state, T4.names)
    assert found.step_error == "RuntimeError: out of memory"


def test_a_step_that_kills_the_process_leaves_the_gpus() -> None:
    found = ask_tensorflow(program=f"{NAMED}; import os; os.abort()")
    assert (found.state, found.names) == (T4.state, T4.names)
    assert "exit code -6" in found.step_error


@pytest.mark.slow
def test_a_step_that_hangs_is_given_up() -> None:
    found = ask_tensorflow(timeout_s=3, program=f"{NAMED}; import time; time.sleep(60)")
    assert (found.names, found.step_error) == (T4.names, "no answer in 3 s")


def test_tensorflow_that_fails_is_quoted() -> None:
    found = ask_tensorflow(program="raise ImportError('DLL is missing')")
    assert found.state is TensorFlowState.BROKEN
    assert found.message == "ImportError: DLL is missing"


def test_tensorflow_that_dies_without_a_message_has_its_exit_code() -> None:
    found = ask_tensorflow(program="import os; os.kill(os.getpid(), 4)")
    assert found.state is TensorFlowState.BROKEN
    assert "exit code -4" in found.message


def test_tensorflow_that_hangs_is_given_up() -> None:
    found = ask_tensorflow(timeout_s=0.5, program="import time; time.sleep(60)")
    assert found.state is TensorFlowState.SLOW


def test_tensorflow_that_a_broken_driver_keeps_from_ending_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Unkillable:
        def __init__(self, command: list[str], **options: object) -> None:
            pass

        def kill(self) -> None:
            pass

        def communicate(self, timeout: float | None = None) -> NoReturn:
            assert timeout is not None, "waits for ever"
            raise subprocess.TimeoutExpired("python", timeout)

    monkeypatch.setattr(backend.subprocess, "Popen", Unkillable)
    assert ask_tensorflow().state is TensorFlowState.SLOW
