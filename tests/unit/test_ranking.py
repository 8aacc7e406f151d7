"""The first of a ranking, found without ranking all, are those of the whole ranking."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossan import findings
from lossan.findings import first_ranked, ranking

SCORES = st.one_of(st.floats(-2, 2), st.sampled_from([0.0, 1.0, np.nan]))


@given(
    st.lists(SCORES, min_size=1, max_size=80), st.integers(0, 30), st.sampled_from([3, 10, 1000])
)
def test_the_first_are_those_of_the_whole_ranking(values, count, some):
    score = np.array(values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(findings, "_SOME", some)
        assert first_ranked(score, count).tolist() == ranking(score)[:count].tolist()
