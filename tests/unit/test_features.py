"""The six features, against a plain loop that follows the paper's words."""

import math
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import lossan.features
from lossan.errors import OptionError
from lossan.features import FEATURES, compute_features, features_of


def by_the_paper(sequence, early=None):
    """F1 to F6 of one sequence, word by word from section 2, "Feature extraction"."""
    losses = [float(loss) for loss in sequence if not math.isnan(loss)]
    n = len(losses)
    if n < 2:
        return [math.nan] * 6
    p = min(early or max(1, n // 2), n)

    def mean(terms):
        return math.fsum(terms) / len(terms)

    decreases = [losses[q - 1] - losses[q] for q in range(1, n)]  # between term Q and Q + 1
    q = decreases.index(max(decreases)) + 1
    f4, f5 = mean(losses[:q]), mean(losses[-(n - q) :])
    return [mean(losses), mean(losses[:p]), q, f4, f5, f4 - f5]


def assert_agrees(loss, early=None):
    values = compute_features(loss, early_epochs=early).values
    expected = np.array([by_the_paper(sequence, early) for sequence in loss]).T
    np.testing.assert_array_equal(values[2], expected[2])
    scale = np.nanmax(np.abs(loss), initial=0.0, axis=1) if loss.size else 0.0
    # F6 is a difference: its error is relative to the losses, not to itself
    np.testing.assert_allclose(values[:5], expected[:5], rtol=1e-12, atol=0)
    np.testing.assert_array_equal(np.isnan(values[5]), np.isnan(expected[5]))
    assert (np.nan_to_num(np.abs(values[5] - expected[5])) <= 1e-12 * scale).all()


losses = st.floats(0, 1e4, width=32, allow_subnormal=False) | st.sampled_from([0.0, 0.5, 1.0, 2.0])
shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=12)


@given(hnp.arrays(np.float32, shapes, elements=losses))
def test_whole_sequences(loss):
    assert_agrees(loss)


@given(hnp.arrays(np.float32, shapes, elements=losses | st.just(float("nan"))))
def test_sequences_with_gaps(loss):
    assert_agrees(loss)


@given(hnp.arrays(np.float32, shapes, elements=losses | st.just(float("nan"))), st.data())
def test_any_number_of_early_epochs(loss, data):
    assert_agrees(loss, data.draw(st.integers(1, loss.shape[1] - 1), label="P"))


@given(hnp.arrays(np.float32, shapes, elements=losses | st.just(float("nan"))), st.data())
@settings(max_examples=50)
def test_blocks_threads_and_memory_order_do_not_matter(loss, data):
    loss = np.tile(loss, (100, 1))
    whole = compute_features(loss).values
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lossan.features, "_CACHE_BYTES", 1)  # blocks of 256 samples
        patch.setattr("os.cpu_count", lambda: data.draw(st.integers(1, 5), label="cores"))
        np.testing.assert_array_equal(compute_features(loss).values, whole)
        np.testing.assert_array_equal(compute_features(np.asfortranarray(loss)).values, whole)


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        # the largest decrease, 3, is from the 2nd to the 3rd of 4; P = 2
        ([5, 4, 1, 0], [2.5, 4.5, 2, 4.5, 0.5, 4.0]),
        # a rising sequence decreases least at its flattest step, the 3rd; F6 is negative
        ([0, 2, 4, 5], [2.75, 1.0, 3, 2.0, 5.0, -3.0]),
        # decreases of 1 after the 1st and the 3rd: the first of equals
        ([3, 2, 2, 1], [2.0, 2.5, 1, 3.0, 5 / 3, 4 / 3]),
        # nothing changes: all decreases are equal
        ([2, 2, 2], [2.0, 2.0, 1, 2.0, 2.0, 0.0]),
        # the drop at the very end
        ([1, 1, 1, 1, 0], [0.8, 1.0, 4, 1.0, 0.0, 1.0]),
        # the shortest: N = 2, P = 1, Q = 1
        ([3, 1], [2.0, 3.0, 1, 3.0, 1.0, 2.0]),
        # gaps: 5, 4, 1 were observed, N = 3, P = 1, Q = 2
        ([np.nan, 5, np.nan, 4, 1, np.nan], [10 / 3, 5.0, 2, 4.5, 1.0, 3.5]),
    ],
)
def test_worked_by_hand(sequence, expected):
    values = compute_features(np.array([sequence], np.float32)).values[:, 0]
    np.testing.assert_allclose(values, expected, rtol=1e-15)


def test_as_many_early_epochs_as_the_paper():
    sequence = np.array([[0.9, 0.7, 0.6, 0.2, 0.2, 0.1, 0.1, 0.1]], np.float32)
    four = compute_features(sequence, early_epochs=4)
    np.testing.assert_array_equal(four.values, compute_features(sequence).values)
    assert four["f2_early_mean"][0] == pytest.approx(0.6)


def test_more_early_epochs_than_observed_are_capped():
    nan = np.nan
    features = compute_features(np.array([[nan, 4, nan, 2, nan]], np.float32), early_epochs=4)
    assert features["f2_early_mean"].tolist() == [3.0]


def test_default_early_epochs_follow_from_what_was_observed():
    nan = np.nan
    loss = np.array([[8, 4, 2, 2, nan, nan, nan, nan], [8, 4, 2, 2, 1, 1, 1, 1]], np.float32)
    assert compute_features(loss)["f2_early_mean"].tolist() == [6.0, 4.0]


@pytest.mark.parametrize("n_epochs", [254, 255, 256, 257, 300])
def test_positions_beyond_a_byte(n_epochs):
    loss = np.ones((2, n_epochs), np.float32)
    loss[0, -1] = 0
    loss[1, n_epochs // 2 :] = 0
    positions = compute_features(loss)["f3_drop_position"]
    assert positions.tolist() == [n_epochs - 1, n_epochs // 2]


def test_small_losses_after_large_ones_keep_their_digits():
    loss = np.array([[1e6, 1e-6, 1e-6, 1e-6]], np.float32)
    assert compute_features(loss)["f5_mean_after_drop"][0] == float(np.float32(1e-6))


@pytest.mark.parametrize("observed", [0, 1])
def test_fewer_than_two_observations_have_no_features(observed):
    loss = np.full((1, 4), np.nan, np.float32)
    loss[0, :observed] = 1.0
    features = compute_features(loss)
    assert np.isnan(features.values).all()
    assert features.scorable.tolist() == [False]


def test_one_epoch_and_no_samples():
    assert np.isnan(compute_features(np.ones((3, 1), np.float32)).values).all()
    assert compute_features(np.ones((0, 4), np.float32)).values.shape == (6, 0)


@pytest.mark.parametrize("early", [0, -1, 4, 100])
def test_early_epochs_out_of_range(early):
    with pytest.raises(OptionError, match=rf"early epochs is {early}; allowed: 1 to 3"):
        compute_features(np.ones((2, 4), np.float32), early_epochs=early)


def test_features_by_name():
    features = compute_features(np.array([[4, 3, 1, 0]], np.float32))
    assert [features[name][0] for name in FEATURES] == [2.0, 3.5, 2.0, 3.5, 0.5, 3.0]


def test_input_is_left_as_it_was():
    loss = np.array([[4, np.nan, 1, 0], [1, 2, 3, 4]], np.float32)
    before = loss.tobytes()
    compute_features(loss)
    assert loss.tobytes() == before


@given(hnp.arrays(np.float32, shapes, elements=losses | st.just(float("nan"))), st.data())
def test_made_when_asked_for_they_are_the_same(loss, data):
    """Twelve epochs or more are held at once; of fewer each part is made for who asks."""
    early = data.draw(st.none() | st.integers(1, loss.shape[1] - 1), label="P")
    whole, asked = (f(loss, early_epochs=early) for f in (compute_features, features_of))
    end = st.integers(0, len(loss))
    parts = [slice(*sorted(data.draw(st.tuples(end, end), label="part"))) for _ in range(3)]
    rows = np.array(data.draw(st.lists(st.integers(0, len(loss) - 1)), label="rows"), int)
    for _ in range(2):  # and once all were asked for
        np.testing.assert_array_equal(asked.scorable, whole.scorable)
        for part in parts:
            np.testing.assert_array_equal(asked.part(part), whole.values[:, part])
        np.testing.assert_array_equal(asked.take(rows), whole.values[:, rows])
        np.testing.assert_array_equal(asked["f4_mean_before_drop"], whole["f4_mean_before_drop"])


def test_each_thread_has_parts_of_its_own():
    loss = np.random.default_rng(0).random((4000, 8), np.float32)
    whole, asked = compute_features(loss).values, features_of(loss)
    both = Barrier(2)

    def one(start):
        part = asked.part(slice(start, start + 2000))
        both.wait(timeout=30)  # the other thread has made its own by now
        return np.array_equal(part, whole[:, start : start + 2000])

    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(one, (0, 2000)))


def test_early_epochs_are_refused_before_features_are_asked_for():
    with pytest.raises(OptionError, match="early epochs is 4; allowed: 1 to 3"):
        features_of(np.ones((2, 4), np.float32), early_epochs=4)


def test_losses_whose_sum_no_float32_holds():
    loss = np.full((5, 4), 3e38)
    assert_agrees(loss * np.arange(1, 5) / 4)
