"""What all commands share: errors as one sentence, Ctrl-C without a traceback."""

import argparse
import logging
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


def run(main: Callable[[list[str]], int | None]) -> None:
    """Run a command and exit: 0 done, 1 something failed, 2 wrong input, 130 Ctrl-C."""
    arguments = sys.argv[1:]
    sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be Unicode
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("absl").setLevel(logging.ERROR)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        sys.exit(main(arguments) or 0)
    except UserError as error:
        if "--debug" in arguments:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        if "--debug" in arguments:
            raise
        print("stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output, `head` say, has had enough
        sys.stderr.close()
        sys.exit(0)


def _interrupt(*_):
    raise KeyboardInterrupt
