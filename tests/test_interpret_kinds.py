"""Kinds of symbols, places and errors, on texts marked by hand."""

import numpy as np
import pytest

from seqjax.errors import UserError
from seqjax.interpret import breakdown, kinds, oracles
from seqjax.tasks.vocabulary import Vocabulary


def shown(text: str) -> str:
    """One letter for each symbol's class."""
    return "".join("lCd_nbqpo"[place] for place in kinds.classes(text))


def test_every_symbol_has_the_class_one_would_say():
    assert shown('Ab3 \t\n([{"\u2019;+é漢😀') == "Cld__nbbbqqppllo"


def of_bytes(text: str) -> str:
    raw = text.encode()
    vocabulary = Vocabulary.of(raw, "bytes", 512)
    return kinds.text_of(vocabulary, vocabulary.encode(raw))


def test_the_last_byte_of_a_character_has_its_class_and_all_are_in_its_word():
    text = of_bytes("né—É ”")
    assert shown(text) == "l" + "ol" + "oop" + "oC" + "_" + "ooq"
    assert kinds.in_word(text).tolist() == [True] * 3 + [False] * 3 + [True] * 2 + [False] * 4
    assert oracles.word_spans(text) == [(0, 3), (6, 8)]
    assert kinds.places(text, "prose")["word start"][1][:8].tolist() == [-1, -1, -1, -1, -1, -1, 0, 1]


def test_words_go_on_over_combining_marks():
    assert oracles.word_spans("e\u0301t हिन्दी 😀") == [(0, 3), (4, 10)]


def test_words_of_bytes_are_remembered_as_those_of_characters_are():
    text = of_bytes("état—été ”état")
    found = categories(text, (text + " ") * 9)
    assert found[-3:] == ["memory 100"] * 3
    assert found[-5:-3] == ["after blank or quote", "memory 100"]


def test_means_are_those_of_numpy_and_shares_sum_to_one():
    random = np.random.default_rng(0)
    nats, labels = random.exponential(size=(2, 200)), random.integers(-1, 4, 200)
    found = kinds.means(nats, labels, 5)
    for label in range(4):
        chosen = nats[:, labels == label]
        np.testing.assert_allclose(found.mean[:, label], chosen.mean(1))
        np.testing.assert_allclose(found.error[:, label], chosen.std(1, ddof=1) / np.sqrt(chosen.shape[1]))
    assert found.count[4] == 0
    assert np.isnan(found.mean[:, 4]).all()
    np.testing.assert_allclose(found.share.sum(1), 1)


def place_marks(text: str, name: str) -> str:
    return "".join("." if place < 0 else str(place % 10) for place in kinds.places(text, "prose")[name][1])


def test_places_count_from_the_symbol_after_the_mark():
    assert place_marks("a\nbc\n\nd", "line break") == "..01200"
    assert place_marks("; ab_1 (cd)", "word start") == "..0123..01."
    assert place_marks("x(ab(c)", "opening bracket") == "..01201"
    assert place_marks('a "bc" d', "opening quote") == "...01234"


@pytest.mark.parametrize(
    ("text", "closing"),
    [
        ("f(a[0])", {5: 2, 6: 5}),
        (") (]", {}),
        ("()", {1: 1}),
    ],
)
def test_brackets_know_their_openings(text, closing):
    places, distances = kinds.closings(text, "prose").brackets
    assert dict(zip(places.tolist(), distances.tolist(), strict=True)) == closing


@pytest.mark.parametrize(
    ("text", "closing"),
    [
        ('say "hi" now', {7: 3}),
        ("don't 'tis\n'a'", {13: 2}),  # apostrophes close nothing; a quotation in such marks is within a line
        ("'Tis the king's 'nay,' not the lords' own.", {21: 5}),
        ("'it's so' \"it's 'so'\"", {8: 8, 20: 10}),
        (r'"a\"b"', {5: 5}),  # an escaped mark is none
        ('"open\n\n"next"', {12: 5}),  # an empty line ends a quotation that nobody closed
        ("“a “b” c”", {5: 5}),  # quotations do not nest
    ],
)
def test_quotation_marks_of_prose_know_their_openings(text, closing):
    assert quotes(text, "prose") == closing


@pytest.mark.parametrize(
    ("text", "closing"),
    [
        ("b'abc.' + 'x'", {6: 5, 12: 2}),
        ("f'{a}: ' + b'c'", {7: 6, 14: 2}),
        ('"""doc "x" """', {11: 9}),  # the first symbol of the triple mark; others inside it are none
        ("""'a"b' "c'd" """, {4: 4, 10: 4}),
        ("# it's\nx = 'a' # 'b'", {13: 2}),
        ('its end."""\ndef f(a):\n    return "b"\n', {35: 2}),  # who closes what the text does not hold is none
    ],
)
def test_quotation_marks_of_a_program_are_those_of_its_strings(text, closing):
    assert quotes(text, "python") == closing


def quotes(text: str, language: str) -> dict[int, int]:
    """Of each place that closes a quotation, the distance."""
    places, distances = kinds.closings(text, language).quotes
    return dict(zip(places.tolist(), distances.tolist(), strict=True))


def test_distances_are_binned_by_doubling():
    bins = kinds.doublings(np.array([1, 2, 3, 4, 7, 8, 2047, 2048, 10**6]))
    assert [kinds.DOUBLING_NAMES[place] for place in bins] == [
        "1", "2-3", "2-3", "4-7", "4-7", "8-15", "1024-2047", "2048 or more", "2048 or more",
    ]  # fmt: skip


def categories(text: str, training: str, probability=0.05, ngrams=0.0) -> list[str]:
    """The category of every symbol; by default all are errors and no n-gram model helps."""
    ngrams = np.broadcast_to(ngrams, (2, len(text)))
    found = oracles.categories(np.broadcast_to(probability, len(text)), oracles.explanations(text, training, ngrams))
    return [oracles.CATEGORIES[place] if place >= 0 else "" for place in found]


def test_memory_explains_a_word_seen_again_but_for_its_first_symbol():
    found = categories("Jon Mary but Mary", "Jon Mary but " * 9)
    assert found[14:] == ["memory 100"] * 3
    assert found[13] == "after blank or quote"
    assert found[5] == "given under 0.1"  # the first time nothing was there to remember


@pytest.mark.parametrize(("gap", "name"), [(90, "100"), (99, "500"), (490, "500"), (700, "1000"), (4000, "5000")])
def test_memory_is_as_long_as_the_word_is_far(gap, name):
    text = "zebra" + ";" * gap + "zebra"
    assert categories(text, "zebra " * 9)[-1] == f"memory {name}"


def test_memory_ends_after_5000_symbols_and_matches_inside_longer_words():
    assert categories("zebra" + ";" * 5000 + "zebra", "zebra " * 9)[-1] == "given under 0.1"
    assert categories("unknown know", "unknown know " * 9)[-1] == "memory 100"


@pytest.mark.parametrize("times", range(7))
def test_rare_words_are_counted_whole_in_the_training_text(times):
    training = "lamb " * times + "lambs " * 20
    expected = f"rare word {times}" if times <= 5 else "given under 0.1"
    assert categories("a;lamb", "a " * 9 + training)[-1] == expected
    assert categories("a;lamb", "a " * 9 + training)[2] == expected  # its first symbol too


def test_what_follows_a_blank_a_quote_or_a_line_break_starts_a_word():
    training = "ab " * 9
    found = categories('ab ab"ab\nab;', training)
    assert found[3] == found[6] == "after blank or quote"
    assert found[9] == "after line break"
    assert found[2] == "given under 0.1"  # the blank itself
    assert found[5] == "punctuation"  # the quote after a letter
    assert found[11] == "punctuation"


def test_ngrams_come_first_and_what_was_given_last():
    helped = np.array([[0.5, 0.2], [0.1, 0.51]])
    assert categories("a;", "a " * 9, ngrams=helped) == ["given under 0.1", "n-gram"]
    given = np.array([0.5, 0.49, 0.4, 0.39, 0.25, 0.1, 0.09])
    assert categories("abcdefg", "abcdefg " * 9, given) == [
        "", "given 0.4 to 0.5", "given 0.4 to 0.5", "given 0.3 to 0.4", "given 0.2 to 0.3", "given 0.1 to 0.2",
        "given under 0.1",
    ]  # fmt: skip


def test_every_error_has_one_category():
    random = np.random.default_rng(0)
    text = "".join(random.choice(list('ab c"\n;(1'), 3000))
    probability, ngrams = random.random(3000), random.random((3, 3000))
    found = oracles.categories(probability, oracles.explanations(text, text[:500], ngrams))
    np.testing.assert_array_equal(found >= 0, probability < 0.5)
    assert found.max() < len(oracles.CATEGORIES)


def test_between_two_networks_errors_are_kept_removed_or_added():
    first, second = np.array([0, 0, 3, -1, -1, 2] * 500), np.array([0, -1, -1, 2, -1, 2] * 500)
    found = oracles.change(first, second)
    assert found.kept[[0, 2, 3]].tolist() == [500, 500, 0]
    assert found.removed[[0, 2, 3]].tolist() == [500, 0, 500]
    assert found.added[[0, 2, 3]].tolist() == [0, 500, 0]
    low, high = found.interval
    assert (low <= found.removed - found.added).all()
    assert (found.removed - found.added <= high).all()
    assert low[0] > 400  # the same everywhere in the text: no doubt
    assert high[1] == low[1] == 0


def test_an_interval_is_as_wide_as_blocks_differ():
    """All in one block: drawing blocks with replacement takes it along 0, 1, 2, ... times."""
    first = np.full(10 * oracles.BLOCK, -1)
    first[:100] = 0
    low, high = oracles.change(first, np.full(len(first), -1)).interval[:, 0]
    assert low == 0
    assert high >= 200


@pytest.fixture(scope="module")
def broken_down():
    """A "network" that is the 3-gram model itself, but for the letter b, which it knows."""
    random = np.random.default_rng(0)
    raw = "".join(random.choice(["ab (ba) ", "cab\n", '"b" '], 3000)).encode()
    vocabulary = Vocabulary.of(raw, "characters", 512)
    symbols = vocabulary.encode(raw)
    training, text = symbols[:8000], symbols[8000:10000]
    grams = -np.log(breakdown.ngrams.probabilities(training, text, (3,), len(vocabulary)))
    better = grams.copy()
    better[:, kinds.classes(kinds.text_of(vocabulary, text)) == 0] = 0.0
    return breakdown.break_down(("same", "better"), np.concatenate([grams, better]), text, training, vocabulary, 4)


def test_a_program_is_read_as_one():
    raw = b"import a\n\n\ndef f(b):\n    return b'it.' + \"it's\"\n" * 9
    vocabulary = Vocabulary.of(raw, "bytes", 512)
    symbols = vocabulary.encode(raw)
    found = breakdown.break_down(("one",), np.ones((1, len(symbols))), symbols, symbols, vocabulary, 2)
    assert found.language == "python"
    assert {kinds.DOUBLING_NAMES[n]: found.closing["quote"].count[n] for n in (2, 3)} == {"4-7": 18, "8-15": 0}


def test_what_lies_beyond_ngrams_adds_up_to_the_difference_of_losses(broken_down):
    for network in range(2):
        difference = broken_down.ngrams[broken_down.best].mean() - broken_down.nats[network].mean()
        assert broken_down.beyond(network).sum() == pytest.approx(difference)


def test_a_network_beside_itself_is_no_better_and_wholly_correlated(broken_down):
    itself, best = breakdown.beside(broken_down, 0)[2], breakdown.beside(broken_down, 0)[-1]
    assert itself.name == "3-gram"
    assert itself.better == itself.only_network == itself.only_ngram == 0
    assert itself.correlation == pytest.approx(1)
    assert best.nats <= min(row.nats for row in breakdown.beside(broken_down, 0))


def test_a_network_that_knows_a_class_has_no_loss_there_and_adds_no_error(broken_down):
    assert broken_down.by_class.mean[1, 0] == 0
    assert broken_down.change.added.sum() == 0
    assert broken_down.change.removed.sum() == broken_down.errors(0).sum() - broken_down.errors(1).sum() > 0


def test_words_have_no_characters():
    with pytest.raises(UserError, match="this network reads words; features of texts are known of characters"):
        kinds.text_of(Vocabulary("words", ("the", "cat")), np.array([0, 1]))
