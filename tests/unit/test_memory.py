"""Buffers are used again, and never by two at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from storage.memory import Buffers


def test_what_is_given_back_is_taken_again():
    buffers = Buffers(100)
    first = buffers.take(10)
    second = buffers.take(100)
    assert (len(first), len(second)) == (10, 100)
    assert first.obj is not second.obj
    buffers.give(first)
    assert buffers.take(60).obj is first.obj
    third = buffers.take(1)
    assert third.obj is not first.obj
    assert third.obj is not second.obj


def test_no_buffer_is_larger_than_agreed():
    with pytest.raises(ValueError, match="hold 8 bytes, 9"):
        Buffers(8).take(9)


def test_threads_never_hold_the_same_buffer():
    buffers = Buffers(8)

    def work(number):
        for _ in range(300):
            mine = buffers.take(8)
            mine[:] = number.to_bytes(8)
            buffers.take(0)  # somebody else's turn, perhaps
            assert bytes(mine) == number.to_bytes(8)
            buffers.give(mine)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, number) for number in range(8)]:
            done.result()
