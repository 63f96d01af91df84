"""Buckets on disk: all of a key together, in the order it was kept, each bucket small enough."""

from __future__ import annotations

from airflow_tablestore.pipeline.fold.buckets import Buckets, kept


def test_all_of_a_key_come_together_and_in_order(tmp_path):
    buckets = Buckets(tmp_path, 3)
    for turn in range(5):
        for id_ in range(20):
            buckets.keep((id_,), turn)

    found = [list(kept(path)) for path in buckets]

    for id_ in range(20):
        (turns,) = [[turn for key, turn in one if key == (id_,)] for one in found if ((id_,), 0) in one]
        assert turns == [0, 1, 2, 3, 4]
    assert list(tmp_path.iterdir()) == []


def test_a_bucket_that_is_too_large_is_divided_again(tmp_path):
    buckets = Buckets(tmp_path, 1, most_bytes=2000)
    for id_ in range(500):
        buckets.keep((id_, b"k"), "x" * 20)

    sizes, keys = [], set()
    for path in buckets:
        sizes.append(path.stat().st_size)
        keys |= {key for key, _ in kept(path)}

    assert max(sizes) <= 2000
    assert len(keys) == 500


def test_a_bucket_of_one_key_stays_as_large_as_it_is(tmp_path):
    buckets = Buckets(tmp_path, 1, most_bytes=100)
    for turn in range(50):
        buckets.keep((1,), turn)

    (turns,) = [[turn for _, turn in kept(path)] for path in buckets]

    assert turns == list(range(50))
