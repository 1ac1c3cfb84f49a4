"""So many batches act at once: what is measured is a stop, not how many of them a machine can bear.

A batch that only waits lets another one act.
"""

import time
from contextlib import contextmanager

SLOTS = None  # a semaphore that the batches share


@contextmanager
def acting():
    SLOTS.acquire()
    try:
        yield
    finally:
        SLOTS.release()


def rest(seconds):
    """Waits for what comes by itself."""
    SLOTS.release()
    try:
        time.sleep(max(0.0, seconds))
    finally:
        SLOTS.acquire()
