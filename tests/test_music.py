"""Polyphonic music: batches that read every step of every piece, and its negative log-likelihood as papers count it."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from examples import perturbed
from flax import nnx
from scipy.io import savemat

from seqjax.config import load_config, override
from seqjax.datasets import sources
from seqjax.datasets.music import parse
from seqjax.errors import UserError
from seqjax.tasks import music as module
from seqjax.tasks.music import Music, nats_of_steps, note_name, piano_roll, side_by_side
from seqjax.training.step import Trainer

pytestmark = pytest.mark.usefixtures("quick_compilation")

LENGTHS = {"train": (7, 5, 12, 3, 9), "validation": (4, 20, 1), "test": (30, 2)}


def roll(seed, length):
    """Each step has notes of its own, so that it can be told from all others."""
    return (np.random.default_rng([seed, length]).random((length, 88)) < 0.2).astype(np.uint8)


PIECES = {split: [roll(seed, length) for length in LENGTHS[split]] for seed, split in enumerate(LENGTHS)}


def matlab(pieces) -> bytes:
    file, lists = io.BytesIO(), {}
    for name, split in (("traindata", "train"), ("validdata", "validation"), ("testdata", "test")):
        lists[name] = np.empty((1, len(pieces[split])), object)
        lists[name][0] = pieces[split]
    savemat(file, lists, do_compression=True)
    return file.getvalue()


@pytest.fixture(autouse=True)
def jsb(tmp_path_factory, monkeypatch):
    """Ten small pieces in the place of the chorales."""
    monkeypatch.setenv("SEQJAX_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "music"))
    monkeypatch.setitem(sources.SOURCES, "jsb", lambda: matlab(PIECES))


def music(**settings):
    config, _ = load_config("configs/polyphonic_music.py:jsb")
    small = {"cell__name": "rnn", "cell__hidden": 6, "task__batch": 2, "task__chunk": 4}
    for key, value in {**small, **settings}.items():
        override(config, key.replace("__", "."), value)
    return Music.from_corpus(config, Music.find_corpus(config))


def network_of(task):
    return perturbed(task.network(nnx.Rngs(0)))


# The data


def test_pieces_come_back_from_matlabs_format():
    for split, pieces in parse(matlab(PIECES)).items():
        assert all(np.array_equal(ours, true) for ours, true in zip(pieces, PIECES[split], strict=True))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"To be, or not to be" * 50,
        matlab(PIECES)[:-40],
        matlab({**PIECES, "test": [np.full((3, 88), 2)]}),
        matlab({**PIECES, "test": [np.zeros((3, 87))]}),
        matlab({**PIECES, "test": []}),
    ],
    ids=["nothing", "a text", "cut off", "not 0 or 1", "87 notes", "no pieces"],
)
def test_other_bytes_are_refused_with_a_sentence(raw):
    with pytest.raises(UserError, match="these data are not piano rolls"):
        parse(raw)


@pytest.mark.parametrize(
    ("source", "pieces", "steps"),
    [
        ("jsb", (229, 76, 77), (13_807, 4_602, 4_725)),
        ("nottingham", (694, 173, 170), (176_561, 45_513, 44_463)),
        ("musedata", (524, 135, 124), (245_202, 82_755, 64_339)),
        ("piano_midi", (87, 12, 25), (75_911, 8_540, 19_036)),
    ],
)
def test_the_four_collections_have_their_published_sizes(data_directory, source, pieces, steps):
    found = parse(sources.MUSIC[source]())
    assert tuple(len(part) for part in found.values()) == pieces
    assert tuple(sum(map(len, part)) for part in found.values()) == steps


# Batches


def batches_of_a_pass(task, number):
    per_pass = task.steps_per_epoch
    lanes = jnp.arange(task.config.task.batch)
    batch = jax.jit(task.batch)
    found = [batch(task.data, jax.random.key(9), number * per_pass + place, lanes) for place in range(per_pass)]
    return jax.tree.map(lambda *parts: np.concatenate(parts), *found)


def test_a_pass_reads_the_pieces_end_to_end_and_starts_anew_with_each():
    task = music()
    assert task.steps_per_epoch == 36 // 2 // 4
    orders = []
    for number in range(3):
        inputs, targets, resets = batches_of_a_pass(task, number)
        frames = np.concatenate(PIECES["train"])
        place = {row.tobytes(): number for number, row in enumerate(frames)}
        read = np.asarray([[place[row.astype(np.uint8).tobytes()] for row in lane] for lane in targets.swapaxes(0, 1)])
        assert len(np.unique(read)) == read.size == 32
        starts = np.isin(read, np.cumsum((0, *LENGTHS["train"])))
        before = np.where(starts.T[..., None], 0, frames[read.T - 1])
        np.testing.assert_array_equal(inputs, before)
        np.testing.assert_array_equal(resets.T, starts | (np.arange(16) == 0))
        assert (np.diff(read)[~starts[:, 1:]] == 1).all()
        orders.append(tuple(read[starts]))
    assert len(set(orders)) == 3


def test_a_batch_is_a_pure_function_of_the_step_and_lanes_may_be_asked_for_apart():
    task = music()
    batch = jax.jit(task.batch)
    whole = batch(task.data, jax.random.key(0), 5, jnp.arange(2))
    part = batch(task.data, jax.random.key(1), 5, jnp.asarray([1]))
    for all_lanes, lane in zip(whole, part, strict=True):
        np.testing.assert_array_equal(all_lanes[:, 1:], lane)


def test_what_was_carried_is_forgotten_where_a_lane_starts():
    task = music()
    network = network_of(task)
    carry = task.initial_carry(network, 2)
    other = jax.tree.map(lambda s: s + 1.0, carry)

    @jax.jit
    def losses(step):
        batch = task.batch(task.data, jax.random.key(0), step, jnp.arange(2))
        return [task.loss(network, start, batch)[0] for start in (carry, other)], batch.resets[0].all()

    for step in range(2 * task.steps_per_epoch):
        (one, another), both_start = losses(step)
        assert (one == another) == both_start
        assert both_start or step % task.steps_per_epoch


# What is measured


def test_nats_of_a_step_are_those_of_independent_notes():
    random = np.random.default_rng(0)
    logits, notes = 3 * random.normal(size=(5, 88)), random.random((5, 88)) < 0.3
    p = 1 / (1 + np.exp(-logits))
    expected = -np.log(np.where(notes, p, 1 - p)).sum(1)
    np.testing.assert_allclose(nats_of_steps(jnp.asarray(logits), jnp.asarray(notes, float)), expected, rtol=1e-5)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("devices", [None, 2])
def test_evaluation_is_each_piece_read_by_itself(devices, monkeypatch):
    monkeypatch.setattr(module, "EVALUATION_WINDOW", 8)
    task = music()
    network = network_of(task)
    mesh = devices and jax.sharding.Mesh(np.asarray(jax.devices()[:devices]), ("lanes",))
    nats = []
    for piece in PIECES["validation"]:
        inputs = np.concatenate([np.zeros((1, 88)), piece[:-1]])
        _, logits = network(jnp.asarray(inputs))
        nats.append(np.asarray(nats_of_steps(logits, jnp.asarray(piece, float))))
    scores = task.evaluate(network, "validation", mesh)
    expected = {
        "nats": np.concatenate(nats).mean(),
        "nats_after_first": np.concatenate([of_piece[1:] for of_piece in nats]).mean(),
        "nats_by_sequence": np.mean([of_piece.mean() for of_piece in nats]),
    }
    assert scores.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(scores[name], value, rtol=1e-12)


@pytest.mark.parametrize("lanes", [1, 2, 5])
def test_pieces_side_by_side_are_all_there_once(lanes):
    inputs, targets, starts, piece = (a.reshape(-1, *a.shape[2:]) for a in side_by_side(PIECES["validation"], lanes))
    for number, notes in enumerate(PIECES["validation"]):
        (time, lane) = np.nonzero(piece == number)
        np.testing.assert_array_equal(targets[time, lane], notes)
        np.testing.assert_array_equal(inputs[time, lane][1:], notes[:-1])
        assert not inputs[time[0], lane[0]].any()
        assert starts[time[0], lane[0]] and (np.diff(time) == 1).all()
    assert starts.sum() == 3


def test_the_baseline_is_the_score_of_each_notes_frequency():
    task = music()
    notes = np.concatenate(PIECES["train"])
    p = (notes.sum(0) + 1) / (len(notes) + 2)
    network = jax.tree.map(jnp.zeros_like, task.network(nnx.Rngs(0)))
    network.readout.b[...] = jnp.asarray(np.log(p / (1 - p)), jnp.float32)
    np.testing.assert_allclose(task.evaluate(network, "test")["nats"], task.measure.baseline, rtol=1e-5)


def test_training_lowers_the_nats_of_a_step_and_can_be_probed():
    task = music(train__steps_per_dispatch=30, model__dropout=0.2, optimiser__learning_rate=0.03)
    trainer = Trainer(task, task.config)
    state = trainer.initialise()
    assert np.isfinite(list(trainer.probe(state).values())).all()
    state, measured = trainer.run(state, 1000)
    assert measured["nats"][-4:].mean() < 0.9 * measured["nats"][:4].mean()


# What is shown


def test_keys_have_their_names():
    assert [note_name(key) for key in (0, 39, 48, 87)] == ["A0", "C4", "A4", "C8"]


def test_a_piano_roll_has_a_row_a_note_and_a_column_a_step():
    given, written = np.zeros((3, 88)), np.zeros((2, 88))
    given[1:, 39] = 1
    written[0, 43] = written[1, 39] = 1
    assert piano_roll(given, written) == "  E4 ...|#.\n  C4 .##|.#"


def test_a_sample_goes_on_from_a_test_piece_and_repeats_with_its_seed():
    task = music()
    network = network_of(task)
    shown = task.sample(network, 2)
    assert shown.startswith("24 steps of test piece 0 | 48 steps of the network\n")
    first = shown.splitlines()[1].split()[1]
    assert [len(part) for part in first.split("|")] == [24, 48]
    assert shown == task.sample(network, 2) != task.sample(network, 4)


# What is kept, and what is refused


def test_a_run_restores_it_without_the_pieces_but_for_scores():
    task = music()
    again = Music.from_description(task.config, task.description())
    assert (again.title, again.measure, again.time) == (task.title, task.measure, task.time)
    assert [again.held_out(split) for split in LENGTHS] == [5, 3, 2]
    assert jax.eval_shape(lambda: again.network(nnx.Rngs(0)))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"data__source": "jbs"}, "unknown data.source 'jbs'; did you mean 'jsb'"),
        ({"data__source": "tiny_shakespeare"}, "unknown data.source 'tiny_shakespeare'"),
        ({"task__batch": 10}, "the training pieces have 36 time steps; 10 lanes of at least one chunk of 4 need 40"),
        ({"task__chunk": 0}, "'task.chunk' is 0; it should be at least 1"),
    ],
)
def test_wrong_settings_are_answered_with_a_sentence(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        music(**settings)
