"""NVIDIA MPS with NVIDIA's own program, and real faults; `tests/execution/test_mps.py` has a program in its place.

The processes here use CUDA through its driver's library alone, which takes no imports.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator

import pytest
from support.mps_node import Node, read

from tuner.errors import DeviceFault
from tuner.execution import mps
from tuner.nvidia import ask_driver
from tuner.training.failures import trial_error

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(ask_driver() is None, reason="NVIDIA's driver does not answer here"),
    pytest.mark.skipif(
        shutil.which("nvidia-cuda-mps-control") is None, reason="there is no MPS here"
    ),
    pytest.mark.skipif(mps.PIPES in os.environ, reason="MPS of the person's own runs here"),
]

# Joins, makes a context, then fills memory once per line of its input, or writes where it may not.
_CLIENT = """
import ctypes, sys
from pathlib import Path
from tuner.execution import mps
state = mps.ensure(mps.MpsMode.AUTO, root=Path(sys.argv[1]), grace_s=float(sys.argv[2]))
cuda = ctypes.CDLL("libcuda.so.1")
def check(result):
    if result:
        name = ctypes.c_char_p()
        cuda.cuGetErrorName(result, ctypes.byref(name))
        print(name.value.decode(), flush=True)
        sys.exit()
device, context, memory = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
module, kernel = ctypes.c_void_p(), ctypes.c_void_p()
check(cuda.cuInit(0))
check(cuda.cuDeviceGet(ctypes.byref(device), 0))
check(cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device))
check(cuda.cuCtxSetCurrent(context))
check(cuda.cuMemAlloc_v2(ctypes.byref(memory), ctypes.c_size_t(1 << 20)))
print(state.is_running, state.reason, flush=True)
if sys.argv[3:]:
    check(cuda.cuModuleLoadData(ctypes.byref(module), sys.argv[3].encode()))
    check(cuda.cuModuleGetFunction(ctypes.byref(kernel), module, b"fault"))
    check(cuda.cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, None, None, None))
    check(cuda.cuCtxSynchronize())
for line in sys.stdin:
    check(cuda.cuMemsetD8_v2(memory, ctypes.c_ubyte(1), ctypes.c_size_t(1 << 20)))
    check(cuda.cuCtxSynchronize())
    print("works", flush=True)
"""
_FAULT = """.version 6.0
.target sm_60
.address_size 64
.visible .entry fault() {
    .reg .b32 %r1;
    .reg .b64 %rd1;
    mov.u32 %r1, 1;
    mov.u64 %rd1, 16;
    st.global.u32 [%rd1], %r1;
    ret;
}
"""
JOINED = "True"


@pytest.fixture
def node() -> Iterator[Node]:
    made = Node(_CLIENT)
    yield made
    made.close()


def works(client: "subprocess.Popen[str]") -> str:
    """What the process says after it has used the GPU."""
    assert client.stdin is not None
    client.stdin.write("\n")
    client.stdin.flush()
    return read(client)


def connected(node: Node) -> int:
    """How many processes the MPS server serves."""
    environment = {**os.environ, mps.PIPES: str(node.folder / "pipe")}

    def ask(command: str) -> list[str]:
        return subprocess.run(
            ["nvidia-cuda-mps-control"],
            input=f"{command}\n",
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()

    return sum(len(ask(f"get_client_list {server}")) for server in ask("get_server_list"))


def test_processes_share_the_gpu_through_one_server_and_the_last_one_ends_it(node: Node) -> None:
    first, second = node.client(), node.client()
    assert read(first) == read(second) == JOINED
    assert [works(first), works(second)] == ["works", "works"]
    assert connected(node) == 2
    first.kill()
    assert works(second) == "works"
    second.kill()
    node.wait_until_clear()


def test_after_its_daemon_was_killed_a_new_process_starts_another(node: Node) -> None:
    first = node.client()
    assert read(first) == JOINED
    os.kill(node.daemon, signal.SIGKILL)
    second = node.client()
    assert read(second) == JOINED
    assert works(second) == "works"
    assert connected(node) == 1


def test_a_fault_of_one_process_is_a_fault_for_all_and_new_ones_work(node: Node) -> None:
    neighbour = node.client()
    assert read(neighbour) == JOINED
    faulty = node.client(_FAULT)
    assert read(faulty) == JOINED
    errors = [read(faulty), works(neighbour)]
    assert errors[0] == "CUDA_ERROR_ILLEGAL_ADDRESS"
    assert all(isinstance(trial_error(RuntimeError(error)), DeviceFault) for error in errors), (
        errors
    )
    faulty.wait()
    neighbour.wait()
    new = node.client()
    assert read(new) == JOINED
    assert works(new) == "works"
