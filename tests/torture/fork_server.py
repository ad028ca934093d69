"""Run commands of ``usl`` in forked processes: what they import is imported once, here.

Reads a JSON object a line, ``{"tokens", "stdout", "stderr"}`` to start a command, or ``{"kill"}``
and ``{"wait"}`` with its process number; writes a JSON line for each.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import select
import signal
import sys
import traceback
from contextlib import suppress

LEARNED = os.environ["USL_TORTURE_MODULES"]  # the file in which commands leave what they imported


def command(order):
    """The life of a child; it leaves with the command's exit code."""
    os.setsid()
    for number, path in ((1, order["stdout"]), (2, order["stderr"])):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdout = open(1, "w", 1, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding="utf-8", closefd=False)  # noqa: SIM115
    signal.signal(signal.SIGINT, signal.default_int_handler)
    before = set(sys.modules)
    code = 1
    try:
        from usl.cli import main

        code = main(order["tokens"])
    except BaseException:
        traceback.print_exc()
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    if order.get("learn"):
        with open(LEARNED, "w", encoding="utf-8") as handle:
            handle.write("\n".join(name for name in sys.modules if name not in before))
    # As at the end of a program; a thread that is not a daemon would keep it.
    with suppress(BaseException):
        atexit._run_exitfuncs()
    os._exit(code)


def import_learned():
    """Import here what the last command imported."""
    with suppress(FileNotFoundError), open(LEARNED, encoding="utf-8") as handle:
        for name in handle.read().split():
            if not name.startswith("_"):  # what is private is imported by its owner
                with suppress(BaseException):
                    importlib.import_module(name)
        os.unlink(LEARNED)


def main():
    """Serve until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what imports print is no answer
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            told = wait(order["wait"], order["limit"])
        else:
            import_learned()
            gc.freeze()  # else a child's first collection copies what it shares with this process
            child = os.fork()
            if child == 0:
                answers.close()
                command(order)
            told = child
        print(json.dumps(told), file=answers, flush=True)


def wait(child, limit):
    """The exit code of a child (negative: the signal that ended it); None if time is up."""
    watched = os.pidfd_open(child)
    ended, _, _ = select.select([watched], [], [], limit)
    os.close(watched)
    if not ended:
        return None
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    main()
