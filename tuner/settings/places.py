"""Paths and URLs that a setting may hold, checked."""

import hashlib
import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from tuner.files import cache_root
from tuner.storage import is_url
from tuner.urls import holds_secret

LONGEST_NAME = 100


def default_run_name(space: str, source: str) -> str:
    """The name of a run that was given none: the same for the same space and data."""
    path = Path(source)
    data = path.name.split(".")[0] if path.suffix else path.name
    data = re.sub(r"[^A-Za-z0-9_.-]+", "-", data).strip("-") or "data"
    return f"{space}-{data}"[:LONGEST_NAME]


def working_copy(url: str) -> Path:
    """The folder on this machine in which the run folder behind a URL is written first."""
    parent, _, name = url.rstrip("/").rpartition("/")
    digest = hashlib.sha256(parent.rstrip("/").encode()).hexdigest()[:12]
    return cache_root() / "runs" / digest / name


def _utf8(path: str) -> str:
    """Refuses paths that Ray cannot handle."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ValueError(f"must be UTF-8, got {path!r}") from None
    return path


def absolute(place: str) -> str:
    """The absolute path; URLs stay as they are."""
    return place if is_url(place) else os.path.abspath(os.path.expanduser(place))


def _path_or_url(place: str) -> str:
    if is_url(place) and holds_secret(place):
        kind = place.partition("://")[0].partition("+")[0]
        raise ValueError(
            f"must hold no password or token, the run folder records it; leave it out, and set FSSPEC_{kind.upper()}"
            "_PASSWORD or what else this storage calls it, or write it into ~/.config/fsspec"
        )
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", place) and not re.match(
        r"[a-z0-9+]+://[^/]|file:///[^/]", place
    ):
        raise ValueError(f"must be a path, or a URL such as s3://bucket/folder, got {place!r}")
    if is_url(place) and "::" in place:
        raise ValueError(f"must be one URL, without '::' in it, got {place!r}")
    return _utf8(place)


def tracking_uri(place: str) -> str:
    """MLflow's URI of a server, a database, a SQLite file, or a folder for one.

    Raises:
        ValueError: it is none of these, or has a password in it, which the run folder would record.
    """
    is_server = re.match(r"https?://[^/]", place) is not None
    lacks_scheme = re.match(r"[^/\s]+:\d+(/|$)", place) is not None
    names_user = "@" in place.removeprefix("http://").removeprefix("https://").partition("/")[0]
    if holds_secret(place) or ((is_server or lacks_scheme) and names_user):
        raise ValueError(
            "must hold no password or token, the run folder records it; "
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        )
    if is_server:
        return place
    if lacks_scheme:
        raise ValueError(
            f"must begin with http:// or https:// where it is a server, got {place!r}; write http://{place}, or "
            f"./{place} for a folder of that name"
        )
    path = place.removeprefix("sqlite:///")
    if not path or is_url(path):
        raise ValueError(
            f"must be http://host:port, sqlite:///file.db, or a path of a file or folder, got {place!r}"
        )
    path = absolute(path)
    is_file = place.startswith("sqlite:") or path.endswith((".db", ".sqlite", ".sqlite3"))
    return "sqlite:///" + (os.path.join(path, "mlflow.db") if not is_file else path)


def _tracking_place(place: str) -> str:
    tracking_uri(_utf8(place))
    return place


def _as_text(path: object) -> object:
    return str(path) if isinstance(path, Path) else path


PathText = Annotated[str, BeforeValidator(_as_text, json_schema_input_type=str | Path)]
# A path, or a URL with a bucket or host in it.
Place = Annotated[PathText, AfterValidator(_path_or_url)]
# What `tracking_uri` takes.
TrackingPlace = Annotated[PathText, AfterValidator(_tracking_place)]
