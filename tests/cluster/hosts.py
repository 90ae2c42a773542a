"""Real hosts on one machine: each has its own network, processes, home, temporary files and ssh server.

A host is a network namespace on a bridge, and in it a tree of processes with its own process ids, mounts and host name.
Killing its first process is pulling the plug; taking its cable down is cutting it off. Needs root and Debian's
curl, iproute2, openssh-client, openssh-server and rsync.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

NEEDED = (
    "ip",
    "unshare",
    "nsenter",
    "mount",
    "ssh",
    "ssh-keygen",
    "/usr/sbin/sshd",
    "rsync",
    "curl",
)
_NETWORK = "10.213.77"
_BRIDGE = "tunerbr0"
_START_S = 20.0
_SSH_OPTIONS = [
    *("-o", "BatchMode=yes"),
    *("-o", "StrictHostKeyChecking=no"),
    *("-o", "UserKnownHostsFile=/dev/null"),
    *("-o", "LogLevel=ERROR"),
]

# Runs as the host's first process. Its home and temporary files are empty; the tests' Python and environment are there,
# the latter with changes of its own and as ~/tuner-env, so that `pip install` finds all but the wheel in place.
_FIRST_PROCESS = """
set -e
hostname "$NAME"
mount -t tmpfs none /mnt
mkdir /mnt/python /mnt/environment /mnt/upper /mnt/work /mnt/state
mount --bind "$PYTHON" /mnt/python
mount --bind "$ENVIRONMENT" /mnt/environment
mount --bind "$STATE" /mnt/state
mount -t tmpfs none /dev/shm
mount -t tmpfs -o mode=1777 none /tmp
mount -t tmpfs none /root
mkdir -p "$PYTHON" "$ENVIRONMENT" /run/sshd /root/.ssh
mount --bind /mnt/python "$PYTHON"
mount -t overlay -o lowerdir=/mnt/environment,upperdir=/mnt/upper,workdir=/mnt/work none "$ENVIRONMENT"
ln -s "$ENVIRONMENT" /root/tuner-env
cp /mnt/state/key.pub /root/.ssh/authorized_keys
chmod 700 /root/.ssh; chmod 600 /root/.ssh/authorized_keys
cp /etc/skel/.bashrc /etc/skel/.profile /root/
mkdir -p /root/.config/pip
printf "[install]\n$PIP_INSTALLS\n" >/root/.config/pip/pip.conf
ip link set lo up
/usr/sbin/sshd -E "/mnt/state/$NAME.log" -f /mnt/state/sshd_config -h /mnt/state/host_key
sleep infinity & wait  # as process 1 it takes away the dead
"""

_SSHD = """
Port 22
PidFile none
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
StrictModes no
MaxStartups 100
MaxSessions 100
SetEnv {variables}
"""
FEWER_PARTS = Path(__file__).parent / "fewer_parts"
# Of every process on a host.
_VARIABLES = {
    "HOME": "/root",
    "PYTHONPATH": str(FEWER_PARTS),
    "RAY_START_HOOK": "sitecustomize.start_few_daemons",
    # The states of processes and of daemons, which the dashboard would draw.
    "RAY_enable_metrics_collection": "0",
    "REPORTER_UPDATE_INTERVAL_MS": "3600000",
}


def missing() -> str | None:
    """The reason why there can be no hosts here; None when there can."""
    if os.geteuid() != 0:
        return "needs root, for network namespaces"
    lacking = [name for name in NEEDED if shutil.which(name) is None]
    if lacking:
        return f"needs {', '.join(lacking)} (Debian: curl iproute2 openssh-client openssh-server rsync)"
    made = subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True)
    return None if made.returncode == 0 else "needs the right to make namespaces"


@dataclass
class Host:
    """One machine of the test's network."""

    name: str
    address: str
    namespace: str
    process: "subprocess.Popen[bytes]" = field(repr=False)

    def run(self, command: str, *, timeout_s: float = 240) -> str:
        """The output of a shell command in this host, without ssh; raises when it fails."""
        done = subprocess.run(
            [*self._entered(), "bash", "-c", f"cd; {command}"],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env={**os.environ, **_VARIABLES},
        )
        if done.returncode:
            raise RuntimeError(f"{self.name}: {command}: {done.stdout}{done.stderr}")
        return done.stdout

    def _entered(self) -> list[str]:
        return ["nsenter", "--target", str(self._first_process()), "--all"]

    def _first_process(self) -> int:
        """The process that is number 1 in there: the child of `unshare`."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return int(children.split()[0])

    @property
    def is_up(self) -> bool:
        """Whether the power is on."""
        return self.process.poll() is None

    def power_off(self) -> None:
        """As if the plug were pulled: every process dies at once, files are gone."""
        if self.is_up:
            os.kill(self._first_process(), signal.SIGKILL)
            self.process.wait(10)

    def disconnect(self) -> None:
        """Takes its cable out."""
        _call("ip", "link", "set", self._cable, "down")

    def connect(self) -> None:
        """Puts its cable in again."""
        _call("ip", "link", "set", self._cable, "up")

    @property
    def _cable(self) -> str:
        return f"v{self.namespace}"


class Network:
    """A bridge with hosts; this machine is on it too, as the laptop that everything is typed on."""

    def __init__(self, state: Path) -> None:
        self.state = state
        # Whether pip looks at what a package requires, on hosts that are switched on from now on: 6 s of a core.
        self.looks_at_requirements = True
        self.key = state / "key"
        self.hosts: list[Host] = []
        for name in ("key", "host_key"):
            _call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(state / name))
        variables = " ".join(f"{name}={value}" for name, value in _VARIABLES.items())
        (state / "sshd_config").write_text(_SSHD.format(variables=variables))
        _call("ip", "link", "add", _BRIDGE, "type", "bridge")
        _call("ip", "address", "add", f"{_NETWORK}.1/24", "dev", _BRIDGE)
        _call("ip", "link", "set", _BRIDGE, "up")

    def add(self, name: str) -> Host:
        """Switches a new host on, and waits until one can log in."""
        number = len(self.hosts) + 10
        namespace, address = f"tuner{number}", f"{_NETWORK}.{number}"
        _call("ip", "netns", "add", namespace)
        cable = f"v{namespace}"
        _call("ip", "link", "add", cable, "type", "veth", "peer", "eth0", "netns", namespace)
        _call("ip", "link", "set", cable, "master", _BRIDGE, "up")
        for words in (
            f"address add {address}/24 dev eth0",
            "link set eth0 up",
            f"route add default via {_NETWORK}.1",  # without one Ray takes 127.0.0.1 for its own address
        ):
            _call("ip", "-n", namespace, *words.split())
        host = Host(name, address, namespace, self._switch_on(name, namespace))
        self.hosts.append(host)
        self._wait_for_login(host)
        return host

    def power_on(self, host: Host) -> None:
        """Switches a host on again; it remembers nothing."""
        host.process = self._switch_on(host.name, host.namespace)
        self._wait_for_login(host)

    def _switch_on(self, name: str, namespace: str) -> "subprocess.Popen[bytes]":
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "NAME": name,
            "STATE": str(self.state),
            "PYTHON": sys.base_prefix,
            "ENVIRONMENT": sys.prefix,
            # Half of tuner is never imported there: to compile it twice would take longer than the installation.
            "PIP_INSTALLS": "compile = no\n"
            + ("" if self.looks_at_requirements else "no-deps = true"),
        }
        isolated = ("unshare", "--pid", "--mount", "--uts", "--ipc", "--fork", "--mount-proc")
        with open(self.state / f"{name}.log", "ab") as log:
            return subprocess.Popen(
                ["ip", "netns", "exec", namespace, *isolated, "bash", "-c", _FIRST_PROCESS],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def ssh(self, host: Host, command: str) -> "subprocess.CompletedProcess[str]":
        """Logs in from this machine."""
        words = ["ssh", *_SSH_OPTIONS, "-i", str(self.key), f"root@{host.address}", command]
        return subprocess.run(words, capture_output=True, text=True, timeout=30)

    @contextmanager
    def tunnel(self, host: Host, port: int) -> Iterator[int]:
        """The port of this machine through which a port of the host's loopback is reached."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            local: int = free.getsockname()[1]
        forward = f"-N -L 127.0.0.1:{local}:127.0.0.1:{port} -o ExitOnForwardFailure=yes"
        words = ["ssh", *_SSH_OPTIONS, "-i", str(self.key), *forward.split()]
        process = subprocess.Popen([*words, f"root@{host.address}"], stdin=subprocess.DEVNULL)
        try:
            until = time.monotonic() + _START_S
            while not _answers(local):
                if time.monotonic() > until:
                    raise RuntimeError(f"no tunnel to {host.name}")
                time.sleep(0.1)
            yield local
        finally:
            process.terminate()
            process.wait(10)

    def _wait_for_login(self, host: Host) -> None:
        until = time.monotonic() + _START_S
        while (done := self.ssh(host, "true")).returncode:
            if time.monotonic() > until or not host.is_up:
                raise RuntimeError(f"{host.name} does not start: {done.stderr}")
            time.sleep(0.1)

    def remove(self) -> None:
        """Ends all hosts, and takes every trace of them away."""
        for host in self.hosts:
            host.power_off()
            _call("ip", "netns", "delete", host.namespace)
        _call("ip", "link", "delete", _BRIDGE)


@contextmanager
def network(state: Path) -> Iterator[Network]:
    """An empty network, removed in the end with all its hosts; what a killed test run left of one goes first.

    Args:
        state: a folder for keys and logs.
    """
    _remove_leftovers()
    made = Network(state)
    try:
        yield made
    finally:
        made.remove()


def _remove_leftovers() -> None:
    listing = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
    for line in listing.splitlines():
        namespace = line.split()[0]
        if namespace.startswith("tuner"):
            pids = subprocess.run(
                ["ip", "netns", "pids", namespace], capture_output=True, text=True
            )
            for pid in pids.stdout.split():
                with suppress(ProcessLookupError):  # gone with the first one
                    os.kill(int(pid), signal.SIGKILL)
            _call("ip", "netns", "delete", namespace)
    if Path(f"/sys/class/net/{_BRIDGE}").exists():
        _call("ip", "link", "delete", _BRIDGE)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _call(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
