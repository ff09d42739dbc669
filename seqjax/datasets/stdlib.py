"""Python's own standard library source as a text: real, ASCII, and on every machine that runs Python."""

import pathlib
import sysconfig

from seqjax.errors import UserError

MAXIMUM_BYTES = 2_000_000

# Pure Python in every version from 3.11 to 3.14, without tests and without files that are mostly tables. Sorted, so
# that the end of the text, which validation and test are cut from, is as ordinary as its beginning.
MODULES = """
    _collections_abc asyncio/base_events asyncio/futures asyncio/locks asyncio/queues asyncio/runners
    asyncio/streams asyncio/subprocess asyncio/taskgroups asyncio/tasks asyncio/timeouts asyncio/transports
    base64 bisect bz2 calendar cmd codeop collections/__init__ concurrent/futures/_base
    concurrent/futures/process concurrent/futures/thread contextlib copy copyreg csv dis email/contentmanager
    email/feedparser email/generator email/header email/message email/parser email/policy email/utils filecmp
    fileinput fnmatch fractions functools genericpath getpass glob graphlib gzip hashlib heapq hmac html/parser
    http/cookies importlib/abc importlib/util io json/__init__ json/decoder json/encoder json/scanner json/tool
    linecache multiprocessing/context multiprocessing/heap multiprocessing/pool multiprocessing/process
    multiprocessing/queues multiprocessing/shared_memory multiprocessing/synchronize numbers operator os poplib
    posixpath pprint queue quopri random re/_compiler re/_parser reprlib sched secrets selectors shelve shlex
    socket socketserver tabnanny tempfile textwrap timeit tokenize tomllib/_parser tracemalloc types
    unittest/loader unittest/main unittest/result unittest/runner unittest/suite urllib/robotparser uuid
    venv/__init__ warnings weakref wsgiref/handlers wsgiref/simple_server wsgiref/util xml/etree/ElementPath
    xml/sax/handler xml/sax/saxutils xmlrpc/client xmlrpc/server zipapp zoneinfo/_zoneinfo
""".split()  # noqa: SIM905 (one name a line would be a page)


def text() -> bytes:
    """The files of `MODULES`, one after the other.

    A file this Python lacks, or that holds anything but ASCII, is left out; the text ends before the file that would
    take it past `MAXIMUM_BYTES`. So the text depends on the Python version, and on
    what a distribution has changed in it.

    Raises UserError when the standard library is not there as source (some embedded Pythons).
    """
    library = pathlib.Path(sysconfig.get_paths()["stdlib"])
    parts, size = [], 0
    for module in MODULES:
        file = library / f"{module}.py"
        if not file.is_file():
            continue
        part = file.read_bytes()
        if not part.isascii():
            continue
        size += len(part)
        if size > MAXIMUM_BYTES:
            break
        parts.append(part)
    if not parts:
        raise UserError(
            f"the source of Python's standard library is not in {library}; choose another source, such as 'text_file'"
        )
    return b"".join(parts)
