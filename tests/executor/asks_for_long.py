"""An organiser's process that will be killed while it waits. Arguments: the scheduler's address, a folder."""

import signal
import sys
from pathlib import Path

import chores

from benchmark.executor import ExecutorConfig, Resources, open_executor

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits an ignored Ctrl-C
    kind, folder = sys.argv[1], Path(sys.argv[2])
    config = ExecutorConfig() if kind == "local" else ExecutorConfig(kind="dask", address=kind)
    with open_executor(config) as executor:
        executor.submit(chores.long, chores.Chore("asked", folder, 60), Resources(100)).result()
