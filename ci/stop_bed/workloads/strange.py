"""Ignores TERM, has a name that is no text and reads like the end of one, and goes on when its first thread has ended."""

import ctypes
import platform
import signal
import sys
import threading
import time
from pathlib import Path


def go_on():
    time.sleep(0.05)
    # Now it is what it is here for.
    with open(sys.argv[1], "ab") as marks:
        marks.write(Path("/proc/self/stat").read_bytes())
    time.sleep(600)


signal.signal(signal.SIGTERM, signal.SIG_IGN)
system = ctypes.CDLL(None)
SET_NAME = 15
system.prctl(SET_NAME, b"\xff) Z 1 1 1", 0, 0, 0)
threading.Thread(target=go_on).start()
# What ends here is this thread alone.
system.syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)
