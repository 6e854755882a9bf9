"""Makes tampered copies of a TUF repository: WORK/whole stays, each other folder of WORK must be refused."""

import json
import pathlib
import shutil
import sys


def edited(change):
    """A tampering that changes a metadata file's JSON and keeps its signatures."""

    def tamper(path):
        document = json.loads(path.read_bytes())
        change(document)
        path.write_text(json.dumps(document))

    return tamper


def flipped(path):
    """A tampering that keeps the length of a file and changes one of its bytes."""
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)


def endless(path):
    with path.open("ab") as file:
        file.write(b" " * 6_000_000)


COPIES = {
    "target-changed": ("targets/*.package-0.1.1", flipped),
    "target-missing": ("targets/*.package-0.1.1", pathlib.Path.unlink),
    "root-one-signature": ("metadata/2.root.json", edited(lambda d: d["signatures"].pop())),
    "root-garbage": ("metadata/2.root.json", lambda path: path.write_text("{}")),
    "timestamp-version": ("metadata/timestamp.json", edited(lambda d: d["signed"].update(version=99))),
    "timestamp-unsigned": ("metadata/timestamp.json", edited(lambda d: d["signatures"].clear())),
    "timestamp-expiry": (
        "metadata/timestamp.json",
        edited(lambda d: d["signed"].update(expires="2099-01-01T00:00:00Z")),
    ),
    "snapshot-changed": ("metadata/4.snapshot.json", edited(lambda d: d["signed"].update(version=4))),
    "targets-endless": ("metadata/3.targets.json", endless),
    "targets-older": ("metadata/3.targets.json", lambda path: shutil.copy(path.with_name("2.targets.json"), path)),
}


def main():
    work = pathlib.Path(sys.argv[1])
    for name, (pattern, tamper) in COPIES.items():
        copy = work / name
        shutil.copytree(work / "whole", copy)
        (path,) = copy.glob(pattern)
        before = path.read_bytes()
        tamper(path)
        assert not path.exists() or path.read_bytes() != before, name


main()
