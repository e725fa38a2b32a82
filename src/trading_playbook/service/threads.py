"""Work that blocks, done beside the event loop so that it never keeps /health waiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import TypeVar

from trading_playbook.core.errors import RetryLater

Result = TypeVar("Result")

BUSY_RETRY_SECONDS = 10.0


class Workshop:
    """Runs blocking work in threads of its own, so many at once; more are refused at once, not kept waiting.

    The threads are daemons: a process that is told to go does not wait for a call that hangs.
    """

    def __init__(self, at_once: int) -> None:
        self._free = threading.BoundedSemaphore(at_once)

    async def do(self, work: Callable[[], Result], seconds: float) -> Result:
        """The result of the work. Raises RetryLater where none is free, or it has not ended within so many seconds.

        Work that has not ended goes on, and takes its place until it has.
        """
        if not self._free.acquire(blocking=False):
            raise RetryLater(
                "this instance does as much as it takes at once: call again", retry_after_seconds=BUSY_RETRY_SECONDS
            )
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()

        def settle(result: Result | None, error: BaseException | None) -> None:
            if done.done():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type] # set where there is no error

        def go() -> None:
            result: Result | None = None
            failed: BaseException | None = None
            try:
                result = work()
            except BaseException as error:
                failed = error
            finally:
                self._free.release()
            with suppress(RuntimeError):  # the loop has ended, nobody waits any more
                loop.call_soon_threadsafe(settle, result, failed)

        context = copy_context()  # the trace of the call, for the lines that its work logs
        try:
            threading.Thread(target=context.run, args=(go,), daemon=True, name="work").start()
        except RuntimeError:  # the system gives no more threads
            self._free.release()
            raise RetryLater("this instance is out of threads: call again", retry_after_seconds=5) from None
        try:
            await asyncio.wait({done}, timeout=seconds)
        finally:
            ended = done.done()
            done.cancel()
        if ended:
            return done.result()
        raise RetryLater(
            f"the work did not end within {seconds:g} seconds; what it writes is whole, the same call completes it",
            retry_after_seconds=BUSY_RETRY_SECONDS,
        )
