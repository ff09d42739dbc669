"""Texts survive preparation and reading byte for byte, or the person is told what to put right."""

import ast
import dataclasses
import gzip
import hashlib
import io
import os
import pathlib
import signal
import subprocess
import sys
import sysconfig
import tempfile
import urllib.error
import urllib.request

import numpy as np
import pytest

from seqjax import datasets
from seqjax.datasets import corpus as corpus_module
from seqjax.datasets import stdlib, texts
from seqjax.datasets.builder import SEGMENT_BYTES
from seqjax.errors import UserError

HOSTILE = {
    "one byte": b"x",
    "one NUL": b"\0",
    "NULs at both ends": b"\0\0text\0\0",
    "a BOM and CRLF": b"\xef\xbb\xbfone\r\ntwo\rthree\n",
    "not UTF-8": b"\xff\xfe\x80 caf\xe9 \xc3",
    "UTF-8": "naïve 漢字 🙂".encode(),
    "every byte": bytes(range(256)) * 3,
    "a character across a segment's border": b"a" * (SEGMENT_BYTES - 1) + "é".encode() + b"z",
    "exactly two segments": np.random.default_rng(0).bytes(2 * SEGMENT_BYTES),
    "NULs around a segment's border": b"\0" * (SEGMENT_BYTES + 1),
    "two segments and a bit": np.random.default_rng(1).bytes(2 * SEGMENT_BYTES + 1),
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> pathlib.Path:
    directory = tmp_path / "cache"
    monkeypatch.setenv("SEQJAX_CACHE_DIR", str(directory))
    return directory


@pytest.fixture
def file(tmp_path) -> pathlib.Path:
    file = tmp_path / "input.txt"
    file.write_bytes(b"To be, or not to be.\n" * 5000)
    return file


def in_new_process(code: str, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


def sentence(error) -> str:
    said = str(error.value)
    assert "\n" not in said
    return said


# The text comes back as it was.


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_text_survives_and_is_a_true_tfds_dataset(tmp_path, text):
    import tensorflow_datasets as tfds

    (tmp_path / "hostile").write_bytes(text)
    corpus = datasets.prepare("text_file", str(tmp_path / "hostile"))
    assert datasets.read(corpus) == text
    assert (corpus.source, corpus.size, corpus.sha256) == ("text_file", len(text), hashlib.sha256(text).hexdigest())

    records = [record["text"] for record in tfds.builder_from_directory(corpus.directory).as_data_source("all")]
    assert records == [text[start : start + SEGMENT_BYTES] for start in range(0, len(text), SEGMENT_BYTES)]
    assert any("array_record" in name for name in os.listdir(corpus.directory))


def test_gz_is_the_same_corpus_as_the_plain_file(tmp_path, file):
    compressed = tmp_path / "input.txt.gz"
    # Two members: what `cat a.gz b.gz` makes.
    compressed.write_bytes(gzip.compress(file.read_bytes()[:1000]) + gzip.compress(file.read_bytes()[1000:]))
    assert datasets.prepare("text_file", str(compressed)) == datasets.prepare("text_file", str(file))


# Datasets are found by their contents.


def test_a_changed_file_is_another_dataset_and_the_old_one_stays(file):
    before = datasets.prepare("text_file", str(file))
    text = file.read_bytes()
    file.write_bytes(text + b"!")
    after = datasets.prepare("text_file", str(file))
    assert after.directory != before.directory
    assert datasets.read(before) == text
    assert datasets.read(after) == text + b"!"


def test_the_same_text_under_another_name_is_the_same_dataset(tmp_path, file):
    (tmp_path / "copy").write_bytes(file.read_bytes())
    assert datasets.prepare("text_file", str(file)) == datasets.prepare("text_file", str(tmp_path / "copy"))


def test_what_is_prepared_is_not_built_again_nor_is_anything_slow_imported(file):
    corpus = datasets.prepare("text_file", str(file))
    modified = os.stat(corpus.directory).st_mtime_ns
    code = """
import sys
from seqjax import datasets
corpus = datasets.prepare("text_file", sys.argv[1])
assert "tensorflow_datasets" not in sys.modules
print(corpus.directory)
datasets.read(corpus)
assert "jax" not in sys.modules and "tensorflow" not in sys.modules
"""
    assert finished(in_new_process(code, str(file))).strip() == corpus.directory
    assert os.stat(corpus.directory).st_mtime_ns == modified


def test_building_prints_nothing_and_leaves_nothing_behind(file, cache, tmp_path, capfd, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    corpus = datasets.prepare("text_file", str(file))
    assert capfd.readouterr() == ("", "")
    assert list(temporary.iterdir()) == []
    assert list((cache / "datasets").iterdir()) == [pathlib.Path(corpus.directory)]


def test_cache_directory(monkeypatch, tmp_path, cache):
    assert datasets.cache_directory() == cache
    monkeypatch.setenv("SEQJAX_CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert datasets.cache_directory() == tmp_path / "xdg" / "seqjax"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert datasets.cache_directory() == tmp_path / ".cache" / "seqjax"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEQJAX_CACHE_DIR", "relative")
    assert datasets.cache_directory() == tmp_path / "relative"


# Many processes, and dying ones.

PREPARE = """
import sys
from seqjax import datasets
from seqjax.datasets import builder
print("ready", flush=True)
sys.stdin.readline()
print(len(datasets.read(datasets.prepare("text_file", sys.argv[1]))))
"""


def prepare_at_once(file: pathlib.Path) -> list[str]:
    command = [sys.executable, "-c", PREPARE, str(file)]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    return [finished(process).strip() for process in processes]


def test_two_processes_prepare_at_once(file, cache):
    size = str(len(file.read_bytes()))
    assert prepare_at_once(file) == [size, size]
    (directory,) = (cache / "datasets").iterdir()
    next(directory.glob("*array_record*")).unlink()
    assert prepare_at_once(file) == [size, size]
    assert [directory] == list((cache / "datasets").iterdir()), "no temporary directories are left"


def test_second_to_finish_takes_what_the_first_built(file, monkeypatch):
    from seqjax.datasets import builder

    build = builder.build

    def slow(text, data_dir):
        monkeypatch.setattr(builder, "build", build)
        datasets.prepare("text_file", str(file))
        return build(text, data_dir)

    monkeypatch.setattr(builder, "build", slow)
    assert datasets.read(datasets.prepare("text_file", str(file))) == file.read_bytes()


def test_killed_while_building(file, cache):
    code = """
import os, signal, sys
from seqjax import datasets
from seqjax.datasets import builder
builder.stored_bytes = lambda directory: os.kill(os.getpid(), signal.SIGKILL)
datasets.prepare("text_file", sys.argv[1])
"""
    process = in_new_process(code, str(file))
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert any((cache / "datasets").rglob("*array_record*")), "it was to die with its files written"
    assert datasets.read(datasets.prepare("text_file", str(file))) == file.read_bytes()


# Damage is noticed, and repaired from the source.


def flip(file: pathlib.Path, position: float) -> None:
    contents = bytearray(file.read_bytes())
    contents[round(position * (len(contents) - 1))] ^= 0x10
    file.write_bytes(contents)


def truncate(file: pathlib.Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


DAMAGES = {
    "first byte flipped": lambda file: flip(file, 0),
    "middle byte flipped": lambda file: flip(file, 0.5),
    "last byte flipped": lambda file: flip(file, 1),
    "truncated": truncate,
    "emptied": lambda file: file.write_bytes(b""),
    "deleted": pathlib.Path.unlink,
}
FILES = ["dataset_info.json", "features.json", "text-text.array_record-00000-of-00001", corpus_module.CHECKSUMS]


def test_the_files_that_are_damaged_below_are_all_there_are(file):
    assert sorted(os.listdir(datasets.prepare("text_file", str(file)).directory)) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damage_is_reported_by_read_and_repaired_by_prepare(file, caplog, name, damage):
    corpus = datasets.prepare("text_file", str(file))
    damage(pathlib.Path(corpus.directory, name))
    with pytest.raises(UserError) as error:
        datasets.read(corpus)
    assert corpus.directory in sentence(error)
    assert name in sentence(error)
    assert "damaged" in sentence(error)
    assert "delete it" in sentence(error)

    assert datasets.prepare("text_file", str(file)) == corpus
    assert "building it again" in caplog.text
    assert datasets.read(corpus) == file.read_bytes()


@pytest.mark.parametrize("name", FILES[:3])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damage_from_before_the_checksums_never_gives_other_bytes(file, name, damage):
    corpus = datasets.prepare("text_file", str(file))
    directory = pathlib.Path(corpus.directory)
    damage(directory / name)
    (directory / corpus_module.CHECKSUMS).write_bytes(corpus_module._checksums(directory))
    try:
        text = datasets.read(corpus)
    except UserError as error:
        assert "damaged" in str(error)
    else:
        assert text == file.read_bytes()


def test_reading_imports_no_module_that_the_dataset_names(tmp_path, file, monkeypatch):
    """Even where its checksums are right: the directory is named by a run's config, which may come from anywhere."""
    corpus = datasets.prepare("text_file", str(file))
    directory = pathlib.Path(corpus.directory)
    (tmp_path / "hostile_features.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    features = (directory / "features.json").read_text()
    ours = "tensorflow_datasets.core.features.text_feature.Text"
    assert ours in features
    (directory / "features.json").write_text(features.replace(ours, "hostile_features.Text"))
    (directory / corpus_module.CHECKSUMS).write_bytes(corpus_module._checksums(directory))
    with pytest.raises(UserError, match=r"features\.json does not tell of segments of bytes"):
        datasets.read(corpus)
    assert not (tmp_path / "executed").exists()


def test_another_text_in_its_place_is_refused(tmp_path, file):
    corpus = datasets.prepare("text_file", str(file))
    with pytest.raises(UserError, match="do not have the SHA-256"):
        datasets.read(dataclasses.replace(corpus, sha256="0" * 64))


def test_a_deleted_dataset_is_reported_by_read(file):
    corpus = datasets.prepare("text_file", str(file))
    with pytest.raises(UserError, match="No such file"):
        datasets.read(dataclasses.replace(corpus, directory=corpus.directory + "x"))


# Python's standard library.


def test_stdlib_is_deterministic_ascii_and_of_the_promised_size():
    text = stdlib.text()
    assert text == stdlib.text()
    assert text.isascii()
    assert 1_500_000 < len(text) <= stdlib.MAXIMUM_BYTES
    assert datasets.read(datasets.prepare("python_stdlib")) == text


def test_stdlib_is_whole_files_of_python_in_sorted_order():
    assert sorted(set(stdlib.MODULES)) == stdlib.MODULES
    text, library = stdlib.text(), pathlib.Path(sysconfig.get_paths()["stdlib"])
    used = [part for name in stdlib.MODULES if (part := (library / f"{name}.py").read_bytes()) in text]
    assert b"".join(used) == text
    assert len(used) > 90
    for part in used[:: len(used) // 10]:
        ast.parse(part)


@pytest.fixture
def library(tmp_path, monkeypatch) -> pathlib.Path:
    """A standard library of three files, of which the second is named to come second."""
    directory = tmp_path / "library"
    directory.mkdir()
    for name in ("a", "b", "c"):
        (directory / f"{name}.py").write_text(f"{name} = 1\n")
    monkeypatch.setattr(stdlib, "MODULES", ["a", "b", "c"])
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"stdlib": str(directory)})
    return directory


def test_stdlib_leaves_out_what_is_missing_or_not_ascii(library):
    (library / "a.py").unlink()
    (library / "b.py").write_text("b = 'é'\n", encoding="utf-8")
    assert stdlib.text() == b"c = 1\n"


def test_stdlib_ends_before_the_file_that_passes_the_cap(library, monkeypatch):
    monkeypatch.setattr(stdlib, "MAXIMUM_BYTES", 13)
    (library / "b.py").write_text("b = 12345\n")
    assert stdlib.text() == b"a = 1\n"
    monkeypatch.setattr(stdlib, "MAXIMUM_BYTES", 16)
    assert stdlib.text() == b"a = 1\nb = 12345\n"


def test_stdlib_without_source(library):
    for file in library.iterdir():
        file.unlink()
    with pytest.raises(UserError, match="choose another source") as error:
        datasets.prepare("python_stdlib")
    assert str(library) in sentence(error)


# Tiny Shakespeare.


@pytest.fixture
def shakespeare() -> bytes:
    data = os.environ.get("SEQJAX_DATA_DIR")
    local = data and pathlib.Path(data, "tinyshakespeare", "input.txt")
    if not local or not local.exists():
        pytest.skip("SEQJAX_DATA_DIR with tinyshakespeare/input.txt is not set")
    return local.read_bytes()


class Web:
    """Stands in for urllib: `answer` is what it sends, or the error it raises."""

    def __init__(self, monkeypatch):
        self.answer, self.asked = urllib.error.URLError("no network"), 0
        monkeypatch.setattr(urllib.request, "urlopen", self.urlopen)

    def urlopen(self, url, timeout):
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return io.BytesIO(self.answer)


@pytest.fixture
def web(monkeypatch) -> Web:
    return Web(monkeypatch)


def test_tiny_shakespeare_from_the_data_directory(shakespeare, web):
    corpus = datasets.prepare("tiny_shakespeare")
    assert corpus.sha256 == texts.TINY_SHAKESPEARE.sha256
    assert datasets.read(corpus) == shakespeare
    assert web.asked == 0


def test_war_and_peace_from_a_compressed_file_in_the_data_directory(data_directory, web):
    """Karpathy, Johnson & Fei-Fei (2016): 3,258,246 bytes, 87 of them distinct."""
    text = datasets.read(datasets.prepare("war_and_peace"))
    assert len(text) == 3_258_246
    assert len(set(text)) == 87
    assert web.asked == 0


def test_tiny_shakespeare_is_downloaded_once(shakespeare, web, monkeypatch, cache):
    monkeypatch.delenv("SEQJAX_DATA_DIR")
    web.answer = shakespeare
    assert datasets.read(datasets.prepare("tiny_shakespeare")) == shakespeare
    datasets.prepare("tiny_shakespeare")
    assert web.asked == 1
    flip(cache / "downloads" / "tinyshakespeare" / "input.txt", 0.5)
    assert datasets.read(datasets.prepare("tiny_shakespeare")) == shakespeare
    assert web.asked == 2, "a damaged copy is downloaded again"


def test_tiny_shakespeare_with_a_wrong_checksum_is_refused(tmp_path, web, monkeypatch, cache):
    monkeypatch.delenv("SEQJAX_DATA_DIR", raising=False)
    web.answer = b"404: Not Found"
    with pytest.raises(UserError, match="is not tiny Shakespeare") as error:
        datasets.prepare("tiny_shakespeare")
    assert "SEQJAX_DATA_DIR" in sentence(error)
    assert not cache.exists()

    local = tmp_path / "data" / "tinyshakespeare" / "input.txt"
    local.parent.mkdir(parents=True)
    local.write_bytes(b"First Citizen:")
    monkeypatch.setenv("SEQJAX_DATA_DIR", str(tmp_path / "data"))
    with pytest.raises(UserError, match="is not tiny Shakespeare") as error:
        datasets.prepare("tiny_shakespeare")
    assert str(local) in sentence(error)
    assert texts.TINY_SHAKESPEARE.sha256 in sentence(error)


@pytest.mark.parametrize("data", [None, "a directory without it"])
def test_tiny_shakespeare_with_no_network_and_no_data_directory(web, monkeypatch, tmp_path, data):
    monkeypatch.delenv("SEQJAX_DATA_DIR", raising=False)
    if data:
        monkeypatch.setenv("SEQJAX_DATA_DIR", str(tmp_path))
    with pytest.raises(UserError, match="set SEQJAX_DATA_DIR to a directory that holds tinyshakespeare") as error:
        datasets.prepare("tiny_shakespeare")
    assert "no network" in sentence(error)


# Errors are one sentence, with the value and what would be right.


def prepare_error(source: str, path: str | None = None) -> str:
    with pytest.raises(UserError) as error:
        datasets.prepare(source, path)
    return sentence(error)


def test_unknown_source_names_the_nearest():
    assert "did you mean 'tiny_shakespeare'" in prepare_error("tiny_shakespear")


@pytest.mark.parametrize("path", [None, ""])
def test_text_file_without_a_path(path):
    assert "'text_file' needs a path" in prepare_error("text_file", path)


@pytest.mark.parametrize("source", ["python_stdlib", "tiny_shakespeare"])
def test_a_path_for_a_source_that_takes_none(source):
    said = prepare_error(source, "my.txt")
    assert "takes no path" in said
    assert "'my.txt'" in said
    assert "'text_file'" in said


def test_unusable_files(tmp_path, file):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    (tmp_path / "empty.gz").write_bytes(gzip.compress(b""))
    for path, said in {
        tmp_path / "missing": "there is no file",
        tmp_path: "is a directory",
        tmp_path / "pipe": "is not a regular file",
        tmp_path / "empty": "is empty",
        tmp_path / "empty.gz": "is empty",
        file / "below": "cannot read",
        "a\0b": "is not a path",
    }.items():
        error = prepare_error("text_file", str(path))
        assert said in error
        assert repr(str(path)) in error


def test_a_file_without_permission(file, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(pathlib.Path, "read_bytes", refuse)  # chmod does not stop root
    assert f"cannot read {str(file)!r} (Permission denied)" in prepare_error("text_file", str(file))


def test_broken_gz(tmp_path):
    whole = gzip.compress(np.random.default_rng(0).bytes(5000))
    broken = tmp_path / "broken.gz"
    middle = bytearray(gzip.compress(b"abc" * 5000))
    middle[12] ^= 0xFF
    for contents in (b"plain text", whole[:-100], whole[:-8] + b"\0" * 8, bytes(middle)):
        broken.write_bytes(contents)
        said = prepare_error("text_file", str(broken))
        assert "is not a whole gzip file" in said
        assert repr(str(broken)) in said


def test_a_file_in_place_of_the_cache_directory(file, monkeypatch):
    monkeypatch.setenv("SEQJAX_CACHE_DIR", str(file))
    said = prepare_error("text_file", str(file))
    assert f"cannot write prepared data to {file}" in said
    assert "SEQJAX_CACHE_DIR" in said


def test_a_cache_directory_without_permission(file, monkeypatch):
    def refuse(self, *arguments, **options):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(pathlib.Path, "mkdir", refuse)  # chmod does not stop root
    assert "(Permission denied)" in prepare_error("text_file", str(file))


def test_a_full_disk(tmp_path, cache):
    # A limit on the size of files fails a write as a full disk does.
    code = """
import resource, signal, sys
from seqjax import datasets, errors
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    datasets.prepare("text_file", sys.argv[1])
except errors.UserError as error:
    print(error)
"""
    big = tmp_path / "big"
    big.write_bytes(np.random.default_rng(0).bytes(500_000))
    said = finished(in_new_process(code, str(big)))
    assert f"cannot write prepared data to {cache}" in said
    assert "free some space" in said
    assert list((cache / "datasets").iterdir()) == []


def test_no_home_directory(monkeypatch):
    def nobody(*_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("SEQJAX_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(pathlib.Path, "home", nobody)
    assert "set SEQJAX_CACHE_DIR" in prepare_error("python_stdlib")
