"""Searches for tests to run: in this process, or typed as a person would."""

import subprocess
from pathlib import Path
from typing import Any

from support.commands import TUNER

from tuner.settings.config import SearchConfig, make_config
from tuner.settings.space import SearchSpace


def make(space: SearchSpace, source: Path, out: Path, **settings: Any) -> SearchConfig:
    """Eight toy trials one after the other: every process that trains takes seconds to start."""
    return make_config(
        {
            "space": space,
            "data": {"source": str(source)},
            "out": str(out),
            "trainer": "toy",
            "trials": 8,
            "max_concurrent": 1,
            **settings,
        }
    )


def toy_space(**parameters: Any) -> SearchSpace:
    return SearchSpace.from_mapping(
        {
            "name": "toy",
            "max_epochs": 9,
            "shared": {"learning_rate": {"float": [1e-4, 1e-2], "log": True}},
            "architectures": {"tuner.training.toy:curve": parameters},
        },
        "toy.yaml",
    )


def toy_command(folder: Path, sentences: Path, **parameters: Any) -> list[str]:
    """The command line in `folder` for a search of toy trials, `runs/x`; its space is written there."""
    (folder / "toy.yaml").write_text(toy_space(**parameters).to_yaml(), encoding="utf-8")
    return [
        *TUNER,
        *["search", "toy.yaml", "--trainer", "toy", "--name", "x", "--data"],
        str(sentences),
    ]


def write_sentences(folder: Path) -> Path:
    """A CSV of two classes that are easy to distinguish: 60 short texts each."""
    rows = ["text,label"]
    for number in range(60):
        rows.append(f"good fine great film number {number},positive")
        rows.append(f"bad poor awful film number {number},negative")
    path = folder / "sentences.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def begin(command: list[str], folder: Path, **options: Any) -> "subprocess.Popen[str]":
    """The running command, whose output can be read."""
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True, **options)


def wait_for_trial(number: int, search: "subprocess.Popen[str]") -> None:
    """Reads the output of `search` until it has started trial `number`."""
    assert search.stdout is not None
    for line in search.stdout:
        if f"trial {number} " in line and "started" in line:
            return
    raise AssertionError(f"it ended before trial {number}: {search.communicate()}")
