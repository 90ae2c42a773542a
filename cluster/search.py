"""What `ray submit` runs on the head: `tuner search` on the whole cluster, with the options that follow.

    ray submit cluster/cluster.yaml cluster/search.py --config run.yaml

Submitted again, it goes on where the run stopped.
"""

import sys

from tuner.cli import main

sys.argv = ["tuner", "search", "--address", "auto", *sys.argv[1:]]
main()
