"""Statistics of searches, against brute force and against distributions whose answers are known."""

import itertools

import numpy as np
import pytest
from scipy import stats

from seqjax.statistics import expected_best, expected_best_interval, mean_interval, paired, ranks

TEST = np.array([0.3, 0.1, 0.9, 0.5, 0.7, 0.2])
VALIDATION = np.array([0.25, 0.3, 0.9, 0.4, 0.1, 0.35])
ALL = np.arange(1, 7)


def test_expected_best_is_the_mean_over_all_choices_of_settings():
    for scores, chosen_by in ((TEST, None), (TEST, VALIDATION)):
        key = scores if chosen_by is None else chosen_by
        for draws, found in zip(ALL, expected_best(scores, ALL, chosen_by), strict=True):
            best = [min(of, key=lambda n: key[n]) for of in itertools.combinations(range(6), draws)]
            assert found == pytest.approx(np.mean([scores[n] for n in best]))


def test_of_one_setting_it_is_the_mean_and_of_all_the_best():
    assert expected_best(TEST, np.array([1, 6])) == pytest.approx([TEST.mean(), 0.1])
    assert expected_best(TEST, np.array([6]), VALIDATION) == pytest.approx([0.7])


def test_settings_that_tie_share_the_mean_of_their_scores():
    """Or the order of the runs would decide."""
    validation = np.array([0.2, 0.2, 0.9])
    for test in (np.array([1.0, 3.0, 5.0]), np.array([3.0, 1.0, 5.0])):
        assert expected_best(test, np.array([3]), validation) == pytest.approx([2.0])


def test_it_is_unbiased():
    """The least of N numbers from U[0, 1] is 1 / (N + 1) in the mean, also when as many were tried as are drawn."""
    random, draws = np.random.default_rng(0), np.array([1, 2, 4, 8])
    found = np.array([expected_best(random.uniform(size=8), draws) for _ in range(4000)])
    error = found.std(axis=0) / np.sqrt(4000)
    assert (abs(found.mean(axis=0) - 1 / (draws + 1)) < 4 * error).all()


def test_its_interval_holds_the_truth_most_of_the_time_up_to_a_quarter_of_the_settings():
    random, draws = np.random.default_rng(0), np.array([1, 4, 10])
    held = np.zeros(3)
    for _ in range(200):
        low, high = expected_best_interval(random.uniform(size=40), draws)
        held += (low <= 1 / (draws + 1)) & (1 / (draws + 1) <= high)
    assert (held / 200 > 0.82).all()


def test_its_interval_is_the_same_every_time_and_not_below_zero():
    first, second = (expected_best_interval(np.geomspace(0.001, 1, 20), np.array([1, 5])) for _ in range(2))
    assert np.array_equal(first, second)
    assert (first[0] >= 0).all()
    assert expected_best_interval(np.array([-5.0, 5.0]), np.array([2]))[0] < 0


def test_one_setting_has_no_interval():
    assert np.isnan(expected_best_interval(np.array([0.5]), np.array([1]))).all()


def test_more_draws_than_settings_are_refused():
    with pytest.raises(ValueError, match="the best of 7 to 7 among 6 settings"):
        expected_best(TEST, np.array([7]))


def test_the_interval_of_a_mean_is_students_for_normal_numbers():
    values = np.random.default_rng(0).normal(size=30)
    t = stats.t.interval(0.95, 29, values.mean(), stats.sem(values))
    assert mean_interval(values) == pytest.approx(t, abs=0.06 * (t[1] - t[0]))


def test_the_interval_of_few_values_does_not_leave_their_range():
    assert mean_interval(np.array([1.0])) is None
    assert mean_interval(np.array([1.0, 2.0])) == (1.0, 2.0)
    assert mean_interval(np.array([1.0, 2.0, 4.0])) == (1.0, 4.0)


def test_pairs_are_counted_and_tested():
    differences = np.array([-0.1, -0.2, -0.35, -0.4, -0.6, 0.3, 0.05])
    found = paired(differences)
    assert (found.pairs, found.better, found.worse) == (7, 5, 2)
    assert found.mean == pytest.approx(differences.mean())
    places = stats.rankdata(abs(differences))
    sums = [places[np.array(signs)].sum() for signs in itertools.product((False, True), repeat=7)]
    smaller = min(places[differences > 0].sum(), places[differences < 0].sum())
    assert found.p == pytest.approx(2 * np.mean(np.array(sums) <= smaller))


def test_pairs_without_a_difference_prove_nothing():
    found = paired(np.zeros(3))
    assert (found.better, found.worse, found.mean, found.interval, found.p) == (0, 0, 0.0, (0.0, 0.0), None)
    assert paired(np.array([0.5])).interval is None


def test_things_that_tie_share_the_mean_of_their_ranks():
    scores = np.array([[0.1, 0.2, 0.3], [5.0, 4.0, 4.0]])
    assert ranks(scores).tolist() == [[1.0, 2.0, 3.0], [3.0, 1.5, 1.5]]
