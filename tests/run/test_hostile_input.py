"""Files of runs and models, damaged in every way: each parser reads them or refuses them in one line of its own.

`TUNER_TEST_INPUTS=2000` tries so many per parser, in place of a few.
"""

import base64
import io
import json
import os
import random
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.run_files import write_tests

from tuner.data.vectors import read_vectors
from tuner.errors import UsageError
from tuner.execution.fetching import unpack
from tuner.export.description import DESCRIPTION, read_description
from tuner.run import Run
from tuner.run.evaluations import read_test_log
from tuner.run.folder import RunFolder
from tuner.run.run_file import read_run_file
from tuner.run.troubles import read_troubles
from tuner.settings.builtin import find_space
from tuner.training.trained_model_file import from_bytes

INPUTS = int(os.environ.get("TUNER_TEST_INPUTS", "40"))
GOLDEN = Path(__file__).parent / "golden" / "small"
# What parsers stumble over: nesting, numbers, names of files and modules, ends of lines, other types.
MORSELS = [
    *(b"[" * 3000, b"{" * 3000, b"&a [*a, *a]", b"!!python/object/apply:os.system [id]", b"<<: *a"),
    *(
        b"9" * 5000,
        b"1e999",
        b"-0",
        b".nan",
        b"null",
        b"true",
        b'"',
        b"'",
        b"\\ud800",
        b"\0",
        b"\xff",
    ),
    *(b"../../etc/passwd", b"/etc/passwd", b"os:system", b"evil_module:build", b"\n", b": ", b"- "),
]


def damaged(content: bytes, rng: random.Random) -> bytes:
    """One to four changes: bytes lost, doubled, exchanged or put in."""
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(content) + 1)
        end = min(len(content), at + rng.choice([1, 2, 8, 64, 1000]))
        part = rng.choice(
            [b"", content[at:end] * 2, rng.choice(MORSELS), bytes([rng.randrange(256)])]
        )
        content = content[:at] + part + content[end:]
    return content


def model_json() -> bytes:
    member = {
        "file": "member-1.keras",
        "trial": 1,
        "seed": 1,
        "max_length": 9,
        "vocabulary_size": 4,
    }
    description = {
        **{"format": 1, "run": "x", "class_names": ["a", "b"], "token_mode": "words"},
        **{"vocabulary": ["", "", "", "x"], "members": [member]},
    }
    return json.dumps(description).encode()


def archive() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz", compresslevel=0) as files:
        for name in ("leaderboard.csv", "study.journal"):
            files.addfile(tarfile.TarInfo(name), io.BytesIO())
    return content.getvalue()


def weights() -> bytes:
    content = io.BytesIO()
    facts = {"epoch": 1, "loss": 0.5, "accuracy": 0.5, "f1": 0.5, "vocabulary_size": 4}
    np.savez(
        content,
        facts=np.array(json.dumps(facts)),
        probabilities=np.zeros((2, 2)),
        weight0=np.ones(3),
    )
    return content.getvalue()


def log_of_tests(folder: Path) -> bytes:
    write_tests(RunFolder(folder))
    return (folder / "tests.yaml").read_bytes()


def put(folder: Path, name: str, content: bytes) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


Parse = Callable[[Path, bytes], object]


def as_space(folder: Path, content: bytes) -> None:
    put(folder, "space.yaml", content)
    find_space(str(folder / "space.yaml"))


def as_run_file(folder: Path, content: bytes) -> None:
    put(folder, "run.yaml", content)
    recorded = read_run_file(RunFolder(folder))
    assert recorded.config is not None
    assert recorded.data is not None or recorded.settings.get("data") is None


def as_journal(folder: Path, content: bytes) -> None:
    put(folder, "study.journal", content)
    run = Run(folder, read_only=True)
    run.reader.records()


def as_model(folder: Path, content: bytes) -> None:
    put(folder, DESCRIPTION, content)
    read_description(folder)


def as_test_log(folder: Path, content: bytes) -> None:
    put(folder, "tests.yaml", content)
    read_test_log(RunFolder(folder))


def as_troubles(folder: Path, content: bytes) -> None:
    put(folder, "logs/troubles.json", content)
    for trouble in read_troubles(RunFolder(folder)):
        trouble.text(0.0)


def as_vectors(folder: Path, content: bytes) -> None:
    put(folder, "words.vec", content)
    vectors = read_vectors(str(folder / "words.vec"), ["", "?", "the", "film"])
    assert np.isfinite(vectors.values).all()


def as_archive(folder: Path, content: bytes) -> None:
    place = folder / str(random.random())
    unpack(lambda _: base64.encodebytes(content).decode(), place)


CASES: dict[str, tuple[Callable[[Path], bytes], Parse]] = {
    "space": (
        lambda folder: (Path(__file__).parents[2] / "search_spaces" / "seed.yaml").read_bytes(),
        as_space,
    ),
    "run.yaml": (lambda folder: (GOLDEN / "run.yaml").read_bytes(), as_run_file),
    "study.journal": (lambda folder: (GOLDEN / "study.journal").read_bytes(), as_journal),
    "model.json": (lambda folder: model_json(), as_model),
    "tests.yaml": (log_of_tests, as_test_log),
    "troubles.json": (
        lambda folder: b'[{"topic": "x", "reason": "y", "worked": null, "since": 1.0}]',
        as_troubles,
    ),
    "vectors": (lambda folder: b"2 2\nthe 1 2e3\nfilm -0.5 1\n", as_vectors),
    "archive": (lambda folder: archive(), as_archive),
    "weights": (lambda folder: weights(), lambda folder, content: from_bytes(content, "x")),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_damaged_file_is_read_or_refused_in_one_line_and_imports_nothing(
    case: str, tmp_path: Path
) -> None:
    make, parse = CASES[case]
    whole = make(tmp_path)
    parse(tmp_path, whole)
    before = set(sys.modules)
    rng = random.Random(case)
    for _ in range(INPUTS):
        content = damaged(whole, rng)
        refusal = ""
        try:
            parse(tmp_path, content)
        except UsageError as error:
            refusal = str(error)
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error}: {content[:2000]!r}") from error
        assert refusal == "" or refusal.isprintable(), content
    assert "evil_module" not in set(sys.modules) - before
