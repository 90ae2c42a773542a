"""A run in the browser, through optuna-dashboard: on this machine alone, and for reading only.

The dashboard itself could rename or delete the study while the search runs. Here every request for a change is refused:
first by the server, then by the journal. Must not import Ray or Keras.
"""

import errno
import json
import socketserver
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from tuner.errors import ConfigError
from tuner.extras import Extra, require
from tuner.run import Run

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

HOST = "127.0.0.1"
DEFAULT_PORT = 8080
# A browser on this machine uses these names. A foreign page may use another name to read the study.
_OWN_NAMES = {HOST, "localhost"}
_READING = {"GET", "HEAD"}


class Dashboard:
    """The server; `serve` answers until it is interrupted.

    Args:
        run: opened for reading only.
        port: on 127.0.0.1; None: 8080, or any free one where that is taken.

    Raises:
        ConfigError: optuna-dashboard is not installed, or the port is taken.
        RunFolderError: the journal is damaged.
    """

    def __init__(self, run: Run, port: int | None = None) -> None:
        require(Extra.DASHBOARD, "tuner dashboard")
        from optuna_dashboard import wsgi

        from tuner.run.optuna_internals import id_of_study

        self._server = _bind(port)
        self._server.set_app(_reading_only(wsgi(run.storage)))
        self.url = (
            f"http://{HOST}:{self._server.server_port}/dashboard/studies/{id_of_study(run.study)}"
        )

    def serve(self) -> None:
        """Answers requests, each in a thread."""
        with self._server, warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="optuna")  # of importances of few trials
            self._server.serve_forever()

    def stop(self) -> None:
        """Ends `serve`, from another thread."""
        self._server.shutdown()


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    allow_reuse_address = True  # of one that ended just now; not of one that lives

    def server_bind(self) -> None:
        """Binds without asking the network for this machine's name, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, int(self.server_address[1])
        self.setup_environ()


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Logs nothing: one line per request would hide the rest."""


def _bind(port: int | None) -> _Server:
    wanted = DEFAULT_PORT if port is None else port
    try:
        return _Server((HOST, wanted), _Quiet)
    except OSError as cause:
        if port is None and cause.errno == errno.EADDRINUSE:
            return _Server((HOST, 0), _Quiet)
        why = (
            "is taken" if cause.errno == errno.EADDRINUSE else f"cannot be used ({cause.strerror})"
        )
        raise ConfigError(
            f"--port: {wanted} {why}; choose another, or leave it out for a free one"
        ) from cause


def _reading_only(app: "WSGIApplication") -> "WSGIApplication":
    """`app` for browsers of this machine that change nothing."""

    def answer(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        name = str(environ.get("HTTP_HOST", HOST)).rpartition(":")
        if (name[0] or name[2]) not in _OWN_NAMES:
            return _refuse(start, "403 Forbidden", "open it as 127.0.0.1 or localhost")
        if environ["REQUEST_METHOD"] not in _READING:
            return _refuse(start, "405 Method Not Allowed", "tuner shows studies for reading only")
        environ.setdefault("HTTP_ACCEPT_ENCODING", "")  # optuna-dashboard stumbles without one
        return app(environ, start)

    return answer


def _refuse(start: "StartResponse", status: str, reason: str) -> Iterable[bytes]:
    start(status, [("Content-Type", "application/json")])
    return [json.dumps({"reason": reason}).encode()]
