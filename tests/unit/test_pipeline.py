"""Threads: tasks begun in order, the first error ends all; steps in the order of their numbers; buffers lent."""

import contextlib
import itertools
import random
import threading
import time

import pytest

from storage.lending import Pool
from storage.pipeline import Strand, in_order, run_all, thread_count


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_every_task_is_done_once(threads):
    done = []
    run_all(done.append, range(100), threads)
    assert sorted(done) == list(range(100))
    run_all(done.append, [], threads)


def test_one_thread_keeps_the_order():
    done = []
    run_all(done.append, range(100), 1)
    assert done == list(range(100))


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_the_first_error_ends_it_with_no_thread_left(threads, kind):
    begun, ended = [], []

    def work(task):
        begun.append(task)
        try:
            if task == 5:
                raise kind("five")
            time.sleep(0.002)
        finally:
            ended.append(task)

    before = threading.active_count()
    with pytest.raises(kind, match="five"):
        run_all(work, itertools.count(), threads)
    assert threading.active_count() == before
    assert sorted(begun) == sorted(ended)
    assert len(begun) > 5  # of endless tasks, so the rest was never begun


def test_of_several_errors_the_earliest_task_counts():
    barrier = threading.Barrier(3)

    def work(task):
        barrier.wait(10)
        time.sleep(0.02 * (2 - task))  # the last fails first
        raise ValueError(task)

    for _ in range(3):
        with pytest.raises(ValueError, match="0"):
            run_all(work, range(3), 3)


def test_an_error_in_making_tasks_ends_it_too():
    def tasks():
        yield 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_all(lambda task: None, tasks(), 3)


def test_an_error_wakes_those_who_wait_for_buffers():
    pool = Pool(bytearray, 2)

    def tasks():
        while (loan := pool.lend()) is not None:
            yield loan

    def work(loan):
        time.sleep(0.01)  # the buffer never comes back
        if pool.made == 2:
            raise ValueError("lost")

    with pytest.raises(ValueError, match="lost"):
        run_all(work, tasks(), 4, pool.close)


def test_an_interrupted_caller_leaves_no_thread(monkeypatch):
    """As when Ctrl-C comes while the main thread waits for the others."""
    begun = threading.Event()
    before = threading.active_count()

    def interrupted(self, timeout=None):
        begun.wait(10)
        raise KeyboardInterrupt

    monkeypatch.setattr("concurrent.futures.Future.result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_all(lambda task: begun.set(), itertools.count(), 3)
    assert threading.active_count() == before


def test_answers_in_order_and_none_at_work_after_closing():
    assert list(in_order(lambda n: n * n, range(50), 3)) == [n * n for n in range(50)]
    running = threading.active_count()
    with contextlib.closing(in_order(lambda n: n, itertools.count(), 3)) as answers:
        assert next(answers) == 0
    assert threading.active_count() == running


@pytest.mark.parametrize("seed", range(5))
def test_a_strand_runs_steps_in_the_order_of_their_numbers_one_at_a_time(seed):
    strand, seen, inside = Strand(), [], threading.Lock()

    def step(number):
        assert inside.acquire(blocking=False)
        seen.append(number)
        inside.release()

    order = random.Random(seed).sample(range(200), 200)
    run_all(lambda number: strand.bring(number, lambda: step(number)), order, 1 + 3 * (seed % 2))
    assert seen == list(range(200))


def test_a_strand_that_failed_runs_nothing_more():
    strand, seen = Strand(), []
    strand.bring(1, lambda: seen.append(1))
    with pytest.raises(ZeroDivisionError):
        strand.bring(0, lambda: 1 / 0)
    strand.bring(2, lambda: seen.append(2))
    assert seen == []


def test_a_pool_lends_what_came_back_and_never_more_than_its_limit():
    pool = Pool(lambda: bytearray(8), 3)
    loans = [pool.lend() for _ in range(3)]
    assert (pool.made, pool.lent) == (3, 3)
    waiting = []
    waiter = threading.Thread(target=lambda: waiting.append(pool.lend()))
    waiter.start()
    waiter.join(0.05)
    assert waiter.is_alive()
    loans[1].hold()
    loans[1].release()
    waiter.join(0.05)
    assert waiter.is_alive()  # one holder is left
    loans[1].release()
    waiter.join(10)
    assert waiting[0].item is loans[1].item
    assert pool.made == 3


def test_a_closed_pool_lends_nothing():
    pool = Pool(bytearray, 1)
    pool.lend()
    pool.close()
    assert pool.lend() is None


def test_as_many_threads_as_asked_for_at_least_one():
    assert thread_count(0) == 1
    assert thread_count(5) == 5
    assert thread_count(None) >= 1
