"""Digits read pixel by pixel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from seqjax.config import load_config, override
from seqjax.datasets import read
from seqjax.datasets.images import parse
from seqjax.errors import UserError
from seqjax.tasks.sequential_image import SequentialImage


def digits(variant="digits", **settings):
    config, _ = load_config(f"configs/pathological.py:{variant}")
    for key, value in settings.items():
        override(config, key.replace("__", "."), value)
    corpus = SequentialImage.find_corpus(config)
    return SequentialImage.from_corpus(config, corpus), parse(read(corpus))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SEQJAX_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "images"))


@pytest.mark.parametrize("variant", ["digits", "permuted_digits"])
def test_an_image_comes_pixel_by_pixel_and_keeps_its_label(variant):
    task, images = digits(variant)
    assert task.time == 64 and task.measure.name == "error"
    order = np.random.default_rng(0).permutation(64) if variant == "permuted_digits" else np.arange(64)
    for number in (0, 7, 200):
        example = task.draw_held_out(task.data, "test", number)
        np.testing.assert_allclose(example.inputs[:, 0] * 16, images.test_images[number].ravel()[order], atol=1e-5)
        assert example.target == images.test_labels[number]


def test_a_row_may_come_at_a_step():
    task, images = digits(task__pixels=8)
    assert task.time == 8
    example = task.draw_held_out(task.data, "test", 3)
    np.testing.assert_allclose(example.inputs * 16, images.test_images[3], atol=1e-5)


def test_splits_share_no_image_and_training_draws_from_its_own_alone():
    task, images = digits()
    counts = task.counts
    assert counts["train"] + counts["validation"] == len(images.train_images) and counts["test"] == 510
    assert counts["validation"] == round(len(images.train_images) / 12)
    known = {tuple(row) for row in images.train_images[: counts["train"]].reshape(counts["train"], -1)}
    keys = jax.random.split(jax.random.key(0), 300)
    drawn = jax.vmap(lambda key: task.draw(task.data, key))(keys)
    seen = {tuple(row) for row in np.rint(np.asarray(drawn.inputs[..., 0]) * 16).astype(int)}
    assert seen <= known and len(seen) > 200
    held_out = task.draw_held_out(task.data, "validation", 0).inputs[:, 0] * 16
    np.testing.assert_allclose(held_out, images.train_images[counts["train"]].ravel(), atol=1e-5)


class Commonest:
    def __init__(self, digit):
        self.digit = digit

    def __call__(self, inputs, **options):
        return jnp.zeros((inputs.shape[1], 10)).at[:, self.digit].set(1)


def test_the_baseline_is_the_commonest_digits_error():
    task, images = digits()
    commonest = np.bincount(images.train_labels[: task.counts["train"]]).argmax()
    right = (images.test_labels == commonest).mean()
    np.testing.assert_allclose(task.measure.baseline, 1 - right)
    network = jax.tree_util.Partial(Commonest(int(commonest)))
    assert np.isclose(task.evaluate(network, "test")["error"], task.measure.baseline)


def test_a_run_restores_it_without_the_images_but_for_scores():
    task, _ = digits()
    again = SequentialImage.from_description(task.config, task.description())
    assert (again.title, again.measure, again.time) == (task.title, task.measure, task.time)
    assert jax.eval_shape(lambda: again.network(nnx.Rngs(0)))


def test_a_sample_is_a_picture_with_target_and_answer():
    task, _ = digits("digits", task__pixels=8, cell__hidden=4)
    shown = task.sample(task.network(nnx.Rngs(0)), 0)
    assert shown.count("target ") == 3 and any("#" in line or "@" in line for line in shown.splitlines())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"task__pixels": 5}, "task.pixels is 5; it should divide the 64 pixels of an image"),
        ({"task__pixels": 64}, "task.pixels is 64: the images have 64 pixels, which leaves no sequence"),
        ({"task__order": "row"}, "unknown task.order 'row'; did you mean 'rows'"),
        ({"data__source": "digit"}, "unknown data.source 'digit'; did you mean 'digits'"),
        ({"data__source": "tiny_shakespeare"}, "unknown data.source 'tiny_shakespeare'"),
        ({"data__validation": 1.5}, "data.validation is 1.5; it should be at least 0 and under 1"),
    ],
)
def test_wrong_settings_are_answered_with_a_sentence(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        digits(**settings)


def test_without_validation_images_all_others_are_trained_on():
    task, images = digits(data__validation=0)
    assert task.counts["train"] == len(images.train_images)
    assert task.evaluate(task.network(nnx.Rngs(0)), "validation") == {}


def test_mnist_has_its_usual_sizes(data_directory):
    task, _ = digits("permuted_mnist")
    assert task.counts == {"train": 55_000, "validation": 5_000, "test": 10_000}
    assert task.time == 784 and task.levels == 255
    assert np.isclose(task.measure.baseline, 1 - 0.1135)
