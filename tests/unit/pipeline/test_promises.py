"""The judge of the kills: it sees losses, repeats and broken order."""

from __future__ import annotations

from tests.kills.promises import Told, at_least_once, once, same_end

JOURNAL = {1: 2, 2: 1}
ALL = [Told(1, 1, "a", "x"), Told(1, 2, "b", "x"), Told(2, 1, "a", "y")]


def test_all_changes_once_and_in_order_keep_every_promise():
    assert [promise(JOURNAL, ALL).broken for promise in (once, at_least_once)] == [(), ()]
    assert same_end(JOURNAL, ALL[1:]).broken == ()


def test_a_lost_change_breaks_every_promise():
    assert "the first is 2" in once(JOURNAL, [ALL[0], ALL[2]]).broken[0]
    assert at_least_once(JOURNAL, ALL[:2]).broken != ()
    assert same_end(JOURNAL, ALL[:2]).broken != ()


def test_a_repeat_breaks_once_alone():
    told = [*ALL, ALL[2]]

    assert once(JOURNAL, told).broken != ()
    assert (at_least_once(JOURNAL, told).broken, at_least_once(JOURNAL, told).repeats) == ((), 1)


def test_changes_in_another_order_break_once_within_a_channel():
    assert once(JOURNAL, [ALL[1], ALL[0], ALL[2]]).broken != ()


def test_sequences_against_the_order_of_writing_break_it():
    assert at_least_once(JOURNAL, [Told(1, 1, "b"), Told(1, 2, "a"), ALL[2]]).broken != ()


def test_a_change_that_nobody_wrote_breaks_it():
    assert at_least_once(JOURNAL, [*ALL, Told(3, 1, "c")]).broken != ()
    assert same_end(JOURNAL, [*ALL[1:], Told(3, 1, "c")]).broken != ()
