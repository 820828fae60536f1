"""Commands in processes of their own that end at a chosen moment, started from one that is warm.

A moment is an operation on a file below the current folder: opening it to write, making, renaming
or removing it. The process is killed right before the operation of a given number.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path

EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link")


def count_and_kill(folder, at, report):
    """Count operations below a folder, and kill this process before number `at`."""
    seen = 0

    def watch(event, arguments):
        nonlocal seen
        if event not in EVENTS or not isinstance(arguments[0], (str, bytes, Path)):
            return
        if event == "open" and not (arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        if folder not in (Path.cwd() / os.fsdecode(arguments[0])).parents:
            return
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)
        seen += 1
        os.write(report, b".")

    sys.addaudithook(watch)


class Warm:
    """A process in which all is imported, and that forks one for each command."""

    def __init__(self):
        code = "import ended_early; ended_early.serve()"
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code], text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        )  # fmt: skip

    def run(self, folder, *arguments, at=-1, limit=0):
        """Return the exit status, the number of operations, and what was printed.

        The folder is the current one; `limit` is the largest file that may be written, in bytes.
        """
        asked = [str(folder), at, limit, *map(str, arguments)]
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        status, count = json.loads(self.process.stdout.readline())
        return status, count, (folder.parent / "printed").read_text()

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def serve():
    import torch

    from migrate.coreml import proto

    for module in ("create", "migration.migration", "run", "runner.runner", "variants.shrink"):
        importlib.import_module(f"reporter.write.{module}")
    proto("Model_pb2")
    torch.set_num_threads(1)
    gc.freeze()  # a collection would copy the pages that a fork shares
    for line in sys.stdin:
        folder, at, limit, *arguments = json.loads(line)
        print(json.dumps(_forked(arguments, Path(folder), at, limit)), flush=True)


def _forked(arguments, folder, at, limit):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        status = 70
        try:
            status = _child(arguments, folder, at, limit, writing)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)
    count = 0
    while chunk := os.read(reading, 4096):
        count += len(chunk)
    os.close(reading)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), count


def _child(arguments, folder, at, limit, writing):
    import resource

    from reporter import cli
    from reporter.write import repro

    ran = repro.Repro("print(1)\n", "anereport", "executed: not in this test", "", True)
    repro.execute = lambda script, model, *kinds: ran
    os.chdir(folder)
    output = os.open(folder.parent / "printed", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    count_and_kill(folder, at, writing)
    sys.argv = ["anereport", *arguments]
    try:
        cli.app(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return 0
