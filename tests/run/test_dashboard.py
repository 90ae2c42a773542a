"""A run in the browser: a real optuna-dashboard on loopback."""

import json
import re
import socket
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from pathlib import Path
from socketserver import BaseServer
from urllib.error import HTTPError

import pytest
from support.studies import open_study, run_trial

from tuner import extras
from tuner.errors import ConfigError, RunFolderError
from tuner.run import Run, dashboard
from tuner.run.dashboard import Dashboard
from tuner.run.folder import RunFolder
from tuner.search.study import SearchStudy
from tuner.settings.space import SearchSpace

Fetch = Callable[..., HTTPResponse]


@pytest.fixture
def study(tmp_path: Path, space: SearchSpace) -> SearchStudy:
    study = open_study(tmp_path / "x" / "study.journal", space)
    run_trial(study, 0.7, 0.8)
    return study


@pytest.fixture
def folder(tmp_path: Path, study: SearchStudy) -> RunFolder:
    return RunFolder(tmp_path / "x")


@pytest.fixture
def server(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dashboard]:
    # So often it looks whether it is to stop.
    monkeypatch.setattr(BaseServer.serve_forever, "__defaults__", (0.01,))
    server = Dashboard(Run(folder.path, read_only=True))
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield server
    server.stop()
    thread.join()


@pytest.fixture
def fetch(server: Dashboard) -> Fetch:
    """Asks the server for a path."""
    root = server.url.partition("/dashboard")[0]

    def ask(path: str, method: str = "GET", **headers: str) -> HTTPResponse:
        asked = urllib.request.Request(root + path, method=method, headers=headers)
        response: HTTPResponse = urllib.request.urlopen(asked, timeout=30)
        return response

    return ask


def test_the_page_is_there(server: Dashboard, fetch: Fetch) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    with fetch("/dashboard/studies/0") as page:
        assert "Optuna Dashboard" in page.read().decode()


def test_the_study_is_there_and_follows_the_search(fetch: Fetch, study: SearchStudy) -> None:
    with fetch("/api/studies") as answer:
        (summary,) = json.load(answer)["study_summaries"]
    assert (summary["study_id"], summary["study_name"]) == (0, "tuner")
    run_trial(study, 0.9)
    with fetch("/api/studies/0") as answer:
        trials = json.load(answer)["trials"]
    assert [trial["values"] for trial in trials if trial["state"] == "Complete"] == [[0.8], [0.9]]
    assert len(trials[0]["intermediate_values"]) == 2


@pytest.mark.parametrize(
    ("path", "method"),
    [("/api/studies/0", "DELETE"), ("/api/studies/0/rename", "POST"), ("/api/studies", "POST")],
)
def test_requests_that_would_change_the_study_are_refused(
    fetch: Fetch, folder: RunFolder, path: str, method: str
) -> None:
    before = folder.journal.read_bytes()
    with pytest.raises(HTTPError, match="405") as refused:
        fetch(path, method).close()
    with refused.value as answer:
        assert json.load(answer)["reason"] == "tuner shows studies for reading only"
    assert folder.journal.read_bytes() == before
    assert [path.name for path in folder.path.iterdir()] == ["study.journal"]


def test_the_journal_itself_refuses_changes_too(folder: RunFolder) -> None:
    study = Run(folder.path, read_only=True).study
    before = folder.journal.read_bytes()
    with pytest.raises(RunFolderError, match="was opened for reading only"):
        study.set_user_attr("a", 1)
    assert folder.journal.read_bytes() == before


def test_a_foreign_page_reads_nothing(fetch: Fetch) -> None:
    with pytest.raises(HTTPError, match="403") as refused:
        fetch("/api/studies", Host="stranger.example:8080").close()
    refused.value.close()


def test_a_port_that_is_taken_is_refused_and_the_default_gives_way(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server((dashboard.HOST, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"^--port: {port} is taken; choose another"):
            Dashboard(Run(folder.path, read_only=True), port)
        monkeypatch.setattr(dashboard, "DEFAULT_PORT", port)
        server = Dashboard(Run(folder.path, read_only=True))
        assert f":{port}/" not in server.url
        server._server.server_close()


def test_without_its_package_the_message_names_it(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda module: None)
    message = (
        "tuner dashboard: needs optuna-dashboard, which is not installed; "
        f'{sys.executable} -m pip install "sequence-tuner[dashboard]"'
    )
    with pytest.raises(ConfigError, match=re.escape(message)):
        Dashboard(Run(folder.path, read_only=True))
