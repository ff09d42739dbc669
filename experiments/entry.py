"""What all commands share: errors as one sentence, Ctrl-C without a traceback, output that breaks."""

import argparse
import errno
import io
import logging
import os
import signal
import sys
from collections.abc import Callable

from seqjax.errors import UserError


class Parser(argparse.ArgumentParser):
    """Wrong usage is one sentence, like any other wrong input."""

    def error(self, message):
        raise UserError(f"{message} (see python -m {self.prog} --help)")


def parser(name: str, description: str) -> Parser:
    """A parser for `python -m experiments.<name>`."""
    made = Parser(
        prog=f"experiments.{name}",
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--debug", action="store_true", help="show tracebacks")
    return made


def check(options: argparse.Namespace, name: str, least: float, most: float) -> None:
    """Raise UserError unless the option of this name is left out or from `least` to `most`."""
    value, option = getattr(options, name), f"--{name.replace('_', '-')}"
    if value is not None and not value >= least:
        raise UserError(f"{option} is {value}; it should be at least {least}")
    if value is not None and value > most:
        raise UserError(f"{option} is {value}; it should be at most {most}")


class OutputError(OSError):
    """Standard output cannot be written: it goes to a full disk, say, or to a reader who has gone."""


class Output(io.FileIO):
    """A stream on which all is lost once it breaks. Writing then raises OutputError where it is `needed`; elsewhere it
    goes on, and says so once on the stream `told`, if there is one.
    """

    def __init__(self, descriptor: int, needed: bool, told: io.TextIOWrapper | None = None):
        super().__init__(descriptor, "wb", closefd=False)
        self.needed, self.told = needed, told

    def write(self, data) -> int | None:
        try:
            return super().write(data)
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if self.needed:
                raise OutputError(error.errno, error.strerror) from error
            if self.told:
                print(f"the output cannot be written ({error.strerror}); this goes on without it", file=self.told)
            return memoryview(data).nbytes


def run(main: Callable[[list[str]], int | None], goes_on_without_output: bool = False) -> None:
    """Run a command and exit: 0 done, 1 something failed, 2 wrong input or broken output, 130 Ctrl-C."""
    arguments = sys.argv[1:]
    _open_streams(not goes_on_without_output)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("absl").setLevel(logging.ERROR)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        try:
            sys.exit(main(arguments) or 0)
        finally:
            sys.stdout.flush()
    except (UserError, OutputError, KeyboardInterrupt) as error:
        if "--debug" in arguments:
            raise
        sentence, code = _end(error)
        print(sentence, end="\n" if sentence else "", file=sys.stderr)
        sys.exit(code)


def _end(error: BaseException) -> tuple[str, int]:
    """The last sentence and the exit code."""
    if isinstance(error, UserError):
        return f"error: {error}", 2
    if isinstance(error, KeyboardInterrupt):
        return "stopped; the same command goes on from here", 130
    if error.errno == errno.EPIPE:  # the reader of our output, `head` say, has had enough
        return "", 128 + signal.SIGPIPE
    return f"error: the output cannot be written ({error.strerror}); send it elsewhere, or make room", 2


def _open_streams(needs_output: bool) -> None:
    """Standard streams that need not be there, and need not take what is written."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by who started us: the next file opened would take its place
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(nowhere, True)
            setattr(sys, name, os.fdopen(nowhere, mode, closefd=False))
    sys.stderr = _stream(sys.stderr, needed=False)
    sys.stdout = _stream(sys.stdout, needs_output, told=sys.stderr)  # a live table will take sys.stderr's place


def _stream(stream: io.TextIOWrapper, needed: bool, told: io.TextIOWrapper | None = None) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.BufferedWriter(Output(stream.fileno(), needed, told)),
        encoding=stream.encoding,
        errors="backslashreplace",  # names of files need not be Unicode
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _interrupt(*_):
    raise KeyboardInterrupt
