"""torch on one thread while a tensor is computed, and as many as before afterwards."""

from __future__ import annotations

import threading

import pytest
import torch

from merging.mergekit.threads import one_thread


@pytest.fixture
def three():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_one_within_and_as_many_as_before_after_it(three):
    with one_thread(torch):
        assert torch.get_num_threads() == 1
        with one_thread(torch):
            assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


def test_an_error_puts_it_back_too(three):
    with pytest.raises(KeyError), one_thread(torch):
        raise KeyError
    assert torch.get_num_threads() == 3


def test_threads_that_come_and_go_meanwhile_have_one_each_and_those_to_come_have_as_many_as_before(three):
    seen, inside, leave = [], threading.Barrier(3), threading.Barrier(3)

    def work():
        with one_thread(torch):
            inside.wait()
            seen.append(torch.get_num_threads())
            leave.wait()
        seen.append(torch.get_num_threads())

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    inside.wait()
    leave.wait()
    for worker in workers:
        worker.join()
    late = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    late.start()
    late.join()
    assert sorted(seen) == [1, 1, 3, 3, 3]
    assert torch.get_num_threads() == 3


def test_a_sum_is_the_same_however_many_threads_there_are(three):
    values = torch.randn(1 << 18, generator=torch.Generator().manual_seed(4)) * 10 ** torch.linspace(-4, 4, 1 << 18)
    sums = set()
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        with one_thread(torch):
            sums.add(values.sum().item())
    assert len(sums) == 1
