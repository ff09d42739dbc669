"""Where prepared datasets and downloads are kept."""

import os
import pathlib

from seqjax.errors import UserError


def cache_directory() -> pathlib.Path:
    """$SEQJAX_CACHE_DIR, else $XDG_CACHE_HOME/seqjax, else ~/.cache/seqjax: absolute, perhaps not there yet.

    Raises UserError when neither variable is set and the user has no home directory.
    """
    try:
        if chosen := os.environ.get("SEQJAX_CACHE_DIR"):
            return pathlib.Path(chosen).expanduser().absolute()
        if caches := os.environ.get("XDG_CACHE_HOME"):
            return (pathlib.Path(caches).expanduser() / "seqjax").absolute()
        return pathlib.Path.home() / ".cache" / "seqjax"
    except RuntimeError as error:
        raise UserError(
            "this user has no home directory to keep prepared data in; set SEQJAX_CACHE_DIR to a writable directory"
        ) from error


def unwritable(error: OSError) -> UserError:
    """The sentence for a cache directory that cannot be written: no permission, no space, a file in its place."""
    return UserError(
        f"cannot write prepared data to {cache_directory()} ({error.strerror or error}); "
        "make it writable, free some space, or set SEQJAX_CACHE_DIR to another directory"
    )
