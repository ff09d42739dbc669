"""Hits a process under attack from inside, at the moment that SEQJAX_FAULT names: Python imports this file first.

SEQJAX_FAULT is a JSON object. `process` is a word of the command line of the processes that are meant, `mark` a file
that is made when the fault strikes: it strikes once, but for clocks. `do` is one of

    signal    the process gets the signal `number`; SIGSTOP makes it hang
    full      from this write on, every write under the folder `within` fails with the error `number`
    limit     files cannot grow over `bytes`, from the start
    clock     time.time() and time.time_ns() jump back and forth by up to a year; the first call strikes
    count     the writes under `within` are counted in the file `mark`

and the moment of the first two is one of

    after       seconds since the start
    function    the `entry`-th time that the main thread is seen in it, "file.py:name", and `after` seconds later
    write       the so-many-th write under `within`: a file opened for writing, made, renamed or deleted
"""

import json
import os
import sys
import threading
import time

EVENTS = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def _strike(fault: dict) -> bool:
    """Whether this process is the one to strike."""
    try:
        os.close(os.open(fault["mark"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def _signal(fault: dict) -> None:
    if _strike(fault):
        os.kill(os.getpid(), fault["number"])


def _seen(frame, function: str) -> bool:
    file, name = function.split(":")
    try:
        while frame:
            if frame.f_code.co_name == name and frame.f_code.co_filename.endswith(file):
                return True
            frame = frame.f_back
    except AttributeError:  # the other thread went on, and what was a frame is something else
        pass
    return False


def _watch(fault: dict) -> None:
    main, entries, inside = threading.main_thread().ident, 0, False
    while fault.get("function") and entries < fault.get("entry", 1):
        time.sleep(0.0005)
        now = _seen(sys._current_frames().get(main), fault["function"])
        entries += now and not inside
        inside = now
    time.sleep(fault.get("after", 0))
    _signal(fault)


def _is_write(event: str, arguments: tuple, within: str) -> bool:
    if event not in EVENTS or not isinstance(arguments[0], (str, bytes, os.PathLike)):
        return False
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITING):
        return False
    return os.path.abspath(os.fsdecode(arguments[0])).startswith(within)


def _hook(fault: dict):
    writes, full = 0, False

    def hook(event, arguments):
        nonlocal writes, full
        if not _is_write(event, arguments, fault["within"]):
            return
        writes += 1
        if fault["do"] == "count":
            with open(fault["mark"], "w") as file:
                file.write(str(writes))
        elif fault["do"] == "full":
            full = full or (writes == fault["write"] and _strike(fault))
            if full:
                raise OSError(fault["number"], os.strerror(fault["number"]))
        elif writes == fault["write"]:
            _signal(fault)

    return hook


def _jump(fault: dict) -> None:
    real, jumps, struck = time.time_ns, [0, -3.1e7, 3.1e7, -60, 1e5], False

    def jumping() -> int:
        nonlocal struck
        if not struck:
            struck = True
            _strike(fault)
        now = real()
        return now + int(jumps[now // 10**8 % len(jumps)]) * 10**9

    time.time_ns = jumping
    time.time = lambda: jumping() / 1e9


def _begin(fault: dict) -> None:
    if fault["do"] == "clock":
        _jump(fault)
    elif fault["do"] == "limit":
        import resource

        if _strike(fault):
            resource.setrlimit(resource.RLIMIT_FSIZE, (fault["bytes"], fault["bytes"]))
    elif "within" in fault:
        sys.addaudithook(_hook(fault))
    else:
        threading.Thread(target=_watch, args=(fault,), daemon=True).start()


_fault = json.loads(os.environ.get("SEQJAX_FAULT", "null"))
if _fault and _fault["process"] in sys.orig_argv:
    _begin(_fault)
