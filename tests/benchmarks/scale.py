"""How a search grows with its cluster: toy trials on 1, 4, 16 and 64 nodes, all of them processes of this machine.

A node has one CPU and trains one trial at a time, an epoch every `EPOCH_S` seconds of sleep. The table shows the
trials that end per second, the most that could, the wait of a free slot for its next trial, and the driver's CPU and
memory. The nodes' own
processes share the machine's cores with the driver, which on a real cluster they would not. Needs some 300 MB per node.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmark_io import options, show
from ray.cluster_utils import Cluster

EPOCH_S = 2.0
TRIALS_A_NODE = 6
NODES = (1, 4, 16)
NODES_FULL = (1, 4, 16, 64)
LIMIT_S = 900.0
_OBJECT_STORE_BYTES = 80_000_000


def main() -> None:
    """Runs one search on each cluster and shows its figures."""
    asked = options(__doc__)
    show("scale", [_measure(n) for n in (NODES_FULL if asked.full else NODES)], asked.out)


def _measure(nodes: int) -> dict[str, float]:
    """One row."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for _ in range(nodes):
            cluster.add_node(wait=False, num_cpus=1, object_store_memory=_OBJECT_STORE_BYTES)
        cluster.wait_for_nodes(timeout=300)
        with tempfile.TemporaryDirectory() as folder:
            script = Path(__file__).with_name("scale_search.py")
            given = [folder, cluster.address, str(nodes), str(TRIALS_A_NODE), str(EPOCH_S)]
            subprocess.run([sys.executable, str(script), *given], timeout=LIMIT_S, check=True)
            row: dict[str, float] = json.loads(Path(folder, "row.json").read_text("utf-8"))
            return row
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
