"""`tuner data`."""

from pathlib import Path

from support.commands import Call


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
