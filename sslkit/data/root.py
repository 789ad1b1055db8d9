"""Where data lies on disk: one folder for what was downloaded and for what was decoded."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path


def data_root(root: str | Path | None = None) -> Path:
    """The data folder: `root`, or the environment's SSLKIT_DATA, or `data/` of the checkout, or the user's cache.

    The checkout is found from the package's own place, so a notebook finds the same folder wherever it runs.
    Nothing is created: a folder that only holds data need not be writable.
    """
    if root is not None:
        return Path(root).expanduser().absolute()
    if os.environ.get("SSLKIT_DATA"):
        return Path(os.environ["SSLKIT_DATA"]).expanduser().absolute()
    checkout = Path(__file__).resolve().parents[2]
    return checkout / "data" if (checkout / "pyproject.toml").is_file() else _user_cache() / "sslkit"


def make_folder(folder: Path, what: str) -> Path:
    """Create `folder` if need be and return it. `what` says what is to be written there ("the files of mnist").

    Raises PermissionError, with the folder and the way out, where nothing can be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # permissions alone do not tell: think of a read-only disk
            pass
    except OSError as error:
        raise PermissionError(
            f"cannot write to {folder} ({error.strerror or error}): {what} should go there. Make it writable, or name "
            "another data folder: set the environment variable SSLKIT_DATA to it, or pass root=."
        ) from error
    return folder


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
