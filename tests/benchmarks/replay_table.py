"""Records a table of real trainings for `search_replay.py`, and packs it into one file.

    python tests/benchmarks/replay_table.py record --space seed --data rotten-tomatoes --out FOLDER
    python tests/benchmarks/replay_table.py pack --space seed --data rotten-tomatoes --out FOLDER
    python tests/benchmarks/replay_table.py reference --space seed --data rotten-tomatoes --out FOLDER

The same command goes on where an ended one stopped, and with a larger number adds to what is there. Many processes
may record at once. `reference` trains the linear reference on the same texts, and writes it beside the tables.

`--rows 1500 --small` makes a table that is a tenth as large or less: of the pool the first rows, of the points the
epochs' ends, of a probability one byte. Its reference takes the same `--rows`.
"""

import argparse
from pathlib import Path

from replay.recording import Plan, labels_of, pack, record, record_reference

from tuner.settings.builtin import find_space
from tuner.settings.space import SearchSpace

TABLES = Path(__file__).parent / "replay" / "tables"


def main() -> None:
    """Records, packs, or trains the reference."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["record", "pack", "reference"])
    parser.add_argument("--space", required=True, help="a built-in space or a YAML file")
    parser.add_argument("--data", required=True, help="a data set's name or a file")
    parser.add_argument("--tokens", default="words")
    parser.add_argument("--learn", type=int, default=4000, help="texts to learn from")
    parser.add_argument("--pool", type=int, default=4000, help="texts to measure on")
    parser.add_argument("--configurations", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--gpu", action="store_true", help="the processes share a GPU")
    parser.add_argument("--rows", type=int, help="of the pool to keep in the table; by default all")
    parser.add_argument("--small", action="store_true", help="keep epochs' ends only, and bytes")
    parser.add_argument("--out", type=Path, required=True, help="folder of the recording")
    given = parser.parse_args()
    space = find_space(given.space)
    plan = Plan(
        name=f"{Path(given.data).stem}_{space.name}".replace("-", "_"),
        space=SearchSpace.from_mapping({**space.to_mapping(), "baselines": []}, given.space),
        source=given.data,
        tokens=given.tokens,
        n_learn=given.learn,
        n_pool=given.pool,
        configurations=given.configurations,
        seeds=given.seeds,
    )
    if given.what == "record":
        record(given.out, plan, processes=given.processes, gpu=given.gpu)
    elif given.what == "reference":
        path = TABLES / f"{plan.name}.npz"
        print(record_reference(given.out, plan, path, rows=given.rows))
    else:
        path = given.out.with_suffix(".npz")
        labels = labels_of(given.out, plan, rows=given.rows)
        print(pack(given.out, plan, path, labels, small=given.small))


if __name__ == "__main__":
    main()
