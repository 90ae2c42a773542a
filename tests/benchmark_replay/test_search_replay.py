"""The command that replays searches: what it prints, and how far it is."""

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_it_prints_every_comparison_and_its_progress(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "search_replay.py"), "--replays", "4"]
    tables = ["--tables", str(BENCHMARKS / "replay/tables/words_wide.npz")]
    options = ["--workers", "2", "--after", "3", "--processes", "2", "--arms", "ASHA"]
    done = subprocess.run(
        [*command, *tables, *options, "--out", str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
    )

    progress = done.stderr.splitlines()
    assert progress[0].startswith("words_wide, 2 workers: 2 of 4 replays, ")
    assert progress[1].endswith("; about 0 s left")
    for part in (
        "factor over random search: ",
        "over the best peer that hands over one model, ",
        "the linear reference alone, over random search's best single: ",
        "with the linear reference, over those with the reference: ",
        "with the linear reference, over the reference alone: points at equal time ",
        "CQR, halving (ASHA), over today's search: ",
    ):
        assert part in done.stdout
    assert list(tmp_path.iterdir())
