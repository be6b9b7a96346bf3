"""Several things at once, of which none outlives the others' failure."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def together(*work: Coroutine[Any, Any, Any]) -> tuple[Any, ...]:
    """What all of these bring, in order. After a failure, and when cancelled, the others are ended.

    Of several failures the first in this order is raised, whichever came first in time.
    """
    tasks = [asyncio.create_task(each) for each in work]
    try:
        return tuple([await task for task in tasks])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
