"""An autoscaler that sees the demand of a search starts all the nodes that it may, at once.

Ray's own autoscaler with its provider for tests, whose nodes are processes; on a host of its own, because it ends with
`ray stop`, which ends every Ray that it can see.
"""

import io
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from cluster.hosts import missing, network

ROOT = Path(__file__).parent.parent.parent
NO_HOSTS = missing()

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(NO_HOSTS is not None, reason=f"no hosts here: {NO_HOSTS}"),
]

KIND = {"resources": {"CPU": 2}, "node_config": {}, "min_workers": 0, "max_workers": 3}
# Ray's provider for tests: every node is some processes.
FILE = {
    "cluster_name": "fake",
    "max_workers": 3,
    "upscaling_speed": 10.0,
    "idle_timeout_minutes": 5,
    "provider": {
        "type": "fake_multinode",
        "use_node_id_as_ip": True,
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
    },
    "head_node_type": "ray.head.default",
    "available_node_types": {
        "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
        "cpu": KIND,
    },
    "auth": {},
    "docker": {},
    "file_mounts": {},
    "cluster_synced_files": [],
    "file_mounts_sync_continuously": False,
    "initialization_commands": [],
    "setup_commands": [],
    "head_setup_commands": [],
    "worker_setup_commands": [],
    "head_start_ray_commands": [],
    "worker_start_ray_commands": [],
    "rsync_exclude": [],
    "rsync_filter": [],
}
# The raylet waits 15 s for ports that its agents choose, and aborts: too short on a busy machine.
START = (
    "AUTOSCALER_UPDATE_INTERVAL_S=1 RAY_FAKE_CLUSTER=1 RAY_enable_autoscaler_v2=0 "
    "~/tuner-env/bin/python -m ray.scripts.scripts start --head --num-cpus=0 --disable-usage-stats "
    "--dashboard-agent-grpc-port=20001 --runtime-env-agent-port=20002 --metrics-export-port=20003 "
    "--autoscaling-config=/mnt/state/fake.yaml >/dev/null 2>start.log"
)
# As `ray up` would leave it on the head.
BOOTSTRAP = {
    "max_workers": 3,
    "provider": {"type": "fake_multinode"},
    "head_node_type": "head",
    "available_node_types": {"head": {"resources": {"CPU": 0}}, "cpu": KIND},
}
ASKED = {
    "space": {
        "name": "toy",
        "max_epochs": 9,
        "shared": {"learning_rate": {"float": [1e-4, 1e-2], "log": True}},
        "architectures": {"tuner.training.toy:curve": {"epoch_seconds": 3.0}},
    },
    "data": {"source": "rotten-tomatoes", "sample": 500},
    "name": "mine",
    "trials": 100,  # more than end before the last node is there
    "cpus_per_trial": 2,  # a whole node: every process that trains takes 3 s of a core to start
    "trainer": "toy",
    "pruner": "none",
}


def test_as_many_trials_wait_as_the_grown_cluster_has_room_for(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (tmp_path / "fake.yaml").write_text(yaml.safe_dump(FILE))
    (tmp_path / "bootstrap.yaml").write_text(yaml.safe_dump(BOOTSTRAP))
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(ASKED))
    with network(tmp_path) as hosts:
        head = hosts.add("head")
        for command in (
            "cp /mnt/state/bootstrap.yaml ray_bootstrap_config.yaml",
            "~/tuner-env/bin/python -m pip install --quiet --force-reinstall --no-deps /mnt/state/*.whl",
            START,
            "nohup ~/tuner-env/bin/tuner search --address auto --config /mnt/state/run.yaml "
            ">search.log 2>&1 </dev/null &",
        ):
            head.run(command, timeout_s=240)
        until = time.monotonic() + 250
        training = 0
        while training < 3:
            assert time.monotonic() < until, head.run(
                "cat start.log search.log; tail -n 30 /tmp/ray/session_latest/logs/monitor*"
            )[-3000:]
            time.sleep(1)
            text = head.run("cat runs/mine/leaderboard.csv 2>/dev/null || true")
            if text:
                rows = pd.read_csv(io.StringIO(text))
                training = ((rows["status"] == "running") & (rows["epochs"] > 0)).sum()
        assert training == 3  # one on each of three nodes, which the autoscaler started
