"""Commands that run on a head: their marked output, and run folders that are fetched."""

import base64
import io
import os
import subprocess
import tarfile
from enum import StrEnum
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from support.run_files import write_tests

from tuner.errors import ConfigError, RunFolderError
from tuner.execution import fetching, job_head
from tuner.execution.fetching import fetch_from_storage, pack, unpack
from tuner.execution.head import (
    head_at,
    run_on_head,
)
from tuner.execution.job_head import JobHead
from tuner.execution.marked_output import Answer, marking_command, read_answer
from tuner.execution.ssh_head import SshHead
from tuner.run.copies import adopt
from tuner.run.folder import RunFolder
from tuner.run.lock import owner_of
from tuner.run.run_file import remember_place
from tuner.settings.data import DataConfig


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        (
            "noise\ntuner> a\nRunning tuner> b\ntuner> b\ntuner> \ntuner> 0\nnoise",
            Answer(0, "a\nb"),
        ),
        ("tuner> a\r\ntuner> \r\ntuner> 2\r\n", Answer(2, "a")),  # through a terminal
        ("tuner> \ntuner> 1\n", Answer(1, "")),
        ("tuner> a\n", None),  # interrupted
        ("command not found", None),
    ],
)
def test_the_answer_is_read_from_the_marked_lines(output: str, answer: Answer | None) -> None:
    assert read_answer(output) == answer


@pytest.mark.parametrize(
    ("tuner", "answer"), [("echo a; echo b >&2", Answer(0, "a\nb")), ("exit 3", Answer(3, ""))]
)
def test_a_shell_marks_the_lines_and_the_exit_code(
    tmp_path: Path, tuner: str, answer: Answer
) -> None:
    (tmp_path / "tuner").write_text(f"#!/bin/sh\n{tuner}\n")
    (tmp_path / "tuner").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(
        ["bash", "-c", marking_command(["x"])], env=environment, capture_output=True, text=True
    )
    assert read_answer(done.stdout) == answer


@pytest.fixture
def head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SshHead:
    """A head that is this machine: commands of `ray exec` run here, among other output of Ray."""
    fake = tmp_path / "ray"
    fake.write_text('#!/bin/sh\necho "Shared connection"\nbash -c "$5"\n')
    fake.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(fake))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return SshHead("cluster.yaml")


@pytest.mark.parametrize(
    ("tuner", "lines", "code"),
    [
        ("echo a; echo; echo b >&2; exit 3", ["a", "", "b"], 3),
        ("printf 'no line end'", ["no line end"], 0),
        ("exit 0", [], 0),
    ],
)
def test_a_long_command_passes_its_lines_on(
    head: SshHead, tmp_path: Path, tuner: str, lines: list[str], code: int
) -> None:
    (tmp_path / "tuner").write_text(f"#!/bin/sh\n{tuner}\n")
    (tmp_path / "tuner").chmod(0o755)
    shown: list[str] = []
    assert head.stream(["confirm", "runs/mine"], shown.append) == code
    assert shown == lines


def test_a_line_is_passed_on_before_the_command_ends(head: SshHead, tmp_path: Path) -> None:
    program = "#!/bin/sh\necho one; echo two; echo three\nuntil [ -e shown ]; do sleep 0.05; done\n"
    (tmp_path / "tuner").write_text(program)
    (tmp_path / "tuner").chmod(0o755)
    shown: list[str] = []

    def show(line: str) -> None:
        shown.append(line)
        (tmp_path / "shown").touch()  # for want of it the command would never end

    assert head.stream(["confirm", "runs/mine"], show) == 0
    assert shown == ["one", "two", "three"]


class _Status(StrEnum):
    """As Ray's of a job."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"

    def is_terminal(self) -> bool:
        return self is _Status.SUCCEEDED


def test_a_log_that_takes_long_to_fetch_is_fetched_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, pauses = 0.0, []
    statuses = [_Status.RUNNING, _Status.RUNNING, _Status.SUCCEEDED]
    logs = iter([(0.1, "one\n"), (3.0, "one\ntwo\nthr"), (3.0, "one\ntwo\nthree\n")])

    def fetch(job: str) -> str:
        nonlocal now
        took_s, log = next(logs)
        now += took_s
        return log

    monkeypatch.setattr(
        job_head, "time", SimpleNamespace(monotonic=lambda: now, sleep=pauses.append)
    )
    head = JobHead.__new__(JobHead)
    head._client = SimpleNamespace(get_job_status=lambda job: statuses.pop(0), get_job_logs=fetch)
    shown: list[str] = []
    assert head.follow("job", shown.append)
    assert shown == ["one", "two", "three"]
    assert pauses == pytest.approx([2.0, 30.0])


def test_a_head_that_does_not_answer_a_long_command_is_refused(
    head: SshHead, tmp_path: Path
) -> None:
    (tmp_path / "ray").write_text("#!/bin/sh\necho 'no such host'; exit 255\n")
    with pytest.raises(ConfigError, match=r"its head does not answer: no such host"):
        head.stream(["confirm", "runs/mine"], print)


def test_words_arrive_as_they_were_typed() -> None:
    assert "tuner status 'runs/my run'" in marking_command(["status", "runs/my run"])


def test_a_bare_name_is_a_run_of_the_heads_home() -> None:
    assert run_on_head("mine") == "runs/mine"
    assert run_on_head("/data/mine") == "/data/mine"


@pytest.mark.parametrize(
    ("cluster", "address", "problem"),
    [
        (None, None, "--cluster or --address: the cluster is not named"),
        ("a.yaml", "http://b", "--cluster and --address: give one of them"),
        ("nowhere.yaml", None, "--cluster nowhere.yaml: no such file"),
        (None, "http://127.0.0.1:9", "--address http://127.0.0.1:9: no job server answers"),
        (None, "nonsense", "--address nonsense: no job server answers"),
    ],
)
def test_a_cluster_that_cannot_be_reached_is_refused(
    cluster: str | None, address: str | None, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "RAY_AUTH_MODE", "disabled"
    )  # or this process would have a token from now on
    with pytest.raises(ConfigError, match=problem) as refusal:
        head_at(cluster=cluster, address=address)
    assert "\n" not in str(refusal.value)


def make_run(folder: Path, journal: str = "1\n") -> Path:
    (folder / "logs").mkdir(parents=True)
    (folder / "study.journal").write_text(journal)
    (folder / "leaderboard.csv").write_text("rank\n")
    (folder / "logs" / "driver.log").write_text("output")
    (folder / "logs" / "lock").write_text("process 7 on head")
    return folder


def test_a_packed_run_is_unpacked_without_its_lock(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    unpack(lambda after: pack(run, after), tmp_path / "home")
    files = {str(path.relative_to(tmp_path / "home")) for path in (tmp_path / "home").rglob("*")}
    assert files == {"study.journal", "leaderboard.csv", "logs", "logs/driver.log"}


def test_a_large_run_comes_in_parts_that_the_journal_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_PART", 10)
    run = make_run(tmp_path / "run")
    RunFolder(run).trial_models.mkdir()
    for trial in range(5):
        RunFolder(run).trial_model(trial).write_text("weights")
    asked = []

    def ask(after: str) -> str:
        asked.append(after)
        if len(asked) == 2:  # a search goes on meanwhile
            (run / "leaderboard.csv").write_text("rank\n1\n")
            (run / "study.journal").write_text("1\n2\n")
        return pack(run, after)

    unpack(ask, tmp_path / "home")
    assert asked == ["", "logs/driver.log", "trials/trial-1.npz", "trials/trial-3.npz"]
    packed = [path.relative_to(run) for path in run.rglob("*") if path.is_file()]
    home = [path.relative_to(tmp_path / "home") for path in (tmp_path / "home").rglob("*.*")]
    assert sorted(home) == sorted(path for path in packed if path.name != "lock")
    assert (tmp_path / "home" / "study.journal").read_text() == "1\n2\n"


def test_a_head_that_sends_a_part_again_and_again_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="File exists"):
        unpack(lambda _: archive_of("leaderboard.csv"), tmp_path / "home")


@pytest.mark.parametrize("damage", ["", "@@@", "aGVsbG8=", "cut"])
def test_a_run_that_was_damaged_on_its_way_is_refused(tmp_path: Path, damage: str) -> None:
    text = pack(make_run(tmp_path / "run"))
    with pytest.raises(RunFolderError, match="is damaged"):
        unpack(lambda _: text[:100] if damage == "cut" else damage, tmp_path / "home")


def archive_of(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, target: str = "") -> str:
    """A packed run that a hostile head sends."""
    content = io.BytesIO()
    member = tarfile.TarInfo(name)
    member.type, member.size, member.linkname = kind, size, target
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.addfile(member, io.BytesIO(bytes(min(size, 100))) if size <= 100 else None)
    return base64.encodebytes(content.getvalue()).decode()


@pytest.mark.parametrize(
    "name", ["../evil", "/tmp/evil", "logs/../../evil", "a\x1b[2Jb", "a\nb", "a/\u202eb"]
)
def test_an_archive_cannot_write_elsewhere_or_under_a_strange_name(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(RunFolderError, match="no file of a run is named so") as refused:
        unpack(lambda _: archive_of(name), tmp_path / "home")
    assert str(refused.value).isprintable()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE]
)
def test_an_archive_holds_plain_files_only(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(RunFolderError, match=r"leaderboard\.csv': is no plain file"):
        unpack(
            lambda _: archive_of("leaderboard.csv", kind, target="/etc/passwd"), tmp_path / "home"
        )


def test_an_archive_that_would_fill_the_disk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="the fetched run has over 16 GiB or 1,000,000 files"):
        unpack(lambda _: archive_of("study.journal", size=2**40), tmp_path / "home")


@pytest.mark.parametrize("name", ["leaderboard.csv", "logs", "study.journal"])
def test_a_fetched_link_is_not_followed(tmp_path: Path, name: str) -> None:
    """As rsync brings it."""
    secret = tmp_path / "id_rsa"
    secret.write_text("secret\n")
    there = make_run(tmp_path / "there")
    (there / name).rename(tmp_path / "moved")
    (there / name).symlink_to(secret)
    with pytest.raises(RunFolderError, match=f"{name}: is a link or no plain file"):
        adopt(RunFolder(tmp_path / "home"), there)
    assert not (tmp_path / "home").exists()


def test_a_run_is_fetched_from_storage(tmp_path: Path) -> None:
    make_run(tmp_path / "there")
    fetch_from_storage(f"file://{tmp_path}/there", tmp_path / "home")
    assert (tmp_path / "home" / "leaderboard.csv").read_text() == "rank\n"
    with pytest.raises(RunFolderError, match="no run there"):
        fetch_from_storage(f"file://{tmp_path}/nowhere", tmp_path / "other")


def test_a_fetched_run_is_taken_over_as_it_grows(tmp_path: Path) -> None:
    home = RunFolder(tmp_path / "home")
    for journal in ("1\n", "1\n2\n"):
        adopt(home, make_run(tmp_path / journal.replace("\n", "-"), journal))
        assert home.journal.read_text() == journal
    assert owner_of(home) is None


def test_a_test_evaluation_that_was_made_here_stays_when_the_run_is_fetched_again(
    tmp_path: Path,
) -> None:
    there, home = RunFolder(make_run(tmp_path / "there")), RunFolder(tmp_path / "home")
    adopt(home, there.path)
    write_tests(home)
    ours = home.tests.read_bytes()
    adopt(home, there.path)
    assert home.tests.read_bytes() == ours
    there.tests.write_bytes(ours.replace(b"opened: ", b"opened: 9"))
    adopt(home, there.path)
    assert home.tests.read_bytes().count(b"opened: ") == 2


def test_the_place_of_the_data_here_stays_when_the_run_is_fetched_again(tmp_path: Path) -> None:
    there, home = RunFolder(make_run(tmp_path / "there")), RunFolder(tmp_path / "home")
    there.run_file.write_text("space: seed\ndata: {source: /head/rows.csv}\nout: /head/runs\n")
    (there.path / ".leaderboard.csv.1f.tmp").write_text("half")
    adopt(home, there.path)
    assert not list(home.path.glob("*.tmp"))
    assert not list(home.path.glob(".*.tmp"))
    rows = tmp_path / "rows.csv"
    rows.write_text("text,label\n")
    remember_place(home, DataConfig(source=str(rows)))
    adopt(home, there.path)
    assert yaml.safe_load(home.run_file.read_text())["data"]["source"] == str(rows)


def test_a_fetched_run_has_only_the_models_of_its_best_trials(tmp_path: Path) -> None:
    home = RunFolder(tmp_path / "home")
    for trials in ((1, 2), (2, 3)):
        there = RunFolder(make_run(tmp_path / f"{trials}"))
        there.trial_models.mkdir()
        for trial in trials:
            there.trial_model(trial).write_text("weights")
        adopt(home, there.path)
        assert {path.name for path in home.trial_models.iterdir()} == {
            f"trial-{trial}.npz" for trial in trials
        }


def test_another_run_of_the_same_name_is_not_overwritten(tmp_path: Path) -> None:
    home = RunFolder(make_run(tmp_path / "home", "mine\n"))
    with pytest.raises(RunFolderError, match="holds another run, or has changed by itself"):
        adopt(home, make_run(tmp_path / "fetched", "theirs\n"))
    assert home.journal.read_text() == "mine\n"
