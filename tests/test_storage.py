"""Files on a mounted folder or behind a URL."""

import os
from pathlib import Path

import boto3
import fsspec
import pytest

from tuner.errors import ConfigError
from tuner.storage import FileChanged, Storage


@pytest.fixture(params=["path", "url"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "path":
        return Storage(str(tmp_path / "deep" / "folder"))
    fsspec.filesystem("memory").store.clear()
    return Storage("memory://bucket/folder")


def test_written_content_reads_back_the_same(storage: Storage) -> None:
    assert storage.read("a.csv") is None
    storage.write("a.csv", b"1")
    storage.write("a.csv", b"2")
    assert storage.read("a.csv") == b"2"


def test_files_of_a_folder_below_are_named(storage: Storage) -> None:
    assert storage.names("models") == []
    for name in ("models/b.npz", "models/a.npz", "c.csv"):
        storage.write(name, b"1")
    assert storage.names("models") == ["models/a.npz", "models/b.npz"]
    assert storage.read("models/a.npz") == b"1"


def test_a_path_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two colons chain URLs of fsspec."""
    (tmp_path / "exp").mkdir()
    (tmp_path / "exp" / "theirs").write_text("1")
    monkeypatch.chdir(tmp_path)
    for place in (str(tmp_path / "exp::2"), "exp::3"):
        storage = Storage(place)
        storage.write("a.csv", b"1")
        assert storage.read("a.csv") == b"1"
        storage.remove_all()
    assert (tmp_path / "exp" / "theirs").read_text() == "1"


def test_a_removed_file_is_gone_and_may_be_removed_again(storage: Storage) -> None:
    storage.write("a.csv", b"1")
    for _ in range(2):
        storage.remove("a.csv")
        assert storage.read("a.csv") is None
    storage.write("b.csv", b"1")
    for _ in range(2):
        storage.remove_all()
        assert storage.read("b.csv") is None


def test_a_path_is_never_half_written(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    storage.write("a.csv", b"1")
    assert os.listdir(tmp_path) == ["a.csv"]


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("nonsense://bucket", "nonsense://bucket: cannot be reached: Protocol not known: nonsense"),
        ("/dev/null/folder", "/dev/null/folder: cannot be reached: .*Not a directory"),
    ],
)
def test_storage_that_cannot_be_is_refused(place: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Storage(place)


@pytest.mark.slow
def test_a_missing_bucket_is_refused_and_not_made(aws: None) -> None:
    s3 = boto3.client("s3")
    with pytest.raises(ConfigError, match="no such bucket: my-buckt; make it first"):
        Storage("s3://my-buckt/runs")
    assert "my-buckt" not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    s3.create_bucket(Bucket="my-bucket")
    storage = Storage("s3://my-bucket/runs")
    assert storage.read("a.csv") is None
    storage.write("a.csv", b"1")
    assert storage.read("a.csv") == b"1"


class Files:
    """Files on S3 with credentials that may not ask for the bucket."""

    protocol = ("s3", "s3a")

    def __init__(self, answer: Exception | None) -> None:
        self._answer = answer

    def info(self, path: str) -> None:
        raise PermissionError("Forbidden")

    def ls(self, path: str) -> list[str]:
        assert path == "bucket/mine/run"
        if self._answer is not None:
            raise self._answer
        return [f"{path}/study.journal"]

    def invalidate_cache(self) -> None:
        pass


@pytest.mark.parametrize("answer", [None, FileNotFoundError("bucket/mine/run")])
def test_credentials_for_one_folder_of_a_bucket_are_enough(
    monkeypatch: pytest.MonkeyPatch, answer: Exception | None
) -> None:
    files = Files(answer), "bucket/mine/run"
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda *_, **__: files)
    assert Storage("s3://bucket/mine/run").place == "s3://bucket/mine/run"


def test_credentials_for_nothing_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(PermissionError("Access Denied")), "bucket/mine/run"
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda *_, **__: files)
    with pytest.raises(ConfigError, match=r"s3://bucket/mine/run: cannot .*: Access Denied"):
        Storage("s3://bucket/mine/run")


def test_reading_makes_nothing(tmp_path: Path) -> None:
    assert Storage(f"file://{tmp_path}/a/b").read("c") is None
    assert not list(tmp_path.iterdir())


def test_an_unreadable_file_is_an_os_error_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(OSError, match=f"{tmp_path}/a.csv: .*directory"):
        Storage(str(tmp_path)).read("a.csv")


def test_a_file_on_s3_is_replaced_only_if_nobody_else_has_written_it(aws: None) -> None:
    boto3.client("s3").create_bucket(Bucket="versions")
    storage = Storage("s3://versions/run")
    assert storage.version("a.csv") == ""
    first = storage.replace("a.csv", b"1", "")
    assert first == storage.version("a.csv")
    second = storage.replace("a.csv", b"2", first)
    for version in ("", first):
        with pytest.raises(FileChanged, match=r"s3://versions/run/a\.csv"):
            storage.replace("a.csv", b"3", version)
    assert (storage.read("a.csv"), storage.version("a.csv")) == (b"2", second)


def test_a_store_without_versions_replaces_a_file_in_any_case(storage: Storage) -> None:
    assert storage.version("a.csv") is None
    assert storage.replace("a.csv", b"1", None) is None
    assert storage.read("a.csv") == b"1"


def test_a_password_is_in_no_message() -> None:
    with pytest.raises(ConfigError, match=r"nonsense://anna:\*\*\*@host/x: cannot") as refused:
        Storage("nonsense://anna:s3cr3t@host/x")
    assert "s3cr3t" not in str(refused.value)
