"""Classifying images that are read pixel by pixel."""

import jax
import jax.numpy as jnp
import numpy as np

from seqjax.config import at_least, one_of
from seqjax.datasets import IMAGES, Corpus, prepare, read
from seqjax.datasets.images import parse
from seqjax.errors import UserError
from seqjax.tasks.measure import Measure
from seqjax.tasks.sequences import Example, SequenceTask

CLASSES = 10


class SequentialImage(SequenceTask):
    """Which digit is it, after all its pixels came by one after the other?

    `task.order` is "rows" (from the top left) or "permuted" (one random order, the same for all images and runs);
    `task.pixels` is how many pixels come at a step (1 in the papers; the width of the image makes a row a step). Values
    are between 0 and 1. Training images are drawn with replacement. The held-out images for validation are the last
    `data.validation` of the training set, those for test the test set. Published test accuracies are, in order and
    permuted, 98.2% and 88% (LSTM), 95.1% and 91.4% (uRNN), 93 to 97% and 82% (IRNN); it counts as solved here at 90%.

    Reference: Le, Jaitly & Hinton (2015), arXiv:1504.00941; numbers: Arjovsky et al. (2016), arXiv:1511.06464.
    """

    outputs = CLASSES

    def __init__(self, config, corpus: Corpus | None = None):
        one_of(config, "task.order", ("rows", "permuted"))
        at_least(config, "task.batch", 1)
        at_least(config, "task.pixels", 1)
        self.config = config
        self.inputs = config.task.pixels
        self.counts, self.data = {}, {}
        if corpus is not None:
            self._take(parse(read(corpus)))

    def _take(self, images) -> None:
        total, pixels = len(images.train_images), self.config.task.pixels
        held_out = round(total * self.config.data.validation)
        if not 0 <= held_out < total:
            raise UserError(f"data.validation is {self.config.data.validation}; it should be at least 0 and under 1")
        flat = {
            "train": images.train_images.reshape(total, -1)[: total - held_out],
            "validation": images.train_images.reshape(total, -1)[total - held_out :],
            "test": images.test_images.reshape(len(images.test_images), -1),
        }
        labels = {
            "train": images.train_labels[: total - held_out],
            "validation": images.train_labels[total - held_out :],
            "test": images.test_labels,
        }
        size = flat["train"].shape[1]
        if size % pixels:
            raise UserError(f"task.pixels is {pixels}; it should divide the {size} pixels of an image")
        if size // pixels < self.shortest:
            raise UserError(f"task.pixels is {pixels}: the images have {size} pixels, which leaves no sequence")
        if self.config.task.order == "permuted":
            order = np.random.default_rng(0).permutation(size)
            flat = {split: values[:, order] for split, values in flat.items()}
        self._describe({split: len(values) for split, values in flat.items()}, size // pixels, images.levels, labels)
        self.data = {
            split: {
                "images": values.reshape(len(values), size // pixels, pixels),
                "labels": labels[split].astype(np.int32),
            }
            for split, values in flat.items()
        }

    def _describe(self, counts, time, levels, labels):
        self.counts, self._time, self.levels = counts, time, levels
        commonest = np.bincount(labels["train"], minlength=CLASSES).argmax()
        self.baseline = float((labels["test"] != commonest).mean())

    @classmethod
    def find_corpus(cls, config):
        """The images; raises UserError for a source that holds none."""
        one_of(config, "data.source", IMAGES)
        return prepare(config.data.source, None)

    @classmethod
    def from_description(cls, config, saved):
        task = cls(config)
        task.counts, task._time, task.levels, task.baseline = (
            saved[name] for name in ("images", "time", "levels", "baseline")
        )
        return task

    def description(self) -> dict:
        settings = {name: self.config.task[name] for name in ("order", "pixels")}
        return {
            "problem": "sequential_image",
            **settings,
            "images": self.counts,
            "time": self.time,
            "levels": self.levels,
            "baseline": self.baseline,
        }

    @property
    def measure(self) -> Measure:
        return Measure("error", "of images wrong", self.baseline, "always the commonest digit", 0.1, "90% right")

    @property
    def title(self) -> str:
        order = "permuted" if self.config.task.order == "permuted" else "sequential"
        return f"{order} {self.config.data.source}, {self.time} steps"

    @property
    def time(self) -> int:
        return self._time

    @property
    def steps_per_epoch(self) -> int:
        """Steps that see as many images as there are."""
        return max(1, self.counts["train"] // self.config.task.batch)

    def _image(self, part, number) -> Example:
        images, labels = jnp.asarray(part["images"]), jnp.asarray(part["labels"])  # of NumPy outside of jit
        return Example(images[number].astype(float) / self.levels, labels[number])

    def draw(self, data, key) -> Example:
        return self._image(data["train"], jax.random.randint(key, (), 0, self.counts["train"]))

    def held_out(self, split: str) -> int:
        return 0 if split == "train" else self.counts[split]

    def draw_held_out(self, data, split, number) -> Example:
        return self._image(data[split], number)

    def example(self, key) -> Example:
        return self.draw(self.data, key)

    def write(self, example, outputs) -> str:
        shades = " .:-=+*#%@"
        values = np.concatenate(example.inputs)
        width = round(len(values) ** 0.5)
        rows = (values[start : start + width] for start in range(0, len(values), width))
        picture = "\n".join("".join(shades[int(9 * value)] for value in row) for row in rows)
        return f"{picture}\ntarget {example.target}, answer {outputs.argmax()}"
