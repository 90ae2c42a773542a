"""Files in a folder that other machines can reach: a path that is mounted everywhere, or a URL that fsspec knows.

Must not import Ray, Keras or Optuna.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

from tuner.errors import ConfigError
from tuner.text import one_line
from tuner.urls import without_secrets

# Stores whose files appear whole by themselves, and whose topmost folders, buckets, are made by a person.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss"})


PART = ".part"  # ends the names of files that are being written; a writer that was killed leaves its own

# Answers of stores to a condition: it does not hold; others write just now; conditions are not known.
_NOT_HELD = frozenset(
    {"PreconditionFailed", "412", "ConditionalRequestConflict", "409", "NoSuchKey"}
)
_NOT_KNOWN = frozenset({"NotImplemented", "501"})
_LARGEST_PUT = 2**32  # bytes; a larger file is uploaded in parts, which knows no condition


class FileChanged(OSError):
    """A file is not the one any more that it was to replace."""


def is_url(place: str) -> bool:
    """Whether `place` is `s3://…` and the like, not a path."""
    return "://" in place


class Storage:
    """A folder of files that are read and written whole.

    Args:
        place: a path or a URL; made when something is written.

    Raises:
        ConfigError: no such kind of storage or bucket, or it cannot be reached.
    """

    def __init__(self, place: str) -> None:
        import fsspec

        self.place = without_secrets(place.rstrip("/"))  # as messages name it
        self._is_object_store = place.partition("://")[0] in _OBJECT_STORES and is_url(place)
        try:
            # A fresh instance: those that fsspec caches remember listings and servers.
            if is_url(place):
                self._files, self._folder = fsspec.core.url_to_fs(
                    place.rstrip("/"), skip_instance_cache=True
                )
            else:  # as it is: a path may have `::` in it, which chains URLs
                self._files = fsspec.filesystem("file", skip_instance_cache=True)
                self._folder = os.path.abspath(os.path.expanduser(place))
            if self._is_object_store:
                bucket = self._folder.split("/")[0]
                try:
                    self._files.info(bucket)
                except FileNotFoundError as cause:
                    raise FileNotFoundError(f"no such bucket: {bucket}; make it first") from cause
                except (
                    PermissionError
                ):  # credentials for this folder alone may not ask for the bucket
                    with suppress(FileNotFoundError):  # nothing is in it yet
                        self._files.ls(self._folder)
                    self._files.invalidate_cache()
            else:
                self._check_folder()
            # Of fsspec's stores only S3's passes conditions on.
            self._has_conditions = "s3" in self._files.protocol
        except ImportError as cause:  # fsspec's text names the package to install
            raise ConfigError(f"{self.place}: {one_line(str(cause))}") from cause
        except Exception as cause:  # every kind of storage has errors of its own
            reason = without_secrets(one_line(str(cause)))
            raise ConfigError(f"{self.place}: cannot be reached: {reason}") from cause

    def _check_folder(self) -> None:
        """Checks that the folder is one, or could be made."""
        folder = self._folder
        while folder and not self._files.exists(folder):
            folder = folder.rpartition("/")[0]
        if folder and not self._files.isdir(folder):
            raise NotADirectoryError(f"Not a directory: {folder}")

    def read(self, name: str) -> bytes | None:
        """A file's content; None where there is none.

        Raises:
            OSError: it cannot be read.
        """
        try:
            with self._as_os_errors(name):
                content: bytes = self._files.cat_file(f"{self._folder}/{name}")
                return content
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> list[str]:
        """The files in a folder below, each as `folder/name`; none where there is no such folder.

        Args:
            folder: relative to this one; "" for this one itself, whose files have their names alone.

        Raises:
            OSError: it cannot be read.
        """
        with self._as_os_errors(folder):
            self._files.invalidate_cache()  # others write to it, too
            place = f"{self._folder}/{folder}".rstrip("/")
            if not self._files.exists(place):
                return []
            found = [str(path).rstrip("/") for path in self._files.ls(place, detail=False)]
            names = (path.rpartition("/")[2] for path in found)
            return sorted(f"{folder}/{name}" if folder else name for name in names)

    def write(self, name: str, content: bytes) -> None:
        """Replaces a file; a reader sees the old one or the new one, never half of it.

        Raises:
            OSError: it cannot be written.
        """
        path = f"{self._folder}/{name}"
        with self._as_os_errors(name):
            if self._is_object_store:
                self._files.pipe_file(path, content)
                return
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            part = f"{path}.{uuid4().hex}{PART}"
            try:
                self._files.pipe_file(part, content)
                self._files.mv(part, path)
            except BaseException:
                with suppress(Exception):
                    self._files.rm_file(part)
                raise

    def version(self, name: str) -> str | None:
        """A name for the file's present content; "" where there is no file, None where the store has no such names.

        Raises:
            OSError: the store does not answer.
        """
        if not self._has_conditions:
            return None
        try:
            with self._as_os_errors(name):
                found = self._files.info(f"{self._folder}/{name}", refresh=True)
                return str(found["ETag"])
        except FileNotFoundError:
            return ""

    def replace(self, name: str, content: bytes, version: str | None) -> str | None:
        """Replaces a file if its version is still this one; with None, or in a store without conditions, in any case.

        Returns:
            The new version, where the store has versions.

        Raises:
            FileChanged: it has another version.
            OSError: it cannot be written.
        """
        if version is None or not self._has_conditions:
            self.write(name, content)
            return None
        condition = {"IfMatch": version} if version else {"mode": "create"}
        try:
            answer = self._files.pipe_file(
                f"{self._folder}/{name}", content, chunksize=_LARGEST_PUT, **condition
            )
        except Exception as cause:
            codes = _answer_codes(cause)
            if codes & _NOT_KNOWN:
                self._has_conditions = False
                self.write(name, content)
                return None
            kind = (
                FileChanged if codes & _NOT_HELD or isinstance(cause, FileExistsError) else OSError
            )
            raise kind(f"{self.place}/{name}: {one_line(str(cause))}") from cause
        return str(answer["ETag"]) if isinstance(answer, dict) and "ETag" in answer else None

    def remove(self, name: str) -> None:
        """Removes a file, if it is there.

        Raises:
            OSError: it cannot be removed.
        """
        with self._as_os_errors(name):
            if self._files.exists(f"{self._folder}/{name}"):
                self._files.rm_file(f"{self._folder}/{name}")

    def remove_all(self) -> None:
        """Removes the folder with all that is in it.

        Raises:
            OSError: it cannot be removed.
        """
        with self._as_os_errors(""):
            if self._files.exists(self._folder):
                self._files.rm(self._folder, recursive=True)

    @contextmanager
    def _as_os_errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as cause:
            text = without_secrets(one_line(str(cause))) or type(cause).__name__
            raise OSError(f"{self.place}/{name}: {text}") from cause


def _answer_codes(error: BaseException | None) -> set[str]:
    """The codes in a store's answers that led to `error`, by botocore's exceptions among its causes."""
    codes = set()
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            codes.add(str(response.get("Error", {}).get("Code")))
        error = error.__cause__
    return codes
