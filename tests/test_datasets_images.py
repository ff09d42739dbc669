"""Labelled images come out as they were published, or the person is told what to put right."""

import gzip
import hashlib
import io
import pathlib
import urllib.error
import urllib.request

import numpy as np
import pytest

from seqjax import datasets
from seqjax.datasets import images
from seqjax.datasets.sources import MUSIC
from seqjax.errors import UserError

# By hand: two training images of 2x3 pixels, labelled 7 and 9, and one test image, labelled 4.
TRAIN_IMAGES = bytes.fromhex("00000803 00000002 00000002 00000003  000102 030405  060708 090aff")
TRAIN_LABELS = bytes.fromhex("00000801 00000002  07 09")
TEST_IMAGES = bytes.fromhex("00000803 00000001 00000002 00000003  0b0c0d 0e0f10")
TEST_LABELS = bytes.fromhex("00000801 00000001  04")
PARTS = [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS]
RAW = b"".join(PARTS)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> pathlib.Path:
    directory = tmp_path / "cache"
    monkeypatch.setenv("SEQJAX_CACHE_DIR", str(directory))
    return directory


def refusal(function, *arguments) -> str:
    with pytest.raises(UserError) as error:
        function(*arguments)
    said = str(error.value)
    assert "\n" not in said
    return said


# The bytes.


def test_parse_follows_the_idx_format():
    parsed = images.parse(RAW)
    np.testing.assert_array_equal(parsed.train_images, [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 255]]])
    np.testing.assert_array_equal(parsed.train_labels, [7, 9])
    np.testing.assert_array_equal(parsed.test_images, [[[11, 12, 13], [14, 15, 16]]])
    np.testing.assert_array_equal(parsed.test_labels, [4])
    assert parsed.levels == 255
    assert all(array.dtype == np.uint8 for array in parsed[:4])
    assert b"".join(images._record(array) for array in parsed[:4]) == RAW


def test_bytes_cut_off_anywhere_are_refused():
    for size in range(len(RAW)):
        assert "use a source of images, such as 'mnist'" in refusal(images.parse, RAW[:size])


@pytest.mark.parametrize(
    ("raw", "why"),
    {
        b"First Citizen:\nBefore we proceed": "the training images should begin with the bytes 00 00 08 03, not '46 69",
        b"": "the training images should begin",
        TRAIN_IMAGES + TEST_IMAGES: "the training labels should begin with the bytes 00 00 08 01, not '00 00 08 03'",
        RAW[:-1]: "the bytes end before the test labels do",
        RAW + b"\0": "1 bytes follow the test labels",
        TRAIN_IMAGES + TEST_LABELS + TEST_IMAGES + TEST_LABELS: "2 training images and 1 training labels",
        TRAIN_IMAGES + TRAIN_LABELS + TEST_IMAGES + TRAIN_LABELS: "1 test images and 2 test labels",
        RAW.replace(TEST_IMAGES[:16], bytes.fromhex("00000803 00000001 00000003 00000002")): "a test image (3, 2)",
        bytes.fromhex("00000803 00000000 00000002 00000003 00000801 00000000") + TEST_IMAGES + TEST_LABELS: "(0, 2, 3)",
        b"\0\0\x08\x03" + b"\xff" * 40: "the bytes end before the training images do",
    }.items(),
)
def test_what_is_not_images_is_refused_with_the_reason(raw, why):
    assert why in refusal(images.parse, raw)


# Scikit-learn's digits.


def test_digits_are_scikit_learns_and_survive_preparation():
    from sklearn.datasets import load_digits

    corpus = datasets.prepare("digits")
    assert corpus.source == "digits"
    read = images.parse(datasets.read(corpus))
    assert read.train_images.shape == (1287, 8, 8)
    assert read.test_images.shape == (510, 8, 8)
    assert read.levels == read.test_images.max() == 16
    original = load_digits()
    np.testing.assert_array_equal(np.concatenate([read.train_images, read.test_images]), original.images)
    np.testing.assert_array_equal(np.concatenate([read.train_labels, read.test_labels]), original.target)


def test_digits_are_cut_where_a_sheet_begins():
    """All sheets begin alike, and each holds every digit about 13 times."""
    read = images.parse(images.digits())
    np.testing.assert_array_equal(read.test_labels[:100], read.train_labels[:100])
    assert np.bincount(read.train_labels).min() > 120
    assert np.bincount(read.test_labels).min() > 40


# MNIST.


def test_mnist_is_the_published_one(data_directory):
    if not (data_directory / "mnist").is_dir():
        pytest.skip("the folder of data files has no mnist")
    corpus = datasets.prepare("mnist")
    raw = datasets.read(corpus)
    assert (corpus.size, corpus.sha256) == (54_950_048, hashlib.sha256(raw).hexdigest())
    read = images.parse(raw)
    assert read.train_images.shape == (60_000, 28, 28)
    assert read.test_images.shape == (10_000, 28, 28)
    assert read.levels == 255
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    np.testing.assert_array_equal(np.bincount(read.train_labels), counts)
    np.testing.assert_array_equal(
        np.bincount(read.test_labels), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    )
    assert read.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert round(read.train_images.mean() / 255, 4) == 0.1307, "the mean that everyone normalises by"


class Web:
    """Stands in for urllib: sends what `answers` holds under the last part of the address."""

    def __init__(self, answers: dict[str, bytes]):
        self.answers, self.asked = answers, []

    def urlopen(self, url, timeout):
        name = url.rpartition("/")[2]
        self.asked.append(name)
        if name not in self.answers:
            raise urllib.error.URLError("no network")
        return io.BytesIO(self.answers[name])


@pytest.fixture
def web(monkeypatch) -> Web:
    """Publishes the images made by hand as MNIST; there is no data directory."""
    files = dict(zip(images.MNIST_SHA256, PARTS, strict=True))
    monkeypatch.setattr(
        images, "MNIST_SHA256", {name: hashlib.sha256(part).hexdigest() for name, part in files.items()}
    )
    monkeypatch.delenv("SEQJAX_DATA_DIR", raising=False)
    web = Web({f"{name}.gz": gzip.compress(part) for name, part in files.items()})
    monkeypatch.setattr(urllib.request, "urlopen", web.urlopen)
    return web


@pytest.fixture
def folder(web, tmp_path, monkeypatch) -> pathlib.Path:
    """The folder `mnist` of a data directory, with the four files."""
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    for name, sent in web.answers.items():
        (folder / name).write_bytes(sent)
    monkeypatch.setenv("SEQJAX_DATA_DIR", str(folder.parent))
    return folder


def test_mnist_is_downloaded_once_and_kept_as_sent(web, cache):
    assert datasets.read(datasets.prepare("mnist")) == RAW
    datasets.prepare("mnist")
    assert sorted(web.asked) == sorted(web.answers)
    kept = cache / "downloads" / "mnist"
    assert {file.name: file.read_bytes() for file in kept.iterdir()} == web.answers


@pytest.mark.parametrize("damage", [lambda sent: sent[:-9], lambda sent: b"", lambda sent: gzip.compress(b"other")])
def test_a_damaged_download_is_downloaded_again(web, cache, damage):
    datasets.prepare("mnist")
    kept = cache / "downloads" / "mnist" / "t10k-labels-idx1-ubyte.gz"
    sent = kept.read_bytes()
    kept.write_bytes(damage(sent))
    assert datasets.read(datasets.prepare("mnist")) == RAW
    assert len(web.asked) == 5
    assert kept.read_bytes() == sent


@pytest.mark.parametrize(
    "sent",
    [b"404: Not Found", gzip.compress(TEST_LABELS), gzip.compress(TRAIN_LABELS)[:-1], b""],
    ids=["not found", "another", "cut off", "empty"],
)
def test_a_wrong_answer_is_refused_and_not_kept(web, cache, sent):
    web.answers["train-labels-idx1-ubyte.gz"] = sent
    said = refusal(datasets.prepare, "mnist")
    assert "train-labels-idx1-ubyte.gz sent is not MNIST's train-labels-idx1-ubyte" in said
    assert f"its SHA-256 once decompressed should be {images.MNIST_SHA256['train-labels-idx1-ubyte']}" in said
    assert "SEQJAX_DATA_DIR" in said
    assert [file.name for file in (cache / "downloads" / "mnist").iterdir()] == ["train-images-idx3-ubyte.gz"]


def test_no_network_and_no_data_directory(web):
    web.answers.clear()
    said = refusal(datasets.prepare, "mnist")
    assert "cannot download MNIST's train-images-idx3-ubyte from https://" in said
    assert "no network" in said
    assert "set SEQJAX_DATA_DIR to a directory that holds mnist/train-images-idx3-ubyte.gz" in said


def test_mnist_from_a_folder_of_files_compressed_or_not(web, folder):
    for name in ("train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (folder / name).write_bytes(gzip.decompress((folder / f"{name}.gz").read_bytes()))
        (folder / f"{name}.gz").unlink()
    assert datasets.read(datasets.prepare("mnist")) == RAW
    assert web.asked == []
    assert len(list(folder.iterdir())) == 4, "nothing is extracted"


def test_compression_is_no_part_of_the_checksum(web, folder):
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(TEST_IMAGES, compresslevel=1, mtime=12345))
    assert datasets.read(datasets.prepare("mnist")) == RAW


def test_a_damaged_file_is_named(folder):
    file = folder / "t10k-images-idx3-ubyte.gz"
    whole = file.read_bytes()
    file.write_bytes(whole[:-4])
    said = refusal(datasets.prepare, "mnist")
    assert str(file) in said
    assert "is not a whole gzip file" in said

    file.write_bytes(gzip.compress(TEST_IMAGES[:-1] + b"\0"))
    said = refusal(datasets.prepare, "mnist")
    assert f"{file} is not MNIST's t10k-images-idx3-ubyte" in said
    assert images.MNIST_SHA256["t10k-images-idx3-ubyte"] in said
    assert "put the right file there" in said


def test_a_missing_file_alone_is_downloaded_or_named(web, folder):
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    assert datasets.read(datasets.prepare("mnist")) == RAW
    assert web.asked == ["t10k-labels-idx1-ubyte.gz"]

    (folder / "train-labels-idx1-ubyte.gz").unlink()
    web.answers.clear()
    assert "a directory that holds mnist/train-labels-idx1-ubyte.gz" in refusal(datasets.prepare, "mnist")


# The registry.


def test_texts_images_and_music_are_told_apart():
    assert set(datasets.IMAGES) == {"mnist", "digits"}
    assert {"text_file", "tiny_shakespeare", "war_and_peace", "python_stdlib"} < set(datasets.TEXTS)
    assert datasets.SOURCES == datasets.TEXTS | datasets.IMAGES | MUSIC
    assert len(datasets.SOURCES) == len(datasets.TEXTS) + len(datasets.IMAGES) + len(MUSIC)


def test_an_unknown_source_names_the_nearest():
    assert "did you mean 'mnist'" in refusal(datasets.prepare, "minst")


@pytest.mark.parametrize("source", datasets.IMAGES)
def test_image_sources_take_no_path(source):
    said = refusal(datasets.prepare, source, "my.png")
    assert f"the source {source!r} takes no path, got 'my.png'; leave the path out" in said
