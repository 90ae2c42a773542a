"""Where this user's cache lies: encoded data, downloads, working copies of run folders."""

import os
from pathlib import Path


def cache_root(folder: Path | None = None) -> Path:
    """`folder`, or else `$TUNER_CACHE`, or else the user's cache folder."""
    if folder is not None:
        return folder
    if named := os.environ.get("TUNER_CACHE"):
        return Path(named).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("tuner")
