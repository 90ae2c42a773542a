"""Services that a search writes to, taken away for a while, and what must be in them when it has ended."""

import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from tuner.run import Run

_WAIT_S = 6.0  # for a request that an outage can hurt


class _Quiet(MotoRequestHandler):
    """Does not print requests."""

    def log_request(self, *_: object) -> None:
        """Nothing."""


class S3:
    """A server of S3 that can be taken away."""

    bucket = "kills"

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._is_out = threading.Event()
        self._is_silent = False
        self._refused = threading.Event()
        self.server = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=_Quiet
        )
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.server.server_port}",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def _answer(self, environ: Any, start_response: Any) -> Any:
        if self._is_out.is_set():
            self._refused.set()
            while self._is_silent and self._is_out.is_set():
                time.sleep(0.05)
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError
        return self._moto(environ, start_response)

    def out_for(self, seconds: float, *, is_silent: bool) -> bool:
        """Answers no request until `seconds` after the first one of them; False where none comes.

        Args:
            is_silent: lets them wait meanwhile, and does not close their connections at once.
        """
        self._is_silent = is_silent
        self._refused.clear()
        self._is_out.set()
        was_missed = self._refused.wait(_WAIT_S)
        if was_missed:
            time.sleep(seconds)
        self._is_out.clear()
        return was_missed

    def client(self) -> Any:
        """boto3's client of this server."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id="nobody",
            aws_secret_access_key="nothing",
            region_name="us-east-1",
        )


@contextmanager
def s3_server() -> Iterator[S3]:
    """One with an empty bucket."""
    s3 = S3()
    threading.Thread(target=s3.server.serve_forever, daemon=True).start()
    try:
        s3.client().create_bucket(Bucket=S3.bucket)
        yield s3
    finally:
        s3.server.shutdown()


def mirror_problems(run: Path, s3: S3, key: str) -> list[str]:
    """Whether the copy of a run has what the run has."""
    problems = []
    for name in ("study.journal", "leaderboard.csv"):
        copy = s3.client().get_object(Bucket=S3.bucket, Key=f"{key}/{name}")["Body"].read()
        if copy != (run / name).read_bytes():
            problems.append(f"the copy's {name} is another one")
    return problems


def locked(database: Path, seconds: float) -> bool:
    """Keeps everybody else from writing to a SQLite database; False where somebody else does so."""
    try:
        with closing(sqlite3.connect(database, timeout=5)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            time.sleep(seconds)
    except sqlite3.OperationalError:
        return False
    return True


def mlflow_problems(run: Path, database: Path) -> list[str]:
    """Whether MLflow has every trial once."""
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT value FROM tags WHERE key = 'tuner.trial'").fetchall()
    numbers = [trial.number for trial in Run(run).study.get_trials(deepcopy=False)]
    if sorted(int(number) for (number,) in found) == numbers:
        return []
    return [f"MLflow has {len(found)} runs of {len(numbers)} trials"]
