"""TensorFlow, asked in a process of its own."""

from tuner.doctor.backend import TensorFlowState, gpus_of_tensorflow


def test_tensorflow_answers_among_other_output() -> None:
    found = gpus_of_tensorflow(program="""print('hello\\nGPUS ["Tesla T4"]\\nbye')""")
    assert (found.state, found.names) == (TensorFlowState.WORKS, ("Tesla T4",))


def test_tensorflow_that_fails_is_quoted() -> None:
    found = gpus_of_tensorflow(program="raise ImportError('DLL is missing')")
    assert found.state is TensorFlowState.BROKEN
    assert found.message == "ImportError: DLL is missing"


def test_tensorflow_that_dies_without_a_message_has_its_exit_code() -> None:
    found = gpus_of_tensorflow(program="import os; os.kill(os.getpid(), 4)")
    assert found.state is TensorFlowState.BROKEN
    assert "exit code -4" in found.message


def test_tensorflow_that_hangs_is_given_up() -> None:
    found = gpus_of_tensorflow(timeout_s=0.5, program="import time; time.sleep(60)")
    assert found.state is TensorFlowState.SLOW
