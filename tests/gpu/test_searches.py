"""Real searches on a real GPU. Everything else about GPUs is tested without one, in the rooms that it belongs to.

    PYTHONPATH=tests python -m pytest -c /dev/null --rootdir=. --confcutdir=tests/gpu tests/gpu

needs only pytest, pytest-timeout and tuner itself. Where NVIDIA's driver does not answer, every test here is skipped.
"""

import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from tuner.nvidia import Gpu, ask_driver, visible_gpus
from tuner.run import Run

TUNER = [sys.executable, "-m", "tuner"]

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.skipif(ask_driver() is None, reason="NVIDIA's driver does not answer here"),
]

SMALL = {
    "name": "small",
    "max_epochs": 2,
    "shared": {
        "learning_rate": {"float": [1e-3, 4e-3], "log": True},
        "batch_size": 64,
        "max_length": 50,
        "vocabulary_size": 5000,
    },
    "architectures": {"lstm": {"lstm_units": {"int": [32, 64]}}, "bilstm": {}},
}


def gpu() -> Gpu:
    driver = ask_driver()
    assert driver is not None
    return visible_gpus(driver, os.environ)[0]


class Searched(NamedTuple):
    """What a search left, and what was seen of it."""

    rows: pd.DataFrame
    said: str
    daemons: set[int]  # of MPS, while it ran


def search(folder: Path, space: dict[str, object], *words: str) -> Searched:
    """Searches on short reviews in `folder`."""
    (folder / "space.yaml").write_text(json.dumps(space))
    command = [*TUNER, "search", "space.yaml", "--data", "rotten-tomatoes", "--sample", "2000"]
    command += ["--name", "x", "--sampler", "random", *words]
    seen: set[int] = set()
    with open(folder / "said.txt", "w", encoding="utf-8") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
        while process.poll() is None:
            seen.update(daemons())
            time.sleep(0.2)
    said = (folder / "said.txt").read_text(encoding="utf-8")
    sys.stdout.write(said)  # pytest shows it where the test fails
    assert process.returncode == 0
    return Searched(pd.read_csv(folder / "runs" / "x" / "leaderboard.csv"), said, seen)


def most_at_once(folder: Path) -> int:
    """How many trials trained at the same time: a trial's epochs are what it did until its end."""
    spans = []
    for record in Run(folder / "runs" / "x").reader.records():
        assert record.ended is not None
        seconds = sum(metrics["seconds"] for metrics in record.curve.values())
        spans.append((record.ended - timedelta(seconds=seconds), record.ended))
    return max(sum(first <= began < last for first, last in spans) for began, _ in spans)


def daemons() -> list[int]:
    """The MPS control daemons on this machine."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:  # it ended just now
                continue
            if words[0].endswith(b"nvidia-cuda-mps-control") and b"-d" in words:
                found.append(int(entry.name))
    return found


def test_trials_share_a_gpu_and_none_fails(tmp_path: Path) -> None:
    before = set(daemons())
    words = ["--trials", "24", "--pruner", "none"]  # nobody need ask for the GPU
    rows, said, seen = search(tmp_path, SMALL, *words)
    assert seen
    assert "take turns" not in said
    assert most_at_once(tmp_path) >= 3  # of two that take turns, one may seem to end late
    assert rows["status"].tolist() == ["complete"] * 24
    assert rows["device"].str.startswith(gpu().name).all()
    assert rows["val_accuracy"].max() > 0.6
    assert len(list((tmp_path / "runs" / "x" / "logs").glob("worker-*.log"))) >= 4
    until = time.monotonic() + 40
    while set(daemons()) - before:  # the search's own, which nobody uses any more
        assert time.monotonic() < until
        time.sleep(1)


def test_without_mps_trials_share_a_gpu_too(tmp_path: Path) -> None:
    before = set(daemons())
    words = ["--gpus-per-trial", "0.25", "--mps", "off", "--trials", "8", "--pruner", "none"]
    rows, _, seen = search(tmp_path, SMALL, *words)
    assert rows["status"].tolist() == ["complete"] * 8
    assert seen <= before


HUGE = """
import keras

def build(*, vocabulary_size, n_classes, rows):
    ids = keras.Input((None,), dtype="int32")
    # Zeros take no time, unlike the orthogonal matrices of an LSTM: it fails as soon as it asks for memory. Several
    # tables, because TensorFlow's segment sums end the process at 2**31 elements.
    most = 2**20
    sizes = [min(most, rows - first) for first in range(0, rows, most)]
    tables = [keras.layers.Embedding(size, 1024, embeddings_initializer="zeros")(ids) for size in sizes]
    total = keras.layers.Add()(tables) if len(tables) > 1 else tables[0]
    hidden = keras.layers.GlobalAveragePooling1D()(total)
    return keras.Model(ids, keras.layers.Dense(1, activation="sigmoid")(hidden))
"""


def test_a_model_that_does_not_fit_is_out_of_memory_and_the_search_goes_on(tmp_path: Path) -> None:
    total_mb = gpu().total_mb
    assert total_mb is not None
    (tmp_path / "huge_models.py").write_text(HUGE)
    space = {
        **SMALL,
        # Rows of 1,024 numbers of 4 bytes: as much as the whole GPU has.
        "architectures": {"huge_models:build": {"rows": total_mb * 2**20 // 4096}, "cnn_lstm": {}},
        "baselines": [{"architecture": "huge_models:build", "learning_rate": 1e-3}],
    }
    rows = search(tmp_path, space, "--gpus-per-trial", "0.25", "--trials", "6").rows
    huge = rows["architecture"] == "huge_models:build"
    assert huge.any()
    assert set(rows[huge]["status"]) == {"out_of_memory"}
    assert set(rows[~huge]["status"]) <= {"complete", "pruned"}


def test_a_model_too_large_for_its_share_runs_again_with_a_larger_one(tmp_path: Path) -> None:
    total_mb = gpu().total_mb
    assert total_mb is not None
    (tmp_path / "huge_models.py").write_text(HUGE)
    # Its weights, Adam's two figures of each, and its gradients: more than a quarter of the GPU, less than half.
    rows_of_table = int(0.07 * total_mb * 2**20 / 4096)
    large = {"architecture": "huge_models:build", "learning_rate": 2e-3}
    space = {
        **SMALL,
        "architectures": {"huge_models:build": {"rows": rows_of_table}, "cnn_lstm": {}},
        "baselines": [large],
    }
    words = ["--gpus-per-trial", "0.25", "--trials", "6", "--pruner", "none"]
    found = search(tmp_path, space, *words)
    assert "runs again with a larger share of the GPU" in found.said
    is_large = found.rows["architecture"] == "huge_models:build"
    assert "complete" in set(found.rows[is_large]["status"])
    assert set(found.rows[~is_large]["status"]) == {"complete"}
    assert (found.rows["status"] == "complete").sum() == 6


def test_predictions_leave_the_gpu_to_others(tmp_path: Path) -> None:
    search(tmp_path, SMALL, "--gpus-per-trial", "1", "--trials", "1")
    for words in (["confirm", "--top", "1", "--seeds", "1"], ["export"]):
        name, *rest = words
        subprocess.run([*TUNER, name, "runs/x", *rest], cwd=tmp_path, check=True)
    free_before = gpu().free_mb
    assert free_before is not None
    lines = "text\n" + 50_000 * "a gripping and beautifully acted film\n"
    process = subprocess.Popen(
        [*TUNER, "predict", "runs/x/model", "--input", "-"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(lines)
    process.stdin.close()
    least_mb = free_before
    while process.poll() is None:
        least_mb = min(least_mb, gpu().free_mb or least_mb)
        time.sleep(0.1)
    assert process.returncode == 0
    assert free_before - least_mb < 4_000


def test_doctor_trains_a_step_on_the_gpu() -> None:
    ended = subprocess.run([*TUNER, "doctor"], capture_output=True, text=True)
    sys.stdout.write(ended.stdout + ended.stderr)
    assert ended.returncode == 0
    assert gpu().name in ended.stdout
    assert "an LSTM's first step" in ended.stdout
