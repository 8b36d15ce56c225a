#!/usr/bin/env python3
"""Runs a command and appends one tab-separated line to a file:
history, run, wall seconds, CPU seconds, peak MiB, MiB read, MiB written.

usage: measure.py RESULTS HISTORY RUN COMMAND [ARGUMENT …]

Linux only. Bytes are those that passed through read and write calls (rchar and wchar of /proc/PID/io):
unlike what reached the disk, they do not depend on what the page cache held. They are read between the
command's end and its burial, while its counters, all of its threads' among them, are still there.
"""

import os
import sys
import time

MIB = 1 << 20


def io_bytes(pid):
    with open(f"/proc/{pid}/io", encoding="ascii") as lines:
        counters = dict(line.split(": ") for line in lines)
    return int(counters["rchar"]), int(counters["wchar"])


def main():
    results, history, run, *command = sys.argv[1:]
    started = time.monotonic()
    # What the command prints is talk here: only the table goes to standard output.
    output = [(os.POSIX_SPAWN_DUP2, 2, 1)]
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=output)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    wall_s = time.monotonic() - started
    read_bytes, written_bytes = io_bytes(pid)
    _, status, usage = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code != 0:
        sys.exit(f"{' '.join(command)}: exit code {code}")
    cpu_s = usage.ru_utime + usage.ru_stime
    numbers = [wall_s, cpu_s, usage.ru_maxrss / 1024, read_bytes / MIB, written_bytes / MIB]
    with open(results, "a", encoding="utf-8") as out:
        print(history, run, *(f"{number:.3f}" for number in numbers), sep="\t", file=out)


if __name__ == "__main__":
    main()
