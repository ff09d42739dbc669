"""Scores of units against other libraries' numbers, a planted unit, and noise."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from seqjax.errors import UserError
from seqjax.interpret.activity import Activity
from seqjax.interpret.features import Feature
from seqjax.interpret.units import SHORTEST, score, strongest

TIME = 3000
HALF = TIME // 2


def slow(seed, time, width, rate=0.9):
    """Noise that remembers: as a network's states do."""
    noise = np.random.default_rng(seed).normal(size=(time, width))
    for step in range(1, time):
        noise[step] += rate * noise[step - 1]
    return np.tanh(noise).astype(np.float32)


def activity(layers, time=TIME):
    return Activity(np.zeros(time, int), tuple(layers), np.zeros((time, 2), np.float32))


def runs(seed, time=TIME, rate=0.05):
    """A binary feature that stays a while, as quotes do."""
    turns = np.random.default_rng(seed).random(time) < rate
    return (np.cumsum(turns) % 2).astype(float)


def noise():
    return activity(
        [{"h": slow(0, TIME, 30), "c": slow(1, TIME, 30)}, {"h": slow(2, TIME, 30), "c": slow(3, TIME, 30)}]
    )


def direction(sign, value, middle):
    return middle + sign * (value - middle)


def test_aucs_and_correlations_are_those_of_other_libraries():
    seen = noise()
    seen.layers[0]["h"][:, :5] = seen.layers[0]["h"][:, :5].round(1)  # ties
    features = [Feature("a", "binary", runs(5)), Feature("b", "numeric", slow(6, TIME, 1)[:, 0].astype(float))]
    for row in score(seen, features).rows():
        values = seen.layers[row["layer"] - 1][row["part"]][:, row["unit"]]
        feature = features[0] if row["feature"] == "a" else features[1]
        for key, half in (("chosen", slice(None, HALF)), ("score", slice(HALF, None))):
            if feature.kind == "binary":
                expected = direction(row["sign"], roc_auc_score(feature.values[half], values[half]), 0.5)
            else:
                expected = row["sign"] * np.corrcoef(feature.values[half], values[half])[0, 1]
            assert row[key] == pytest.approx(expected, abs=1e-6)
        if feature.kind == "numeric":
            assert row["r2"] == pytest.approx(row["score"] ** 2)
        assert row["chosen"] >= (0.5 if feature.kind == "binary" else 0)


@pytest.mark.parametrize("sign", [1, -1])
def test_planted_units_are_found_with_their_direction(sign):
    seen = noise()
    quotes, column = runs(5), np.arange(TIME) % 61
    seen.layers[1]["c"][:, 7] = np.tanh(sign * (2 * quotes - 1) + 0.5 * seen.layers[1]["c"][:, 7])
    seen.layers[0]["h"][:, 3] = -sign * column / 61 + 0.1 * seen.layers[0]["h"][:, 3]
    scores = score(seen, [Feature("quotes", "binary", quotes), Feature("column", "numeric", column.astype(float))])
    found = {one.feature: one for one in scores.found()}
    assert (found["quotes"].layer, found["quotes"].part, found["quotes"].unit) == (1, "c", 7)
    assert (found["column"].layer, found["column"].part, found["column"].unit) == (0, "h", 3)
    assert (found["quotes"].sign, found["column"].sign) == (sign, -sign)
    for one in found.values():
        assert one.above_chance
        assert one.chance < 0.8 < 0.9 < one.score <= 1
        assert len(one.others) == 3
        assert all(other < one.chance for *_, other in one.others)
        assert [other for *_, other in one.others] == sorted((other for *_, other in one.others), reverse=True)


def test_noise_is_not_found():
    """The best of 120 units looks like something where it was chosen, and is under the level of chance elsewhere."""
    features = [Feature(f"{n}", "binary", runs(n, rate=0.03)) for n in range(10)]
    found = score(noise(), features).found()
    assert len(found) == 10
    assert np.mean([one.chosen for one in found]) > np.mean([one.score for one in found]) + 0.05
    assert not [one for one in found if one.above_chance]
    assert all(0.5 < one.chance < 1 for one in found)


def test_chance_is_the_maximum_over_the_units():
    seen = noise()
    one_unit = activity([{"h": seen.layers[0]["h"][:, :1]}])
    feature = [Feature("a", "binary", runs(5))]
    assert score(one_unit, feature).chance[0] < score(seen, feature).chance[0]


def test_the_best_come_first():
    seen = noise()
    strong, weak = runs(5), runs(6)
    seen.layers[0]["h"][:, 0] = strong + 0.01 * seen.layers[0]["h"][:, 0]
    seen.layers[0]["h"][:, 1] = 0.4 * weak + 0.5 * seen.layers[0]["h"][:, 1]
    titles = ["noise", "weak", "strong"]
    features = [Feature(t, "binary", v) for t, v in zip(titles, [runs(7), weak, strong], strict=True)]
    assert [one.feature for one in score(seen, features).found()] == titles[::-1]


def test_equal_units_and_features_keep_their_order():
    seen, feature, titles = noise(), runs(5), ["c", "a", "b"]
    for unit in (9, 4, 21):
        seen.layers[1]["c"][:, unit] = feature
    found = score(seen, [Feature(title, "binary", feature) for title in titles]).found()
    assert [one.feature for one in found] == titles
    assert {(one.layer, one.part, one.unit) for one in found} == {(1, "c", 4)}
    assert [other[:3] for other in found[0].others[:2]] == [(1, "c", 9), (1, "c", 21)]


def test_the_untrained_network_is_scored_in_the_same_way():
    """What stands beside the trained network's scores is what it would have as a trained one."""
    trained, untrained = noise(), activity([{"h": slow(10, TIME, 40)}])
    quotes, column = runs(5), (np.arange(TIME) % 61).astype(float)
    trained.layers[0]["h"][:, 1] = quotes
    trained.layers[0]["h"][:, 2] = column + 30 * slow(11, TIME, 1)[:, 0]
    untrained.layers[0]["h"][:, 7] = -column + 10 * slow(12, TIME, 1)[:, 0]
    features = [Feature("quotes", "binary", quotes), Feature("column", "numeric", column)]
    scores = score(trained, features, untrained)
    alone = {one.feature: one.score for one in score(untrained, features).found()}
    assert {one.feature: one.untrained for one in scores.found()} == pytest.approx(alone)
    assert {row["feature"]: row["untrained"] for row in scores.rows()} == pytest.approx(alone)
    best, other = scores.found()
    assert (best.feature, best.learned, best.baseline) == ("quotes", True, max(best.chance, best.untrained))
    assert (other.feature, other.above_chance, other.learned) == ("column", True, False)
    assert strongest([other, best]) is best and strongest([other]) is None
    assert {one.untrained for one in score(trained, features).found()} == {None}


def test_where_a_feature_has_no_value_the_symbol_does_not_count():
    seen = noise()
    values = runs(5)
    holes = np.random.default_rng(9).random(TIME) < 0.3
    with_holes = np.where(holes, np.nan, values)
    scores = score(seen, [Feature("whole", "binary", values), Feature("holes", "binary", with_holes)])
    units = np.concatenate([part for layer in seen.layers for part in layer.values()], axis=-1)
    kept = ~holes[:HALF]
    expected = roc_auc_score(values[:HALF][kept], units[:HALF][kept][:, 11])
    assert scores.first[1, 11] + 0.5 == pytest.approx(expected, abs=1e-6)
    assert scores.first[0, 11] + 0.5 == pytest.approx(roc_auc_score(values[:HALF], units[:HALF, 11]), abs=1e-6)


def test_features_that_do_not_vary_in_a_half_have_no_score():
    early = np.where(np.arange(TIME) < HALF, runs(5), 0)
    features = [
        Feature("never", "binary", np.zeros(TIME)),
        Feature("early", "binary", early),
        Feature("fine", "binary", runs(6)),
        Feature("nowhere", "numeric", np.full(TIME, np.nan)),
    ]
    scores = score(noise(), features)
    assert [feature.title for feature in scores.features] == ["fine"]
    assert scores.skipped == ["never", "early", "nowhere"]
    nothing = score(noise(), features[:1])
    assert (nothing.found(), list(nothing.rows())) == ([], [])


def test_a_unit_that_never_moves_follows_nothing():
    seen = noise()
    seen.layers[0]["h"][:, 4] = 0.1
    features = [Feature("a", "binary", runs(5)), Feature("b", "numeric", slow(6, TIME, 1)[:, 0].astype(float))]
    scores = score(seen, features)
    assert scores.first[:, 4].tolist() == scores.second[:, 4].tolist() == [0, 0]
    assert np.isfinite(scores.first).all()


def test_a_short_text():
    time = SHORTEST
    short = activity([{"h": slow(0, time, 3)}], time)
    assert len(score(short, [Feature("a", "binary", runs(5, time))]).found()) == 1
    with pytest.raises(UserError, match="a text of 799 symbols is too short to find cells in; it takes 800"):
        score(activity([{"h": slow(0, 799, 3)}], 799), [])
