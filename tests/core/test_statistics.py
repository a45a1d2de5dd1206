"""Intervals and tests against SciPy's, and against counting."""

import math
import random
from itertools import combinations

import pytest

from counterfoil.analysis import statistics

stats = pytest.importorskip("scipy.stats", reason="the extra dev brings SciPy")
np = pytest.importorskip("numpy", reason="SciPy brings it")


def drawn(seed, number, shift=0.0):
    chance = random.Random(seed)
    return [chance.lognormvariate(shift, 0.8) for _ in range(number)]


@pytest.mark.parametrize(("hits", "number"), [(0, 1), (0, 12), (1, 3), (8, 10), (12, 12), (450, 5_000)])
def test_the_interval_of_a_rate_is_wilsons(hits, number):
    found = statistics.rate(hits, number)
    theirs = stats.binomtest(hits, number).proportion_ci(method="wilson")
    assert (found.value, found.low, found.high) == pytest.approx((hits / number, theirs.low, theirs.high))


@pytest.mark.parametrize("number", [6, 7, 8, 12, 25, 100, 333, 999, 1_000])
def test_the_interval_of_a_median_is_that_of_the_sign_test(number):
    values = drawn(number, number)
    found = statistics.median(values)
    # SciPy's is the quantile test's, of which a side may leave out 2.5 % at most, as ours.
    covered = stats.binom(number, 0.5)
    ordered = sorted(values)
    low = ordered.index(found.low)
    assert covered.cdf(low) <= 0.025 < covered.cdf(low + 1)
    assert ordered.index(found.high) == number - 1 - low
    assert found.value == pytest.approx(np.median(values))


def test_the_median_of_many_has_the_ranks_that_the_normal_curve_gives():
    for number in (1_001, 2_500, 9_999):
        found = statistics.median(range(number))
        assert abs(found.low + 1 - stats.binom(number, 0.5).ppf(0.025)) <= 1
        assert found.low + found.high == number - 1


def test_below_six_values_the_interval_is_their_range():
    assert statistics.median([3, 1, 9, 4, 5]) == statistics.Interval(4, 1, 9)


@pytest.mark.parametrize("number", [6, 7, 12, 40, 500])
def test_the_interval_of_a_mean_is_students(number):
    values = drawn(number, number)
    found = statistics.mean(values)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), rel=1e-3)


def test_a_mean_of_what_cannot_be_negative_is_not_below_0():
    assert statistics.mean([0, 0, 0, 0, 0, 0, 1]).low == 0
    assert statistics.mean([0, 0, 0, 0, 0, 0, -1]).low < -0.1


def test_one_value_has_no_more_than_itself():
    assert statistics.mean([7.0]) == statistics.Interval(7, 7, 7)


def test_the_difference_of_two_rates_has_newcombes_interval():
    # Newcombe 1998, table II, method 10: 56/70 - 48/80.
    first, second = statistics.rate(56, 70), statistics.rate(48, 80)
    found = statistics.difference([(first, 70, second, 80)])
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_the_difference_of_two_means_is_close_to_welchs():
    first, second = drawn(1, 60), drawn(2, 90, 0.4)
    theirs = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    found = statistics.difference([(statistics.mean(first), 60, statistics.mean(second), 90)])
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_the_difference_of_two_medians_is_close_to_the_bootstraps():
    first, second = drawn(3, 120), drawn(4, 150, 0.5)
    theirs = stats.bootstrap(
        (first, second),
        lambda one, other, axis: np.median(one, axis=axis) - np.median(other, axis=axis),
        method="percentile",
        n_resamples=4_000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    found = statistics.difference([(statistics.median(first), 120, statistics.median(second), 150)])
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.15)


@pytest.mark.slow
@pytest.mark.parametrize(("summed_up", "least"), [(statistics.median, 0.94), (statistics.mean, 0.93)])
@pytest.mark.parametrize("number", [8, 30])
def test_the_interval_of_a_difference_holds_the_truth_as_often_as_it_says(summed_up, least, number):
    chance, held = random.Random(11), 0
    for _ in range(1_000):
        one, other = ([chance.lognormvariate(0, 0.5) for _ in range(number)] for _ in range(2))
        found = statistics.difference([(summed_up(one), number, summed_up(other), number)])
        held += found.low <= 0 <= found.high
    assert held / 1_000 >= least


# -- tests


def ranked(first, second):
    return statistics.aligned_ranks([(first, second)])


@pytest.mark.parametrize(("n", "m"), [(3, 4), (5, 9), (10, 10)])
def test_few_values_are_counted_as_mann_and_whitney_do(n, m):
    first, second = drawn(n, n), drawn(100 + m, m, 0.7)
    found = statistics.permutation(ranked(first, second))
    assert found == pytest.approx(stats.mannwhitneyu(first, second, method="exact").pvalue)


@pytest.mark.parametrize(("n", "m"), [(30, 30), (15, 200), (400, 350)])
def test_many_values_have_the_normal_curve_of_mann_and_whitney(n, m):
    first, second = drawn(n, n), drawn(100 + m, m, 0.3)
    found = statistics.permutation(ranked(first, second))
    assert found == pytest.approx(stats.mannwhitneyu(first, second, method="asymptotic").pvalue, rel=1e-6)


def test_ties_are_counted_as_a_permutation_test_does():
    first, second = [0, 0, 1, 0, 2, 0, 0, 1], [1, 2, 0, 2, 1, 2, 3]
    ranks = stats.rankdata(first + second)
    theirs = stats.permutation_test(
        (ranks[: len(first)], ranks[len(first) :]),
        lambda one, _, axis: np.sum(one, axis=axis),
        n_resamples=np.inf,
        vectorized=True,
    ).pvalue
    assert statistics.permutation(ranked(first, second)) == pytest.approx(theirs)


def zeros_and_ones(hits, number):
    return [1] * hits + [0] * (number - hits)


@pytest.mark.parametrize(
    "table", [((3, 30), (12, 30)), ((5, 5_000), (20, 5_000)), ((1, 4), (4, 4)), ((9, 20), (90, 4_000))]
)
def test_of_two_values_the_chance_is_twice_the_hypergeometric_tail(table):
    (hits, number), (others, other_number) = table
    theirs = stats.hypergeom(number + other_number, hits + others, number)
    tail = min(theirs.cdf(hits), theirs.sf(hits - 1))
    found = statistics.permutation([(zeros_and_ones(hits, number), zeros_and_ones(others, other_number))])
    assert found == pytest.approx(min(1, 2 * tail), rel=1e-6)


def test_rates_of_many_have_the_normal_curve():
    found = statistics.permutation([(zeros_and_ones(900, 1_000), zeros_and_ones(850, 1_000))])
    theirs = stats.chi2_contingency([[900, 100], [850, 150]], correction=True).pvalue
    assert found == pytest.approx(theirs, rel=0.01)


def test_values_change_sides_within_their_stratum_alone():
    strata = [([1, 0, 1], [0, 0]), ([5, 3], [3, 4, 4])]
    totals = [
        sum(one) + sum(other)
        for one in combinations([1, 0, 1, 0, 0], 3)
        for other in combinations([5, 3, 3, 4, 4], 2)
    ]
    observed = 2 + 8
    above = sum(total >= observed for total in totals) / len(totals)
    below = sum(total <= observed for total in totals) / len(totals)
    assert statistics.permutation(strata) == pytest.approx(min(1, 2 * min(above, below)))


def test_strata_are_put_together_by_the_normal_curve_too():
    """Of rates that is the test of Mantel and Haenszel, with its continuity correction."""
    tables = [((80, 100), (60, 100)), ((150, 400), (120, 400))]
    expected = variance = observed = 0.0
    for (hits, number), (others, other_number) in tables:
        law = stats.hypergeom(number + other_number, hits + others, number)
        observed, expected, variance = observed + hits, expected + law.mean(), variance + law.var()
    theirs = stats.chi2(1).sf((abs(observed - expected) - 0.5) ** 2 / variance)
    found = statistics.permutation(
        [(zeros_and_ones(*mine), zeros_and_ones(*theirs)) for mine, theirs in tables]
    )
    assert found == pytest.approx(theirs)


def test_what_never_varies_tells_nothing():
    assert statistics.permutation([([2] * 9, [2] * 7)]) == 1
    assert statistics.permutation([]) == 1


def test_rare_values_on_a_small_side_are_counted_though_they_are_many():
    first, second = [0] * 8 + [3, 4], [0] * 900 + [1, 2, 3, 4] * 10
    found = statistics.permutation(ranked(first, second))
    law = stats.hypergeom(950, 42, 10)
    assert found == pytest.approx(2 * law.sf(1), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m"), [(6, 6), (10, 30), (40, 60)])
def test_where_nothing_differs_a_p_below_five_percent_is_as_rare(n, m):
    chance, below = random.Random(5), 0
    for _ in range(1_000):
        strata = [
            tuple([size * chance.lognormvariate(0, 1) for _ in range(number)] for number in (n, m))
            for size in (1, 20)
        ]
        below += statistics.permutation(statistics.aligned_ranks(strata)) < 0.05
    assert below / 1_000 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 1_000)


def test_what_strata_have_in_common_is_taken_out():
    (first, second), (large, larger) = statistics.aligned_ranks([([1, 2], [4]), ([100, 200], [400])])
    assert (first, second) == (large, larger)


def test_holms_correction():
    chances = [0.01, 0.04, 0.03, 0.005]
    assert statistics.holm(chances) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([]) == []
    assert statistics.holm([0.9, 0.8]) == [1, 1]
