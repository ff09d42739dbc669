"""Whatever comes in as key, value, sweep, command line, text or prompt is used, or refused in one sentence."""

import contextlib
import gzip
import math
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
import tiny
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from experiments import (
    compare,
    errors,
    evaluate,
    export,
    launch,
    look_inside,
    sample,
    search,
    tensorboard,
    vanishing_gradients,
)
from seqjax.config import flat, override
from seqjax.errors import UserError, printable
from seqjax.results import RunDirectory
from seqjax.sweeps import local
from seqjax.sweeps.expand import expand

pytestmark = pytest.mark.usefixtures("quick_compilation", "unannotated")
FEW = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
MANY = settings(FEW, max_examples=500)
KEYS = sorted(flat(tiny.config()))
WORDS = st.text(max_size=8) | st.sampled_from(["", " ", "\0", "\ud800", "None", "../x", "a\nb", "é", "日本", "-1"])
NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([0, -1, 2**31 - 1, 2**31, 2**32, 2**63, 10**30, 1e-320, 1e308, math.inf, -math.inf, math.nan]),
)
VALUES = st.one_of(NUMBERS, NUMBERS.map(str), WORDS, st.booleans(), st.none(), st.lists(st.integers(), max_size=2))


COMPARE = [sys.executable, "-m", "experiments.compare"]


def call(command):
    return subprocess.run(command, capture_output=True, check=False, timeout=300)


@contextlib.contextmanager
def used_or_refused(*named):
    """What is inside goes well or raises a UserError of one line, in which one of the values `named` occurs."""
    try:
        yield
    except UserError as error:
        sentence = str(error)
        assert sentence.strip()
        assert "\n" not in sentence
        sentence.encode()  # it can be printed
        shown = [form for value in named for form in (str(value), repr(value), printable(str(value)))]
        assert not named or any(form in sentence for form in shown), f"{named} is not named: {sentence}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    (folder / "text.txt").write_bytes(tiny.text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQJAX_CACHE_DIR", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module")
def run(folder):
    """A trained run."""
    launch.main([*tiny.arguments(folder / "text.txt", train__steps=10), f"--runs={folder / 'trained'}"])
    (path,) = (folder / "trained").glob("lstm*")
    assert RunDirectory(path).status()["state"] == "done"
    return path


@pytest.fixture(scope="module")
def untrained(folder, run):
    """From now on launches plan, make run directories, and train nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "run_all", lambda *_, **__: None)
        yield folder


@MANY
@given(key=st.sampled_from(KEYS) | WORDS | st.sampled_from(KEYS).map(lambda key: key[:-1]), value=VALUES)
@example(key="cell", value="gru")
@example(key="cell.options.a.b", value="1")
@example(key="", value="")
def test_overrides(key, value):
    config = tiny.config()
    before = type(flat(config).get(key))
    with used_or_refused(key):
        override(config, key, value)
        assert key not in KEYS or type(flat(config)[key]) is before


@FEW
@given(key=st.sampled_from([key for key in KEYS if not key.startswith("cell.options")]), value=NUMBERS | WORDS)
@example(key="seed", value=2**70)
@example(key="train.steps", value=2**31)
@example(key="cell.hidden", value=0)
@example(key="cell.hidden", value=2**40)
@example(key="cell.layers", value=10**6)
@example(key="task.batch", value=2**40)
def test_values_of_a_launch(untrained, key, value):
    arguments = tiny.arguments(untrained / "text.txt")
    with used_or_refused(key, value):
        launch.main([*arguments, f"--config.{key}={value}", f"--runs={untrained / 'launched'}"])


START = """from ml_collections import ConfigDict
from seqjax.config import defaults

def get_config(variant=None):
    config = defaults()
    """
CONFIG_FILES = {
    "1 / 0": "the config file 'mine.py' cannot be run: ZeroDivisionError: division by zero",
    "raise SystemExit(3)": "the config file 'mine.py' cannot be run: SystemExit: 3",
    "pass": "has no function get_config(variant=None)",
    "get_config = 3": "has no function get_config(variant=None)",
    "def get_config(): pass": "get_config(variant=None) of the config file 'mine.py' cannot be run: TypeError",
    "def get_config(variant): raise ValueError('no')": "'mine.py' cannot be run: ValueError: no",
    "def get_config(variant): return {}": "returns dict, and should return a ConfigDict that starts from",
    "def get_config(variant): pass": "returns NoneType, and should return a ConfigDict",
    f"{START}return config": "'mine.py' has no key 'task.name'; it should set config.task",
    f"{START}return ConfigDict()": "'mine.py' has no key 'cell.hidden'; it should start from seqjax.config.defaults()",
    f"{START}config.task = ConfigDict(dict(name='adding', x=config.lock)); return config": "a config holds numbers",
    f"{START}config.task = ConfigDict(dict(name=3)); return config": "'task.name' of 'mine.py' takes text, not 3",
    f"{START}config.seed = None; return config": "'seed' of 'mine.py' takes a whole number, not None",
    f"{START}config.task = ConfigDict(dict(name='adding')); return config": "has no key 'task.form', which its",
    f"{START}config.task = ConfigDict(dict(name='char_lm')); return config": "has no key 'data.source', which its",
}


@pytest.mark.parametrize("program", CONFIG_FILES)
def test_config_files_of_ones_own(program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("mine.py").write_text(program)
    with pytest.raises(UserError) as raised:
        launch.main(["--config=mine.py"])
    assert CONFIG_FILES[program] in str(raised.value)
    assert "\n" not in str(raised.value)


OPTIONS = (
    *("--config", "--config=configs/char_lm.py", "--config=configs/char_lm.py:text", "--config=configs/char_lm.py:x"),
    *("--sweep", "--sweep=cells", "--sweep=x", "--runs=/dev/null/x", "--workers=2", "--workers=x", "--workers=-1"),
    *("--stack=0", "--stack=2", "--rungs=5", "--rungs=x", "--rungs=20,10", "--keep=2", "--keep=nan", "--within=x"),
    *("--processes=2", "--process=1", "--coordinator=x", "--coordinator=a:1", "--hanging=0", "--hanging=x", "--rerun"),
    *(f"--{name}={10**30}" for name in ("workers", "stack", "rungs", "keep", "within", "processes", "hanging")),
    *("--config.cell.name=gru", "--config.", "--config.x", "--config.=1", "--debug", "-h", "--", "-", ""),
)


@FEW
@given(arguments=st.lists(st.sampled_from(OPTIONS) | WORDS, max_size=5))
def test_command_lines_of_launch(untrained, arguments, monkeypatch):
    monkeypatch.chdir(pathlib.Path(__file__).parents[1])
    monkeypatch.setattr(launch, "_join", lambda *_: 0)
    data = [f"--config.data.path={untrained / 'text.txt'}", "--config.task.batch=4", f"--runs={untrained / 'lines'}"]
    with used_or_refused(), _help():
        launch.main([*data, *arguments])


HUGE = {
    sample: {"length": 10**6, "seed": 2**32 - 1, "top-k": 10**6, "temperature": 10**6},
    errors: {"orders": 100, "symbols": 10**7},
    look_inside: {"length": 40_000},
    vanishing_gradients: {"length": 10**4, "hidden": 1024, "seeds": 100, "training-steps": 10**6, "workers": 1024},
}


@pytest.mark.parametrize(("command", "name"), [(command, name) for command in HUGE for name in HUGE[command]])
def test_numbers_too_large(command, name):
    most = HUGE[command][name]
    for value in (most + 1, 10**30):
        with pytest.raises(UserError) as raised:
            command.main(["--cells=rnn" if command is vanishing_gradients else "run", f"--{name}={value}"])
        given = float(value) if name == "temperature" else value
        assert str(raised.value).startswith(f"--{name} is {given}; it should be at most {most}")


OF_ALL = (
    *("/nowhere", "/dev/null", "--list", "--where=x", "--where=a=b", "--out=/dev/null/x", "--out", "--baseline=x"),
    *("--split=x", "--length=0", "--length=x", f"--length={10**30}", "--seed=-1", "--temperature=nan", "--top-k=-2"),
    *("--prompt=\0", "--prompt=\ud800", "-h"),
)
OF_ONE = {
    errors: ("--split=train", "--orders=0", "--orders=3", f"--orders={10**11}", "--symbols=1", f"--symbols={10**30}"),
    look_inside: ("--text=/dev/zero", "--text=/nowhere", "--language=x", "--features=/nowhere", "--length=2"),
    vanishing_gradients: (
        *("--cells=x", "--cells=,", "--run=/nowhere", "--hidden=0", f"--hidden={10**30}", "--seeds=-1", "--workers=-1"),
        *("--training-steps=0", f"--training-steps={10**30}", f"--workers={10**30}"),
    ),
}


@pytest.mark.parametrize(
    "command",
    [compare, errors, evaluate, export, look_inside, sample, search, tensorboard, vanishing_gradients],
)
def test_command_lines_of_the_others(run, command, tmp_path, monkeypatch):
    monkeypatch.setattr(vanishing_gradients, "_measure", lambda *_: ({}, dict.fromkeys([str(run)], "not measured")))
    options = [str(run), str(run.parent), *OF_ALL, *OF_ONE.get(command, ())]
    last = [] if command in (evaluate, sample) else [f"--out={tmp_path / 'out'}"]
    if command is vanishing_gradients:
        last += [f"--run={run}"]

    @FEW
    @given(arguments=st.lists(WORDS | st.sampled_from(options), max_size=4))
    def never_a_traceback(arguments):
        with used_or_refused(), _help():
            command.main([*arguments, *last])

    never_a_traceback()


@contextlib.contextmanager
def _help():
    """-h ends a command well."""
    try:
        yield
    except SystemExit as ended:
        assert not ended.code


@MANY
@given(
    points=st.recursive(VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3))
    | st.lists(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=2), max_size=3)
)
@example(points=[{1: 2}])
@example(points=[{"seed": 1}, {"sed": 1}])
@example(points=None)
def test_sweeps(points):
    with used_or_refused():
        assert expand(tiny.config(), {"mine": lambda: points}, ["mine"])


def test_runs_whose_names_are_no_text(run):
    """A directory's name is bytes: neither Unicode nor harmless in a terminal or a page, perhaps."""
    runs = pathlib.Path(os.fsdecode(bytes(run.parent) + b"-\xff<b>\x1b[2J&"))
    shutil.copytree(run, runs / os.fsdecode(b"\xfe<script>\n"))
    name = str(run.parent)
    for arguments in ([], ["--list"]):
        ended = call([*COMPARE, runs, *arguments])
        assert (ended.returncode, ended.stderr) == (0, b""), ended.stderr
        assert name.encode() in ended.stdout or arguments
        assert b"\x1b[2J" not in ended.stdout
    assert "<script>\n" not in (runs / "report" / "report.html").read_text()
    ended = call([*COMPARE, runs / "nothing"])
    assert ended.returncode == 2
    assert ended.stderr.startswith(b"error: there is no runs directory")
    assert b"\x1b" not in ended.stderr


def test_a_sweep_that_breaks():
    def sweep():
        yield {"seed": 1}
        raise ZeroDivisionError("no")

    with pytest.raises(UserError, match="the sweep 'mine' cannot be run: ZeroDivisionError: no"):
        expand(tiny.config(), {"mine": sweep}, ["mine"])


TEXTS = st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass"))


@FEW
@given(text=TEXTS | TEXTS.map(lambda text: 300 * text), symbols=st.sampled_from(["characters", "bytes", "words"]))
@example(text=b"", symbols="characters")
@example(text=b"a", symbols="characters")
@example(text=b"a" * 5000, symbols="characters")
@example(text=b"a" * 5000, symbols="words")
@example(text=b"\0" * 5000, symbols="bytes")
@example(text=b"one line without an end " * 300, symbols="words")
@example(text=b"two\r\nlines\r\n" * 300, symbols="characters")
@example(text=b"\xff\xfe" * 3000, symbols="characters")
@example(text=b"\xed\xa0\x80" * 3000, symbols="characters")
def test_texts(untrained, text, symbols):
    path = untrained / "drawn.txt"
    path.write_bytes(text)
    with used_or_refused():
        launch.main([*tiny.arguments(path, data__symbols=symbols), f"--runs={untrained / 'texts'}"])


@FEW
@given(prompt=st.text(max_size=2) | st.text("the cat\n", max_size=2), temperature=st.floats(), top_k=st.integers())
def test_prompts(run, prompt, temperature, top_k, capsysbinary):
    arguments = [str(run), f"--prompt={prompt}", "--length=3", f"--temperature={temperature}", f"--top-k={top_k}"]
    with used_or_refused():
        sample.main(arguments)
        assert capsysbinary.readouterr().out.startswith(prompt.encode())


def test_what_export_may_not_replace(run, tmp_path):
    """A device or a pipe would be gone, and a file in its place."""
    os.mkfifo(tmp_path / "pipe")
    for out in (tmp_path / "pipe", tmp_path, "/"):
        with pytest.raises(UserError, match="is not a regular file; name"):
            export.main([str(run), f"--out={out}"])
    (tmp_path / "link.npz").symlink_to("weights.npz")
    export.main([str(run), f"--out={tmp_path / 'link.npz'}"])
    assert (tmp_path / "link.npz").is_symlink()
    assert (tmp_path / "weights.npz").stat().st_size


def test_a_text_to_evaluate_is_read_like_all_others(run, folder, capsys):
    (folder / "text.txt.gz").write_bytes(gzip.compress(tiny.text()))
    said = []
    for name in ("text.txt", "text.txt.gz"):
        evaluate.main([str(run), f"--text={folder / name}"])
        said.append(capsys.readouterr().out.partition(", ")[2])
    assert said[0] == said[1] != ""
    with pytest.raises(UserError, match="'/dev/zero' is not a regular file"):
        evaluate.main([str(run), "--text=/dev/zero"])
