"""Runs `tuner search` on the whole cluster, with the options that follow; `ray submit` starts it on the head.

    ray submit cluster/cluster.yaml cluster/search.py --config run.yaml

Submitted again, the search continues.
"""

import sys

from tuner.cli import main

sys.argv = ["tuner", "search", "--address", "auto", *sys.argv[1:]]
main()
