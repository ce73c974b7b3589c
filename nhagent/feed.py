"""Messages on their way from the thread that receives them to the loop of an asyncio program.

The thread waits until the loop is done with a message, which it is when it asks for the next.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from nhagent.interruption import wait, waker

if TYPE_CHECKING:
    from nhagent.channels.messages import Message
    from nhagent.interruption import Waker


class Feed:
    """The way of messages into a loop, one at a time.

    Args:
        loop: where they are wanted.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: asyncio.Queue[Message] = asyncio.Queue()
        self._woken: Waker | None = None
        self._is_taken = False

    def hand(self, message: Message) -> None:
        """Hand over a message, and wait until it is done. In the thread that receives.

        Raises:
            Interrupted: this thread was told to stop: the message is not done.
        """
        self._woken, self._is_taken = waker(), False
        with suppress(RuntimeError):  # the loop was closed: this thread is about to be told to stop
            self._loop.call_soon_threadsafe(self._queue.put_nowait, message)
        wait(self._woken, lambda: self._is_taken, None)

    async def next(self, ended: asyncio.Future[Any]) -> Message:
        """Wait for the next message; the one before is done. In the loop.

        Args:
            ended: is done when no more messages can come.

        Raises:
            BaseException: whatever ended it.
        """
        self._is_taken = True
        if self._woken is not None:
            self._woken.put(None)
        coming = asyncio.ensure_future(self._queue.get())
        try:
            await asyncio.wait([coming, ended], return_when=asyncio.FIRST_COMPLETED)
            if coming.done():
                return coming.result()
        finally:
            coming.cancel()
        ended.result()
        raise asyncio.CancelledError
