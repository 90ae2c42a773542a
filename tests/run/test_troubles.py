"""Storage that cannot be written while a search goes on: who is told, when, and what `tuner status` shows."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.watching import Clock

from tuner.run import hook
from tuner.run.folder import RunFolder
from tuner.run.troubles import Troubles, read_troubles

COPY = "the run folder's copy in s3://b/x"
HOUR = 3600.0


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


class Session:
    """The troubles of a session, its clock, and what it told."""

    def __init__(self, folder: RunFolder) -> None:
        self.clock = Clock(1e9)
        self.told: list[str] = []
        self.troubles = Troubles(folder, self.told.append, self.clock)

    def fails(self, topic: str = COPY, *, after_s: float = 10.0) -> None:
        self.clock.now += after_s
        self.troubles.note(topic, "ExpiredToken:\n the token has expired")


@pytest.fixture
def session(folder: RunFolder) -> Session:
    return Session(folder)


def test_one_failure_is_not_told(session: Session, folder: RunFolder) -> None:
    for _ in range(3):
        session.fails()
        session.troubles.note(COPY, None)
    assert session.told == []
    assert read_troubles(folder) == ()


def test_the_second_failure_in_a_row_is_told_with_the_age_of_the_last_good_copy(
    session: Session,
) -> None:
    session.troubles.note(COPY, None)
    session.fails()
    session.fails()
    assert session.told == [
        f"{COPY} cannot be written (for 10s, the last one that worked is 20s old): "
        "ExpiredToken: the token has expired"
    ]


def test_it_is_told_again_every_hour_while_it_lasts(session: Session) -> None:
    for _ in range(7):
        session.fails(after_s=HOUR / 3)
    assert len(session.told) == 2
    assert "for 1h20m, and never since this session began" in session.told[-1]


def test_what_works_again_is_told_and_shown_no_more(session: Session, folder: RunFolder) -> None:
    for _ in range(2):
        session.fails()
    assert len(read_troubles(folder)) == 1
    session.troubles.note(COPY, None)
    assert session.told[-1] == f"{COPY} can be written again"
    assert read_troubles(folder) == ()


def test_each_topic_counts_alone(session: Session, folder: RunFolder) -> None:
    session.fails("checkpoints on a")
    session.fails("checkpoints on b")
    assert session.told == []
    session.fails("checkpoints on a")
    assert [each.topic for each in read_troubles(folder)] == ["checkpoints on a"]


def test_the_next_session_begins_without(session: Session, folder: RunFolder) -> None:
    for _ in range(2):
        session.fails()
    Session(folder)
    assert read_troubles(folder) == ()


def test_a_clock_that_was_set_back_gives_no_negative_time(session: Session) -> None:
    session.troubles.note(COPY, None)
    session.fails()
    session.fails(after_s=-2 * HOUR)
    assert "(for 0s, the last one that worked is 0s old)" in session.told[0]


@pytest.mark.parametrize(
    "content",
    [
        *("", "{}", "[{}]", "[1]", "\0", "[" * 100_000),
        '[{"topic": "a", "reason": "b", "worked": null, "since": "x"}]',
        '[{"topic": "a", "reason": "b", "worked": NaN, "since": 1}]',
    ],
)
def test_a_damaged_file_shows_none(folder: RunFolder, content: str) -> None:
    folder.logs.mkdir()
    folder.troubles.write_text(content)
    assert read_troubles(folder) == ()


# -- the hook -------------------------------------------------------------------------------------


def wait_until(is_true: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_hook_learns_what_is_told_and_that_it_is_over(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = tmp_path / "heard"
    monkeypatch.setenv(
        "TUNER_ON_TROUBLE", f'cat >>{heard}; echo "$TUNER_RUN: $TUNER_TROUBLE" >>{heard}'
    )
    session.fails()
    session.fails()
    wait_until(lambda: heard.exists() and heard.read_text().count("\n") == 2)
    (line,) = session.told
    assert heard.read_text() == f"{line}\n{tmp_path}: {line}\n"
    session.fails()  # is not told again within the hour
    session.troubles.note(COPY, None)
    wait_until(lambda: heard.read_text().count("\n") == 4)
    assert heard.read_text().splitlines()[2] == f"{COPY} can be written again"


def test_a_hook_learns_of_a_path_that_is_not_utf_8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = tmp_path / "heard"
    monkeypatch.setenv("TUNER_ON_TROUBLE", f'cat >>{heard}; echo "$TUNER_TROUBLE" >>{heard}')
    hook.call_hook("caf\udce9 cannot be written", tmp_path)
    wait_until(lambda: heard.exists() and heard.read_text().count("\n") == 2)
    assert heard.read_text() == "caf\\udce9 cannot be written\n" * 2


def test_a_hook_that_hangs_or_fails_does_not_hold_up_the_search(
    session: Session,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(hook, "_LIMIT_S", 0.3)
    monkeypatch.setenv("TUNER_ON_TROUBLE", "exec sleep 60")
    session.fails()
    session.fails()
    assert len(session.told) == 1
    output = ""

    def is_reported() -> bool:
        nonlocal output
        output += capfd.readouterr().out
        return "tuner: TUNER_ON_TROUBLE failed: " in output and output.endswith("\n")

    wait_until(is_reported)
    assert "no end within 0.3 s" in output
    monkeypatch.setenv("TUNER_ON_TROUBLE", "exit 3")
    session.troubles.note(COPY, None)
    output = ""
    wait_until(is_reported)
    assert "exit code 3" in output


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("exit 3 # pa55", "exit code 3"),
        ("exec sleep 5 # pa55", "no end within 0.05 s"),
        ("true # pa55" + "x" * 200_000, "Argument list too long"),
    ],
)
def test_a_hook_that_fails_is_told_without_its_command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    reason: str,
) -> None:
    monkeypatch.setattr(hook, "_LIMIT_S", 0.05 if "sleep" in command else 30.0)
    hook._call(command, b"no room", os.environ)
    assert capsys.readouterr().out == f"tuner: TUNER_ON_TROUBLE failed: {reason}\n"
