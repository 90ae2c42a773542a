"""The commands of the cluster page on three hosts. Then hosts die or lose their network, and the head is lost."""

import io
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from cluster.hosts import FEWER_PARTS, Host, Network, missing, network

from tuner.errors import RunFolderError
from tuner.machine import usable_cpus
from tuner.run import Run
from tuner.run.records import counts_as_finished

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "cluster" / "README.md").read_text(encoding="utf-8")
RUN = "team-imdb"
FILE = "cluster/on_premises.yaml"
SETTINGS = "cluster/run_on_cpus.yaml"
NO_HOSTS = missing()

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(NO_HOSTS is not None, reason=f"no hosts here: {NO_HOSTS}"),
]


def page_commands(title: str) -> list[str]:
    """The commands of one of the page's sections, except those that install."""
    section = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    assert section is not None
    blocks = re.findall(r"^```sh\n(.*?)^```", section[1], re.M | re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line for line in lines if not line.startswith("make ")]


PAGE_COMMANDS = page_commands("With `ray up`")


class Site:
    """A person's checkout on a laptop in the hosts' network: the commands that they type, the runs that they fetch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        for made in ("cluster", "dist", "home/.ray"):
            (folder / made).mkdir(parents=True)
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d"]
        subprocess.run([*build, folder / "dist"], cwd=ROOT, check=True, capture_output=True)
        constraints = [sys.executable, "-m", "tuner.execution.constraints"]
        subprocess.run([*constraints, folder / "dist" / "constraints.txt"], cwd=ROOT, check=True)
        shutil.copy(ROOT / "cluster" / "search.py", folder / "cluster")
        self.ask()

    def describe(self, head: Host, workers: list[Host], key: Path) -> None:
        """Writes the cluster file: ours, with these hosts, their user and key."""
        text = (ROOT / FILE).read_text(encoding="utf-8")
        changes = {
            "192.168.0.10 ": f"{head.address} ",
            "[192.168.0.11, 192.168.0.12]": str([host.address for host in workers]),
            "ssh_user: ubuntu": "ssh_user: root",
            "ssh_private_key: ~/.ssh/tuner_cluster": f"ssh_private_key: {key}",
        }
        for old, new in changes.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (self.folder / FILE).write_text(text, encoding="utf-8")

    def ask(self, *, trials: int = 8, epoch_s: float = 0.1, **settings: object) -> None:
        """Writes the settings of the search. With two CPUs a host runs one trial at a time."""
        space = {
            "name": "toy",
            "max_epochs": 9,
            "shared": {"learning_rate": {"float": [1e-4, 1e-2], "log": True}},
            "architectures": {"tuner.training.toy:curve": {"epoch_seconds": epoch_s}},
        }
        asked = {
            "space": space,
            "data": {"source": "rotten-tomatoes", "sample": 500},
            "name": RUN,
            "trials": trials,
            "trainer": "toy",
            "pruner": "none",
            "cpus_per_trial": min(2, usable_cpus()),
            **settings,
        }
        (self.folder / SETTINGS).write_text(yaml.safe_dump(asked), encoding="utf-8")

    def start(self, command: str) -> "subprocess.Popen[str]":
        """Types a command."""
        return subprocess.Popen(
            ["bash", "-c", command],
            cwd=self.folder,
            env={
                **{name: value for name, value in os.environ.items() if "RAY" not in name},
                "HOME": str(self.home),
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "PYTHONPATH": os.pathsep.join(
                    [str(FEWER_PARTS), *filter(None, [os.environ.get("PYTHONPATH")])]
                ),
                "RAY_TMPDIR": str(self.folder),  # where `ray up` keeps its notes
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def type(self, command: str, *, code: int = 0, timeout_s: float = 240) -> str:
        """Types a command and waits for its end; returns its output."""
        process = self.start(command)
        output, _ = process.communicate(timeout=timeout_s)
        assert process.returncode == code, f"{command}\n{output[-3000:]}"
        return output

    def run(self, name: str) -> Run:
        """A fetched run."""
        return Run(self.folder / "runs" / name)

    def submit(self, hosts: Network) -> "subprocess.Popen[str]":
        """Starts the search, with settings that lie on all hosts: Ray's own copying takes 3 s of a core."""
        shutil.copy(self.folder / SETTINGS, hosts.state / "run.yaml")
        return self.start(f"ray submit {FILE} cluster/search.py --config /mnt/state/run.yaml")


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    # Not below pytest's folders: the paths of ssh's sockets have 103 bytes.
    with network(tmp_path_factory.mktemp("hosts")) as made:
        made.add("head")
        made.looks_at_requirements = False  # the others install the same as the head
        for name in ("one", "two"):
            made.add(name)
        yield made


@pytest.fixture(scope="module")
def site(hosts: Network, tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site(tmp_path_factory.mktemp("site"))
    made.describe(hosts.hosts[0], hosts.hosts[1:], hosts.key)
    return made


@pytest.fixture(scope="module")
def up(site: Site) -> Site:
    """A site after the first commands of the page."""
    for command in PAGE_COMMANDS[: PAGE_COMMANDS.index(f"ray up -y {FILE}") + 1]:
        site.type(command)
    return site


def wait_for(
    what: Callable[[], object], search: "subprocess.Popen[str]", timeout_s: float = 90
) -> None:
    until = time.monotonic() + timeout_s
    while not what():
        if time.monotonic() > until or search.poll() is not None:
            search.kill()
            raise AssertionError(f"waited in vain:\n{search.communicate()[0][-3000:]}")
        time.sleep(0.5)


def rows_on_head(head: Host, name: str) -> pd.DataFrame:
    """A run's leaderboard as it is on the head just now; empty before there is one."""
    text = head.run(f"cat runs/{name}/leaderboard.csv 2>/dev/null || true")
    if not text:
        return pd.DataFrame({"status": [], "host": [], "epochs": []})
    return pd.read_csv(io.StringIO(text))


def assert_nothing_lost(run: Run, trials: int) -> pd.DataFrame:
    """Every trial finished once, all of its tries are rows, and none is left running."""
    finished = [trial for trial in run.study.trials if counts_as_finished(trial)]
    assert len(finished) == trials
    board = run.leaderboard()
    assert set(board["status"]) <= {"complete", "pruned", "failed"}
    ended = board[board["error"].isna()]
    assert list(ended["status"]) == ["complete"] * trials
    assert len({str(trial.params) for trial in finished}) == trials
    return board


def test_the_page_word_by_word(up: Site) -> None:
    begin = PAGE_COMMANDS.index(f"ray up -y {FILE}") + 1
    *commands, down = PAGE_COMMANDS[begin:]
    stop = f"tuner stop {RUN} --cluster {FILE}"
    assert stop in commands
    for command in commands:
        if command == stop:
            refused = up.type(stop, code=2)  # it has ended by itself
            assert f"runs/{RUN}: no search is running in it" in refused
        else:
            up.type(command)
    assert down == f"ray down -y {FILE}"  # the last test's
    finalists = pd.read_csv(up.folder / "runs" / RUN / "finalists.csv")
    assert list(finalists["seeds"]) == [5] * len(finalists)
    board = assert_nothing_lost(up.run(RUN), 8)
    assert set(board["host"]) <= {"one", "two"}  # the head runs none
    assert (up.folder / "runs" / RUN / "logs" / "driver.log").is_file()


def test_clients_without_the_token_get_nothing(up: Site, hosts: Network) -> None:
    head, one, _ = hosts.hosts
    outside = up.type(f"curl --silent --max-time 5 http://{head.address}:8265/", code=7)
    assert outside == ""  # the dashboard is on loopback only
    status = "curl --silent --output /dev/null --write-out '%{http_code}'"
    assert head.run(f"{status} http://127.0.0.1:8265/api/jobs/").strip() == "401"
    joins = f"import ray; ray.init('{head.address}:6379')"
    variables = "HOME=/tmp RAY_AUTH_MODE=disabled RAY_NUM_REDIS_GET_RETRIES=2"  # of 20, 1 s each
    without = f'{variables} ~/tuner-env/bin/python -c "{joins}" 2>&1 || true'
    assert "Unauthenticated" in one.run(without, timeout_s=240)


def test_a_host_that_dies_and_one_without_network_lose_no_trial(up: Site, hosts: Network) -> None:
    head, one, two = hosts.hosts
    # The watchdog notices a call that was lost on the way to a node that does not count as dead.
    up.ask(name="faults", trials=12, epoch_s=0.5, epoch_timeout="30s")
    search = up.submit(hosts)
    wait_for(lambda: set(rows_on_head(head, "faults")["host"].dropna()) >= {"one", "two"}, search)
    two.power_off()
    wait_for(lambda: (rows_on_head(head, "faults")["status"] == "complete").sum() >= 4, search, 120)
    hosts.power_on(two)  # empty: the autoscaler installs everything again
    one.disconnect()
    time.sleep(25)
    one.connect()
    output, _ = search.communicate(timeout=240)
    assert search.returncode == 0, output[-3000:]
    head.run("cp -r runs/faults /mnt/state/")
    board = assert_nothing_lost(Run(hosts.state / "faults"), 12)
    assert board["tries"].max() >= 2
    lost = board[board["error"].notna()]
    assert set(lost["error"]) <= {
        "its node died; runs again",
        "its node could not be reached; runs again",
        "no epoch within 30s, so its process was ended (--epoch-timeout allows more); runs again",
    }


def test_a_head_that_is_lost_is_replaced_and_the_search_goes_on(up: Site, hosts: Network) -> None:
    head = hosts.hosts[0]
    shared = {"out": "file:///mnt/state/runs", "storage_path": "/mnt/state/checkpoints"}
    up.ask(name="head", trials=8, epoch_s=0.5, **shared)
    search = up.submit(hosts)
    wait_for(lambda: len(finished_in(hosts.state / "runs" / "head")) >= 3, search)
    head.power_off()
    search.communicate(timeout=240)
    before = finished_in(hosts.state / "runs" / "head")
    hosts.power_on(head)  # empty
    up.type(f"ray up -y {FILE}")
    search = up.submit(hosts)
    output, _ = search.communicate(timeout=240)
    assert search.returncode == 0, output[-3000:]
    up.type(
        "tuner fetch file:///mnt/state/runs/head", code=2
    )  # the hosts' storage, not the laptop's
    up.type(f"tuner fetch file://{hosts.state}/runs/head")
    assert_nothing_lost(up.run("head"), 8)
    assert before <= finished_in(up.folder / "runs" / "head")


def test_the_job_server_does_all_that_ssh_does(up: Site, hosts: Network) -> None:
    head = hosts.hosts[0]
    with hosts.tunnel(head, 8265) as port:
        address = f"--address http://127.0.0.1:{port}"
        up.ask(name="job", trials=200, epoch_s=0.2)
        job = up.start(f"tuner submit {SETTINGS} {address}")
        wait_for(lambda: len(rows_on_head(head, "job")) >= 4, job)
        assert "searching (process" in up.type(f"tuner status job {address}")
        assert "Stopped runs/job" in up.type(f"tuner stop job {address}")
        output, _ = job.communicate(timeout=240)
        assert job.returncode == 0, output[-3000:]
        assert "Submitted as tuner-job-" in output
        assert "type the same command again to continue" in output
        up.type(f"tuner fetch job {address}")
        assert len(up.run("job").leaderboard()) >= 4
        assert "no such run folder" in up.type(f"tuner fetch nobody {address}", code=2)
        up.home.joinpath(".ray", "auth_token").rename(up.home / "token")
        try:
            refused = up.type(f"tuner status job {address}", code=2)
        finally:
            up.home.joinpath("token").rename(up.home / ".ray" / "auth_token")
        assert refused.startswith(f"tuner: {address}: no job server answers")
        assert refused.count("\n") == 1


def test_the_pages_last_command_stops_ray(up: Site, hosts: Network) -> None:
    up.type(PAGE_COMMANDS[-1])
    # The others end a minute after the connection is lost, which would be long to wait for.
    assert "raylet" not in hosts.hosts[0].run("ps -eo comm")


def finished_in(folder: Path) -> set[int]:
    """The numbers of the trials that have finished, in a copy of a run."""
    try:
        return {trial.number for trial in Run(folder).study.trials if counts_as_finished(trial)}
    except (RunFolderError, ValueError):  # not there yet
        return set()
