"""Every input lands in one batch of its own padded length, within the budget, and its neighbours change nothing."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitrep.model.batching import STEP, batches, padded_length

inputs = st.lists(st.lists(st.integers(1, 99), max_size=40), max_size=30)


@given(inputs, st.integers(1, 200), st.integers(0, 3))
def test_every_input_once_unchanged_and_within_the_budget(sequences, budget, pad_id):
    seen = []
    for batch in batches(sequences, budget=budget, pad_id=pad_id):
        rows, length = batch.input_ids.shape
        assert batch.attention_mask.shape == (rows, length)
        assert batch.input_ids.dtype == batch.attention_mask.dtype == np.int64
        assert rows * length <= budget or rows == 1
        for row, source in enumerate(batch.rows):
            tokens = sequences[source]
            assert length == padded_length(len(tokens))  # so it depends on no neighbour
            assert batch.input_ids[row, : len(tokens)].tolist() == tokens
            assert (batch.input_ids[row, len(tokens) :] == pad_id).all()
            assert batch.attention_mask[row].tolist() == [1] * len(tokens) + [0] * (length - len(tokens))
        seen += batch.rows.tolist()
    assert sorted(seen) == list(range(len(sequences)))


@given(inputs, st.integers(1, 200))
def test_longest_first_and_no_batch_that_could_join_the_one_before(sequences, budget):
    shapes = [batch.input_ids.shape for batch in batches(sequences, budget=budget, pad_id=0)]
    lengths = [length for _, length in shapes]
    assert lengths == sorted(lengths, reverse=True)
    for (rows, length), (_, following) in pairwise(shapes):
        assert following < length or (rows + 1) * length > budget


@given(st.integers(0, 10_000))
def test_padded_length_is_the_next_step(tokens):
    length = padded_length(tokens)
    assert length % STEP == 0
    assert max(tokens, 1) <= length < max(tokens, 1) + STEP


def test_nothing_gives_no_batch_and_no_budget_is_refused():
    assert list(batches([], budget=8, pad_id=0)) == []
    with pytest.raises(ValueError, match="budget is 0"):
        list(batches([[1]], budget=0, pad_id=0))
