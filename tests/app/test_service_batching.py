from __future__ import annotations

import asyncio
import threading

import pytest

pytest.importorskip("fastapi")

from metarec.app.service.scoring.batching import Batcher  # noqa: E402
from metarec.app.service.scoring.request_cost import pieces


def run(asks, *, in_thread, most=64):
    """Ask all at once; gives answers and the sizes of the batches."""
    sizes, where = [], set()

    def answer_all(batch):
        where.add(threading.current_thread().name.split("_")[0])
        if "bad" in batch:
            raise ValueError("bad ask")
        return [f"answer to {ask}" for ask in batch]

    async def main():
        batcher = Batcher(
            answer_all, in_thread=lambda: in_thread, max_batch=most, seen=sizes.append
        )
        found = await asyncio.gather(*(batcher.answer(ask) for ask in asks), return_exceptions=True)
        batcher.close()
        return found

    return asyncio.run(main()), sizes, where


@pytest.mark.parametrize("in_thread", [False, True])
def test_what_is_asked_together_is_answered_together(in_thread):
    found, sizes, where = run(["a", "b", "c"], in_thread=in_thread)
    assert found == ["answer to a", "answer to b", "answer to c"]
    assert sizes == [3]
    assert where == {"metarec-scorer" if in_thread else "MainThread"}


@pytest.mark.parametrize("in_thread", [False, True])
def test_a_batch_has_its_limit_and_the_rest_follows(in_thread):
    found, sizes, _ = run([str(n) for n in range(10)], in_thread=in_thread, most=4)
    assert found == [f"answer to {n}" for n in range(10)]
    assert sizes == [4, 4, 2]


@pytest.mark.parametrize("in_thread", [False, True])
def test_a_bad_ask_spoils_only_itself(in_thread):
    found, _, _ = run(["a", "bad", "c"], in_thread=in_thread)
    assert found[0] == "answer to a"
    assert found[2] == "answer to c"
    assert isinstance(found[1], ValueError)


def test_who_is_heard_in_the_next_turn_is_answered_with_those_before():
    """Answered together, users ask again one turn after the other; a turn that brings nobody ends
    the wait.
    """
    sizes = []

    async def late(batcher, turns):
        for _ in range(turns):
            await asyncio.sleep(0)
        return await batcher.answer(turns)

    async def main():
        batcher = Batcher(list, in_thread=lambda: False, seen=sizes.append)
        await asyncio.gather(*(late(batcher, turns) for turns in (0, 1, 2, 9)))
        batcher.close()

    asyncio.run(main())
    assert sizes == [3, 1]


def test_asks_that_come_while_a_thread_works_wait_for_the_next_batch():
    sizes, working, release = [], threading.Event(), threading.Event()

    def answer_all(batch):
        if "first" in batch:
            working.set()
            release.wait(120)
        return batch

    async def main():
        batcher = Batcher(answer_all, in_thread=lambda: True, seen=sizes.append)
        first = asyncio.create_task(batcher.answer("first"))
        while not working.is_set():
            await asyncio.sleep(0.01)
        others = [asyncio.create_task(batcher.answer(str(n))) for n in range(5)]
        await asyncio.sleep(0.05)
        release.set()
        found = await asyncio.gather(first, *others)
        batcher.close()
        return found

    assert asyncio.run(main()) == ["first", "0", "1", "2", "3", "4"]
    assert sizes == [1, 5]


def test_someone_who_went_away_is_not_missed():
    async def main():
        batcher = Batcher(lambda batch: batch, in_thread=lambda: False)
        gone, stays = (
            asyncio.create_task(batcher.answer("gone")),
            asyncio.create_task(batcher.answer("stays")),
        )
        await asyncio.sleep(0)
        gone.cancel()
        return await asyncio.wait_for(stays, 120)

    assert asyncio.run(main()) == "stays"


def test_a_batch_is_cut_so_that_others_need_not_wait_for_the_whole():
    assert pieces([1.0, 1.0, 1.0, 1.0, 9.0, 1.0]) == [
        slice(0, 3),
        slice(3, 4),
        slice(4, 5),
        slice(5, 6),
    ]
    assert pieces([1.0]) == [slice(0, 1)]
