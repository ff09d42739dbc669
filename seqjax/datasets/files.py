"""Files of data: any file by its path, and published files, which are found or else downloaded once and kept."""

import dataclasses
import gzip
import hashlib
import http.client
import os
import pathlib
import stat
import tempfile
import urllib.request
import zlib

from seqjax.datasets.cache import cache_directory, unwritable
from seqjax.errors import UserError

DOWNLOAD_SECONDS = 30


def file_bytes(path: str) -> bytes:
    """The bytes of the file at `path`; one whose name ends in .gz is decompressed.

    Raises UserError when there is no such file, it cannot be read, or is not a whole gzip file.
    """
    try:
        file = pathlib.Path(path).expanduser()
        mode = os.stat(file).st_mode
        if stat.S_ISDIR(mode):
            raise UserError(f"{path!r} is a directory; give the path of one file")
        if not stat.S_ISREG(mode):
            # A pipe can be read only once, and a later run must find the same bytes.
            raise UserError(f"{path!r} is not a regular file; save its contents to a file and give the path of that")
        return _plain(file.name, file.read_bytes())
    except FileNotFoundError:
        raise UserError(f"there is no file {path!r}; give the path of one, plain or .gz") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path!r} ends in .gz but is not a whole gzip file ({error}); get it again") from error
    except OSError as error:
        raise UserError(f"cannot read {path!r} ({error.strerror or error}); give a file you may read") from error
    except (ValueError, RuntimeError) as error:  # a NUL byte; ~ of an unknown user
        raise UserError(f"{path!r} is not a path ({error}); give the path of one file") from error


@dataclasses.dataclass(frozen=True)
class Published:
    """A file that is the same everywhere."""

    title: str
    """What it is, for error sentences."""
    name: str
    """Path below the data directory and below the cache's downloads; one that ends in .gz is compressed."""
    url: str
    """Where the file of this name is downloaded from."""
    sha256: str
    """Of the decompressed bytes, in hexadecimal: the same bytes can be compressed in many ways."""

    def contents(self) -> bytes:
        """The decompressed bytes: of a file in $SEQJAX_DATA_DIR, else of a download, which the cache keeps as sent.

        Raises UserError when the file found or downloaded is another one, and when nothing can be downloaded.
        """
        if local := self._local():
            contents = file_bytes(str(local))
            if not self._is(contents):
                raise UserError(
                    f"{local} is not {self.title}: its SHA-256{self._once_decompressed} should be {self.sha256}; "
                    "put the right file there, or remove it to have it downloaded"
                )
            return contents
        kept = cache_directory() / "downloads" / self.name
        try:
            contents = _plain(self.name, kept.read_bytes())
            if self._is(contents):
                return contents
        except (OSError, EOFError, zlib.error):
            pass  # not downloaded yet, or damaged since
        sent = self._download()
        try:
            contents = _plain(self.name, sent)
        except (OSError, EOFError, zlib.error):
            contents = b""  # what a wrong or cut-off answer comes to
        if not self._is(contents):
            raise UserError(
                f"what {self.url} sent is not {self.title}: its SHA-256{self._once_decompressed} should be "
                f"{self.sha256}; try again, or set SEQJAX_DATA_DIR to a directory that holds {self.name}"
            )
        _keep(kept, sent)
        return contents

    def _local(self) -> pathlib.Path | None:
        """The file in the data directory, compressed or not."""
        if not (data := os.environ.get("SEQJAX_DATA_DIR")):
            return None
        plain = self.name.removesuffix(".gz")
        names = (self.name, plain, f"{plain}.gz")
        files = (pathlib.Path(data).expanduser() / name for name in names)
        return next((file for file in files if file.exists()), None)

    def _is(self, contents: bytes) -> bool:
        return hashlib.sha256(contents).hexdigest() == self.sha256

    @property
    def _once_decompressed(self) -> str:
        return " once decompressed" if self.name.endswith(".gz") else ""

    def _download(self) -> bytes:
        try:
            with urllib.request.urlopen(self.url, timeout=DOWNLOAD_SECONDS) as response:  # noqa: S310 (https, our own)
                return response.read()
        except (OSError, http.client.HTTPException) as error:
            raise UserError(
                f"cannot download {self.title} from {self.url} ({error}); "
                f"set SEQJAX_DATA_DIR to a directory that holds {self.name}"
            ) from error


def _plain(name: str, contents: bytes) -> bytes:
    return gzip.decompress(contents) if name.lower().endswith(".gz") else contents


def _keep(file: pathlib.Path, contents: bytes) -> None:
    """Write by rename, so that another process never reads half a file."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=file.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(contents)
        os.replace(partial, file)
    except OSError as error:
        raise unwritable(error) from error
