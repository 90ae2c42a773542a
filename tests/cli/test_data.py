"""`tuner data`."""

import os
import subprocess
from pathlib import Path

import pytest
from support.commands import TUNER, Call


def test_data_lists_the_named_sets(call: Call) -> None:
    ended = call("data")
    assert (ended.code, ended.err) == (0, "")
    assert [line.split()[0] for line in ended.out.splitlines()[1:4]] == [
        "imdb-train",
        "rotten-tomatoes",
        "imdb",
    ]


def test_data_shows_a_file(call: Call, folder: Path, sentences: Path) -> None:
    ended = call("data", str(sentences))
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("sentences.csv: 120 rows, 2 classes\n")
    for word in ("negative", "positive", "train", "validation", "confirmation", "test", "median"):
        assert word in ended.out
    assert list(folder.iterdir()) == []


def test_control_characters_in_labels_and_texts_cannot_reach_the_terminal(
    call: Call, folder: Path
) -> None:
    rows = ["text,label"]
    for number in range(40):
        rows += [f"\x1b[2Jgood [b]{number}[/b],[red]\x07yes", f"bad {number},no"]
    (folder / "rows.csv").write_text("\n".join(rows), encoding="utf-8")
    out = call("data", "rows.csv").out
    assert not {"\x1b", "\x07"} & set(out)
    assert "[red]�yes" in out
    assert "[/b]" in out


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_the_output_cannot_show_becomes_an_escape_sequence(
    encoding: str, tmp_path: Path
) -> None:
    rows = "".join(f"明るい {number},{'上下'[number % 2]}\n" for number in range(20))
    (tmp_path / "a.csv").write_text(f"text,label\n{rows}", encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "TUNER_CACHE": str(tmp_path / "c")}
    ended = subprocess.run(
        [*TUNER, "data", str(tmp_path / "a.csv")], env=environment, capture_output=True
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert rb"\u4e0a" in ended.stdout
