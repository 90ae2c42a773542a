"""Rows that come through a pipe little by little are answered little by little, and as if they had come at once."""

import io
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tuner.errors import DataError
from tuner.export import prediction
from tuner.export.formats import PredictionFormat
from tuner.export.prediction import predict_file


class Lengths:
    """A classifier that tells texts by their lengths."""

    text_column = None

    def predict(self, texts: Sequence[str]) -> pd.DataFrame:
        lengths = [len(text) for text in texts]
        return pd.DataFrame({"label": [f"{n}" for n in lengths], "p": [n / 100 for n in lengths]})


CLASSIFIER: Any = Lengths()
CSV = ["text;id\n", '"good; film";1\n', "bad;2\n", '"two\n', 'lines";3\n', "last;4\n"]
JSON_LINES = [
    '{"text": "good", "id": 1}\n',
    "\n",
    '{"text": "bad", "id": 2}\n',
    '{"text": "x", "id": 3}',
]
ALONE = ["text\n", "good\n", "\n", "bad\n", "\n"]


class Pipe:
    """A pipe that is predicted in a thread; what was answered so far."""

    def __init__(self, folder: Path, form: PredictionFormat) -> None:
        path, self._target = folder / "pipe", folder / "answers"
        os.mkfifo(path)
        self.error: DataError | None = None
        self._thread = threading.Thread(target=self._predict, args=(path, form))
        self._thread.start()
        self._end = os.open(path, os.O_WRONLY)

    def _predict(self, path: Path, form: PredictionFormat) -> None:
        # A pipe as target: a file would be there only in the end.
        os.mkfifo(self._target)
        reader = threading.Thread(target=self._read)
        self._answers = ""
        reader.start()
        try:
            predict_file(CLASSIFIER, path, self._target, None, form=form)
        except DataError as error:
            self.error = error
        reader.join()

    def _read(self) -> None:
        with open(self._target, "rb", buffering=0) as file:
            while part := file.read(1 << 16):
                self._answers += part.decode()

    def write(self, text: str) -> None:
        os.write(self._end, text.encode())

    def wait_for_rows(self, count: int) -> None:
        until = time.monotonic() + 20
        while self._answers.count("\n") < count:
            assert time.monotonic() < until, self._answers
            time.sleep(0.01)

    def close(self) -> str:
        os.close(self._end)
        self._thread.join(20)
        return self._answers


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction, "_PAUSE_S", 0.01)


def at_once(folder: Path, content: str, form: PredictionFormat) -> str:
    (folder / "texts").write_text(content)
    predict_file(CLASSIFIER, folder / "texts", folder / "whole", None, form=form)
    return (folder / "whole").read_bytes().decode()


def test_rows_are_answered_while_the_pipe_is_open(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path, PredictionFormat.CSV)
    pipe.write("".join(CSV[:2]))
    pipe.wait_for_rows(2)  # the heading, too
    pipe.write(CSV[2])
    pipe.wait_for_rows(3)
    pipe.write("".join(CSV[3:]))
    assert pipe.close() == at_once(tmp_path, "".join(CSV), PredictionFormat.CSV)


@pytest.mark.parametrize("form", PredictionFormat)
@pytest.mark.parametrize("lines", [CSV, JSON_LINES, ALONE], ids=["csv", "json lines", "alone"])
def test_a_pause_after_every_line_changes_no_byte(
    tmp_path: Path, form: PredictionFormat, lines: list[str]
) -> None:
    pipe = Pipe(tmp_path, form)
    for line in lines:
        for part in (line[:3], line[3:]):
            pipe.write(part)
            time.sleep(0.03)
    assert pipe.close() == at_once(tmp_path, "".join(lines), form)


def test_a_broken_row_after_pauses_is_named_by_its_line(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path, PredictionFormat.CSV)
    for line in [*CSV[:5], "a;b;c\n"]:
        pipe.write(line)
        time.sleep(0.03)
    pipe.close()
    assert "line 6 has 3 cells" in str(pipe.error)


def test_a_pipe_that_does_not_block_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = at_once(tmp_path, "".join(CSV), PredictionFormat.CSV)
    read, write = os.pipe()
    os.set_blocking(read, False)
    monkeypatch.setattr(prediction, "_opened", lambda _: io.FileIO(read))

    def answer() -> None:
        for line in CSV:
            time.sleep(0.05)
            os.write(write, line.encode())
        os.close(write)

    writer = threading.Thread(target=answer)
    writer.start()
    predict_file(CLASSIFIER, Path("-"), tmp_path / "answers", None)
    writer.join()
    assert (tmp_path / "answers").read_bytes().decode() == expected
