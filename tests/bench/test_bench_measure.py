"""What a process took is its own, whatever the one that started it holds."""

from __future__ import annotations

import pytest

from tests.bench.measure import python, run


def test_the_peak_is_not_that_of_the_starter(tmp_path):
    held = bytearray(b"x") * (400 << 20)

    small = run(python("-c", "print('done')"), {}, tmp_path)
    large = run(python("-c", "b'x' * (200 << 20)"), {}, tmp_path)

    assert len(held) == 400 << 20
    assert small.output == "done\n"
    assert small.peak_mb < 100
    assert 200 < large.peak_mb < 300


def test_a_failure_is_told_with_its_words(tmp_path):
    with pytest.raises(RuntimeError, match="no such thing"):
        run(python("-c", "raise SystemExit('no such thing')"), {}, tmp_path)
