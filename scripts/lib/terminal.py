"""Runs a program at a terminal of its own and answers its questions: terminal.py STATUS ANSWER… -- PROGRAM ARGUMENT…

Each answer is typed when a question ends in `: `; `^C` is Control-C. Fails unless the program ends with STATUS, asks for
every answer, and shows none of them. What it showed is printed.
"""

import os
import pty
import select
import sys

WITHIN_SECONDS = 30


def main():
    split = sys.argv.index("--")
    status, answers, program = int(sys.argv[1]), sys.argv[2:split], sys.argv[split + 1 :]
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(program[0], program)
    shown, seen, left = b"", 0, list(answers)
    while True:
        if not select.select([terminal], [], [], WITHIN_SECONDS)[0]:
            sys.exit(f"it waits for something else: {shown!r}")
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
        if left and shown[seen:].endswith(b": "):
            answer = left.pop(0)
            os.write(terminal, b"\x03" if answer == "^C" else answer.encode() + b"\n")
            seen = len(shown)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    text = shown.decode(errors="replace")
    print(text)
    if ended != status:
        sys.exit(f"it ended with {ended}, not {status}")
    if left:
        sys.exit(f"it did not ask for {len(left)} of the answers")
    if any(answer != "^C" and answer in text for answer in answers):
        sys.exit("it showed what was typed")


main()
