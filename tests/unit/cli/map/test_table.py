"""The packed map from digests to numbers."""

from hypothesis import given, strategies as st

from holdfast.cli.map.table import KeyTable

# Few distinct bytes: many digests share a bucket, and parts of one look like another.
digests = st.lists(st.sampled_from([0, 1, 255]), min_size=16, max_size=16).map(bytes)


@given(st.lists(st.tuples(digests, st.integers(0, 2**48 - 1))))
def test_it_does_what_a_dict_does(entries):
    """The last number put in is the one that is kept, for each digest."""
    table, expected = KeyTable(), {}

    for digest, number in entries:
        table.put(digest, number)
        expected[digest] = number

    assert len(table) == len(expected)
    assert {digest: table.get(digest) for digest in expected} == expected


@given(st.sets(digests, min_size=1), digests)
def test_what_was_never_put_in_is_not_found(put_in, asked):
    """A match across two entries of a bucket counts for nothing."""
    table = KeyTable()
    for digest in put_in:
        table.put(digest, 0)

    assert (table.get(asked) is None) == (asked not in put_in)
