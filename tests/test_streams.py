"""Arithmetic and XML: what their texts say, how they are read in lanes and chunks, and how answers are scored."""

import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import seqjax
from seqjax.config import load_config, override
from seqjax.errors import UserError
from seqjax.tasks import find_task
from seqjax.tasks.streams import EVALUATION_LANES
from seqjax.training import trial
from seqjax.training.step import Trainer
from seqjax.training.trial import resolve

pytestmark = pytest.mark.usefixtures("quick_compilation")
both = pytest.mark.parametrize("variant", ["arithmetic", "xml"])
BATCH, CHUNK = 4, 10
ASKED = re.compile(r"(-?\d+)([+-])(-?\d+)=")


def config_of(variant, **settings):
    config, _ = load_config(f"configs/jozefowicz2015.py:{variant}")
    small = {"task.batch": BATCH, "task.chunk": CHUNK, "task.symbols": 2000, "task.evaluation": 3000}
    small |= {"cell.parameters": 0, "cell.hidden": 6, "train.steps_per_dispatch": 5, "train.eval_every": 5}
    for key, value in {**small, **{key.replace("__", "."): value for key, value in settings.items()}}.items():
        override(config, key, value)
    return config


def made(variant, **settings):
    config = config_of(variant, **settings)
    return find_task(config.task.name).from_corpus(config, None)


@pytest.fixture(scope="module")
def tasks():
    return {variant: made(variant) for variant in ("arithmetic", "xml")}


@pytest.fixture(scope="module")
def problems(tasks):
    """Arithmetic: the problems of a long text, the last one, which is cut, left out."""
    task = tasks["arithmetic"]
    symbols, counted = (values[0] for values in task.texts("train", 1, 100_000))
    text = task.spell(symbols)
    end = text.rindex(".") + 1
    return text[:end].split(".")[:-1], counted[:end], text[:end]


def near(fraction, expected, count):
    """Within five standard deviations of a fraction of so many fair draws."""
    return abs(fraction - expected) < 5 * np.sqrt(expected * (1 - expected) / count)


def test_every_answer_is_right_once_the_letters_are_gone(problems):
    assert len(problems[0]) > 3000
    for problem in problems[0]:
        asked, answer = problem.split("=")
        first, operator, second = ASKED.fullmatch(re.sub("[a-z]", "", asked) + "=").groups()
        right = int(first) + int(second) if operator == "+" else int(first) - int(second)
        assert answer == str(right), problem


def test_operands_have_the_stated_lengths_and_signs(problems):
    parsed = [ASKED.match(re.sub("[a-z]", "", problem)).groups() for problem in problems[0]]
    operands = [number for first, _, second in parsed for number in (first, second)]
    digits = np.array([len(number.lstrip("-")) for number in operands])
    for length in range(1, 9):
        assert near((digits == length).mean(), 1 / 8, len(digits))
    assert digits.max() == 8
    negative = np.array([number[0] == "-" for number in operands if number != "0"])
    assert near(negative.mean(), 1 / 2, len(negative))
    assert near(np.mean([operator == "+" for _, operator, _ in parsed]), 1 / 2, len(parsed))
    assert "-0" not in operands and "0" in operands
    leading = np.array([int(number.lstrip("-")[0]) for number in operands if len(number.lstrip("-")) > 1])
    assert all(near((leading == digit).mean(), 1 / 9, len(leading)) for digit in range(1, 10))


def test_letters_follow_every_input_character_as_a_coin_decides_and_never_the_answer(problems):
    asked = [problem.split("=")[0] for problem in problems[0]]
    assert not any(re.search("[a-z]", problem.split("=")[1]) or problem[0].isalpha() for problem in problems[0])
    gaps = np.array([len(gap) for problem in asked for gap in re.findall(r"[-+\d]([a-z]*)", problem)])
    for number in range(5):
        assert near((gaps == number).mean(), 2.0 ** -(number + 1), len(gaps))
    assert gaps.max() <= 8
    letters = "".join(re.sub("[^a-z]", "", problem) for problem in asked)
    assert all(near(letters.count(letter) / len(letters), 1 / 26, len(letters)) for letter in set(letters))
    assert len(set(letters)) == 26


def test_the_answers_symbols_count_and_no_others(problems):
    _, counted, _ = problems
    expected = "".join(
        f"{'_' * (len(asked) + 1)}{'x' * (len(answer) + 1)}"
        for asked, answer in (problem.split("=") for problem in problems[0])
    )
    np.testing.assert_array_equal(counted, np.array(list(expected)) == "x")


def documents(text):
    """Cut where no tag is open any longer; what is left at the end, a part of a document, goes."""
    begin, depth = 0, 0
    for tag in re.finditer(r"<(/?)[a-z]+>", text):
        depth += -1 if tag[1] else 1
        if depth == 0:
            yield text[begin : tag.end()]
            begin = tag.end()


@pytest.fixture(scope="module")
def xml(tasks):
    symbols, counted = (values[0] for values in tasks["xml"].texts("train", 1, 80_000))
    assert counted.all()
    return tasks["xml"].spell(symbols)


def test_xml_is_well_nested_and_made_of_tags_of_2_to_10_letters(xml):
    names = []
    for document in documents(xml):
        assert re.fullmatch(r"(</?[a-z]{2,10}>)+", document)
        stack = []
        for closes, name in re.findall(r"<(/?)([a-z]+)>", document):
            if closes:
                assert stack.pop() == name
            else:
                stack.append(name)
                names.append(name)
        assert not stack
    lengths = np.array([len(name) for name in names])
    assert all(near((lengths == length).mean(), 1 / 9, len(lengths)) for length in range(2, 11))
    letters = "".join(names)
    assert all(near(letters.count(letter) / len(letters), 1 / 26, len(letters)) for letter in set(letters))


def test_xml_opens_and_closes_as_a_coin_decides_until_50_iterations_are_over(tasks):
    """The problems one by one, as the text does not show where the empty documents are."""
    drawn = jax.device_get(tasks["xml"]._problems(jax.random.key(7)))
    choices, sizes = [], []
    for symbols, written in zip(drawn.symbols, drawn.written, strict=True):
        text = tasks["xml"].spell(symbols[written])
        tags = re.findall(r"<(/?)[a-z]+>", text)
        opens = [not closes for closes in tags]
        assert 2 * sum(opens) == len(opens) and not any(opens[50:])
        ended = [] if len(opens) >= 50 else [False]  # the coin that ended it
        choices += opens[:50] + ended
        sizes.append(len(opens))
    assert near(np.mean(choices), 1 / 2, len(choices))
    assert near(np.mean(np.array(sizes) == 0), 1 / 2, len(sizes)), "half of the documents end before they begin"
    assert max(sizes) > 50


def test_a_text_goes_on_as_it_began_and_is_the_same_for_every_run_but_not_for_every_split_and_lane(tasks):
    for variant, task in tasks.items():
        short, long = task.texts("test", 2, 50)[0], made(variant, seed=3, task__batch=2).texts("test", 3, 5000)[0]
        np.testing.assert_array_equal(short, long[:2, :50])
        assert (short[0] != short[1]).any() and (short != task.texts("validation", 2, 50)[0]).any()
        assert (short != task.texts("train", 2, 50)[0]).any()


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(
    ("variant", "beginning"),
    [
        ("arithmetic", "-mugofolw4grg+-8=-12.8vt2f477a4d+4x74jg5i8x379fs=48283153.-7q-k-f75=68"),
        ("xml", "<xsxjsbexeb></xsxjsbexeb><bcuz></bcuz><ffbytgspt><zrcqegynpb></zrcqegy"),
    ],
    ids=["arithmetic", "xml"],
)
def test_a_text_is_what_it_always_was_also_where_numbers_have_64_bits(variant, beginning, wide):
    """Or scores of runs made before could not be compared with today's."""
    with jax.enable_x64(wide):
        task = made(variant)
        assert task.spell(task.texts("test", 1, 70)[0][0]) == beginning


@both
def test_a_batch_is_a_function_of_the_step_and_lanes_start_over_after_an_epoch(tasks, variant):
    task = tasks[variant]
    draw = jax.jit(lambda step, lanes: task.batch(task.data, jax.random.key(0), step, lanes))
    chunks = task.steps_per_epoch
    assert chunks == 2000 // (BATCH * CHUNK)
    text, counted = task.texts("train", BATCH, chunks * CHUNK + 1)
    for step in (0, 3, chunks - 1, chunks, 2 * chunks + 3):
        batch, place = draw(step, jnp.arange(BATCH)), step % chunks * CHUNK
        np.testing.assert_array_equal(batch.symbols.T, text[:, place : place + CHUNK + 1])
        np.testing.assert_array_equal(batch.counted.T, counted[:, place + 1 : place + CHUNK + 1])
        assert batch.wraps == (place == 0)
        np.testing.assert_array_equal(draw(step, jnp.array([2, 1])).symbols, batch.symbols[:, [2, 1]])


def test_training_carries_the_state_from_chunk_to_chunk_and_forgets_it_where_the_text_starts_over(tasks):
    task = tasks["arithmetic"]
    network = task.network(nnx.Rngs(0))
    text, counted = (values.T for values in task.texts("train", BATCH, 3 * CHUNK + 1))
    _, logits = network(text[:-1].astype(np.int32))
    nats = -np.take_along_axis(np.asarray(jax.nn.log_softmax(logits)), text[1:, :, None].astype(int), axis=2)[..., 0]
    wrong = np.asarray(logits).argmax(-1) != text[1:]
    carry = jax.tree.map(lambda leaf: leaf + 1, task.initial_carry(network, BATCH))  # of the end of an epoch
    read = jax.jit(task.loss)
    for step in range(3):
        batch = task.batch(task.data, jax.random.key(0), jnp.asarray(step), jnp.arange(BATCH))
        loss, (carry, metrics) = read(network, carry, batch)
        chunk = slice(step * CHUNK, (step + 1) * CHUNK)
        count = counted[1:][chunk]
        np.testing.assert_allclose(loss, (nats[chunk] * count).sum() / BATCH, rtol=1e-4)
        np.testing.assert_allclose(metrics["nats"], nats[chunk][count].sum() / max(1, count.sum()), rtol=1e-4)
        np.testing.assert_allclose(metrics["error"], wrong[chunk][count].sum() / max(1, count.sum()), rtol=1e-5)


def test_evaluation_is_a_plain_loop_over_the_text_whatever_the_devices(tasks):
    task = tasks["arithmetic"]
    network = task.network(nnx.Rngs(1))
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()), ("lanes",))
    scores = task.evaluate(network, "validation", mesh)
    length = task.held_out("validation") // EVALUATION_LANES
    assert 3000 <= task.held_out("validation") < 3000 + EVALUATION_LANES * CHUNK
    text, counted = (values.T for values in task.texts("validation", EVALUATION_LANES, length + 1))
    _, logits = network(text[:-1].astype(np.int32))
    logits, targets, count = np.asarray(logits), text[1:].astype(int), counted[1:]
    nats = -np.take_along_axis(np.asarray(jax.nn.log_softmax(logits)), targets[..., None], axis=2)[..., 0]
    np.testing.assert_allclose(scores["error"], (logits.argmax(-1) != targets)[count].mean(), rtol=1e-4)
    np.testing.assert_allclose(scores["nats"], nats[count].mean(), rtol=1e-4)
    alone = task.evaluate(network, "validation")
    np.testing.assert_allclose(alone["nats"], scores["nats"], rtol=1e-4)
    assert task.evaluate(network, "train") == {} and task.held_out("train") == 0


class Memory:
    def initial_state(self, batch_shape):
        return jnp.zeros(batch_shape, jnp.int32)


class Knowing(nnx.Module):
    """A network that answers at every place what it was told to; its state is the place."""

    def __init__(self, answers, symbols):
        self.answers, self.symbols, self.stack = nnx.Variable(jnp.asarray(answers)), symbols, Memory()

    def __call__(self, xs, places, **options):
        answers = jax.lax.dynamic_slice_in_dim(self.answers[...], places[0], len(xs))
        return places + len(xs), 100 * jax.nn.one_hot(answers, self.symbols)


def calculated(text):
    """What a calculator expects from the second symbol on: digit after digit of the answer, once it is asked for."""
    expected = []
    for problem in re.findall(r"[^.]+\.?", text):
        asked, equals, _ = problem.partition("=")
        expected += "." * len(asked)
        if equals:
            first, operator, second = ASKED.fullmatch(re.sub("[a-z]", "", asked) + "=").groups()
            answer = int(first) + int(second) * (1 if operator == "+" else -1)
            expected += f"={answer}."
    return expected[1 : len(text)]


def nested(text):
    """What one expects who knows which tags are open: their ends, and of a new tag the likeliest."""
    expected, stack, name, closes = [], [], "", False
    for symbol in text[:-1]:
        if symbol == "<":
            name, closes = "", False
            expected.append("/" if stack else "a")
        elif symbol == "/":
            closes = True
            expected.append(stack[-1][0])
        elif symbol == ">":
            stack.pop() if closes else stack.append(name)
            expected.append("<")
        else:
            name += symbol
            expected.append((stack[-1] + ">")[len(name)] if closes else "a" if len(name) == 1 else ">")
    return expected


def test_who_calculates_makes_no_error(tasks):
    task = tasks["arithmetic"]
    length = task.held_out("validation") // EVALUATION_LANES + 1
    texts = [task.spell(lane) for lane in task.texts("validation", EVALUATION_LANES, length)[0]]
    answers = [[task.alphabet.index(symbol) for symbol in calculated(text)] for text in texts]
    network = Knowing(np.array(answers).T, len(task.alphabet))
    assert task.evaluate(network, "validation")["error"] == 0
    network.answers[...] = jnp.roll(network.answers[...], 1, axis=0)
    assert task.evaluate(network, "validation")["error"] > 0.5


def test_who_knows_the_open_tags_errs_on_a_little_more_than_a_third(xml):
    text = "".join(documents(xml))
    wrong = [answer != symbol for answer, symbol in zip(nested(text), text[1:], strict=True)]
    assert np.mean(wrong) == pytest.approx(0.35, abs=0.01)


def test_the_baselines_are_what_always_the_commonest_symbol_scores(tasks, problems, xml):
    _, counted, text = problems
    for task, answers, commonest in (
        (tasks["arithmetic"], np.array(list(text))[counted], "."),
        (tasks["xml"], np.array(list(xml)), "<"),
    ):
        wrong = {symbol: (answers != symbol).mean() for symbol in task.alphabet}
        assert wrong[commonest] == pytest.approx(task.measure.baseline, abs=0.005)
        assert wrong[commonest] < min(wrong.values()) + 1e-3


def test_a_sample_shows_the_text_and_below_each_counted_symbol_what_was_expected(tasks):
    task = tasks["arithmetic"]
    network = task.network(nnx.Rngs(0))
    shown = task.sample(network, 0)
    assert shown == task.sample(network, 0) != task.sample(network, 1)
    rows = [row.split("\n") for row in shown.split("\n\n")]
    for (text, answer), lane in zip(rows, task.texts("test", 3, 80)[0], strict=True):
        assert text == f"text    {task.spell(lane)}"
        assert answer.startswith("answer  ")
        places = re.sub(r"(?<==)[^.]+\.?", lambda found: "#" * len(found[0]), text[8:])
        assert [place for place, symbol in enumerate(answer[8:]) if symbol != " "] == [
            place for place, symbol in enumerate(places) if symbol == "#"
        ]


@both
def test_a_trial_of_the_paper_has_its_parameters_and_is_restored_from_its_description(variant):
    config, _ = load_config(f"configs/jozefowicz2015.py:{variant}")
    record = resolve(config, {})
    assert 0.99 * 250_000 < record["parameters"] <= 250_000
    task = find_task(variant).from_description(config, record["task"])
    assert (task.title, task.time) == (record["title"], 35)
    assert record["config"]["train"]["steps"] and record["corpus"] is None


def test_the_fingerprint_of_a_trials_code_is_of_the_package_alone_and_of_all_that_computes_it(monkeypatch):
    """Not of Python's own files, which another version of Python would change."""
    files = []
    monkeypatch.setattr(trial, "_without_documentation", lambda file: files.append(pathlib.Path(file)) or b"")
    trial.fingerprint(config_of("xml"), find_task("xml"))
    assert all(file.is_relative_to(pathlib.Path(seqjax.__file__).parent) for file in files)
    read = {file.name for file in files}
    assert {"lstm.py", "xml.py", "streams.py", "recurrence.py", "products.py", "deferral.py"} <= read
    assert "linear_recurrence.py" in read and "music.py" not in read


def test_training_goes_on_from_a_state_as_if_it_had_not_stopped():
    task = made("arithmetic")
    trainer = Trainer(task, task.config)
    half, _ = trainer.run(trainer.initialise(), 5)
    kept = jax.device_get(half)
    straight, _ = trainer.run(half, 10)
    again = Trainer(made("arithmetic"), task.config)
    resumed, _ = again.run(again.place(kept), 10)
    for one, other in zip(jax.tree.leaves(straight), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_text_must_hold_a_chunk_for_every_lane():
    with pytest.raises(UserError, match=r"task.symbols is 39; one chunk of 10 symbols for each of 4 lanes needs 40"):
        made("xml", task__symbols=39)
    with pytest.raises(UserError, match=r"'task.chunk' is 0; it should be at least 1"):
        made("xml", task__chunk=0)
