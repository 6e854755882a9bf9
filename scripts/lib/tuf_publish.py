"""Publishes repositories with python-tuf over HTTP and lets `fedplane-agent tuf` read them: CLIENT is its path.

Every kind of key signs, consistent snapshots are on and off, delegations go by paths, hash prefixes and hash bins.
Passes only if the right bytes come through and a wrong signature by any kind of key is refused. Where `faketime` is
installed the client must take the time from the system's clock.
"""

import datetime
import functools
import hashlib
import http.server
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
from urllib import parse

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
    Timestamp,
)

KEYS = {
    "ed25519": CryptoSigner.generate_ed25519,
    "ecdsa-sha2-nistp256": CryptoSigner.generate_ecdsa,
    "rsassa-pss-sha256": CryptoSigner.generate_rsa,
    "rsa-pkcs1v15-sha256": functools.partial(CryptoSigner.generate_rsa, scheme="rsa-pkcs1v15-sha256"),
}
DAYS_VALID = 7
TOP = ["root", "timestamp", "snapshot", "targets"]


class Repository:
    """A repository in a folder, of one signer a role and kind of key; the root needs all of them."""

    def __init__(self, place, consistent, hashes):
        self.place, self.consistent, self.hashes = place, consistent, hashes
        now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        expires = now + datetime.timedelta(days=DAYS_VALID)
        self.kinds = {"root": Root(expires=expires, consistent_snapshot=consistent), "targets": Targets(expires=expires)}
        self.kinds |= {"snapshot": Snapshot(expires=expires), "timestamp": Timestamp(expires=expires)}
        self.signers = {}
        for role in TOP:
            kinds = KEYS.values() if role == "root" else [KEYS["ecdsa-sha2-nistp256"]]
            self.signers[role] = [make() for make in kinds]
            for signer in self.signers[role]:
                self.root.add_key(signer.public_key, role)
        self.root.roles["root"].threshold = len(KEYS)
        self.expires = expires

    @property
    def root(self):
        return self.kinds["root"]

    def signed(self, role):
        metadata = Metadata(self.kinds[role])
        for signer in self.signers[role]:
            metadata.sign(signer, append=True)
        return metadata

    def publish(self, role, metadata=None):
        data = (metadata or self.signed(role)).to_bytes()
        version = self.kinds[role].version
        meta = MetaFile(version)
        if self.hashes:
            meta = MetaFile.from_data(version, data, ["sha256", "sha512"])
        if role == "snapshot":
            self.kinds["timestamp"].snapshot_meta = meta
        elif role not in TOP or role == "targets":
            self.kinds["snapshot"].meta[f"{role}.json"] = meta
        versioned = role == "root" or (self.consistent and role != "timestamp")
        name = f"{version}.{role}.json" if versioned else f"{role}.json"
        path = self.place / "metadata" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def publish_all(self):
        for role in [role for role in self.kinds if role not in TOP] + ["targets", "snapshot", "timestamp", "root"]:
            self.publish(role)

    def target(self, role, path, data):
        file = TargetFile.from_data(path, data, ["sha256"])
        self.kinds[role].targets[path] = file
        folder, _, name = path.rpartition("/")
        at = self.place / "targets" / folder / (f"{file.hashes['sha256']}.{name}" if self.consistent else name)
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_bytes(data)

    def delegate(self, delegated, kind):
        signer = KEYS[kind]()
        by = self.kinds["targets"]
        by.delegations = by.delegations or Delegations({}, roles={})
        by.delegations.roles[delegated.name] = delegated
        by.add_key(signer.public_key, delegated.name)
        self.kinds[delegated.name] = Targets(expires=self.expires)
        self.signers[delegated.name] = [signer]

    def bins(self, path, data):
        """Hands everything to hash bins, and one target to the bin that is its own."""
        signer = KEYS["ed25519"]()
        succinct = SuccinctRoles([], 1, 6, "bin")
        self.kinds["targets"].delegations = Delegations({}, None, succinct)
        self.kinds["targets"].add_key(signer.public_key)
        for name in succinct.get_roles():
            self.kinds[name] = Targets(expires=self.expires)
            self.signers[name] = [signer]
        self.target(succinct.get_role_for_target(path), path, data)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Client:
    def __init__(self, program, place, url):
        self.place, self.url = place, url
        self.command = [program, "tuf", "--metadata-dir", place / "metadata"]

    def run(self, *arguments, before=()):
        command = [*before, *self.command, *arguments]
        ended = subprocess.run(command, stderr=subprocess.PIPE, check=False, timeout=60)
        assert ended.returncode in (0, 1), ended
        return ended.returncode == 0

    def init(self, root):
        return self.run("init", root)

    def refresh(self, before=()):
        return self.run("--metadata-url", f"{self.url}/metadata/", "refresh", before=before)

    def download(self, path):
        where = self.place / "targets"
        arguments = ["--metadata-url", f"{self.url}/metadata/", "--target-base-url", f"{self.url}/targets/"]
        if not self.run(*arguments, "--target-dir", where, "--target-name", path, "download"):
            return None
        return (where / parse.quote(path, "")).read_bytes()


def check_reads(repository, client):
    repository.target("targets", "file", b"top\n")
    paths = ["dir/*"]
    prefix = hashlib.sha256(b"hashed").hexdigest()[:2]
    repository.delegate(DelegatedRole("by-path", [], 1, False, paths=paths), "rsassa-pss-sha256")
    repository.delegate(DelegatedRole("by-hash", [], 1, True, path_hash_prefixes=[prefix]), "ecdsa-sha2-nistp256")
    repository.target("by-path", "dir/file.txt", b"by path\n")
    repository.target("by-hash", "hashed", b"by hash\n")
    repository.publish_all()
    assert client.init(repository.place / "metadata" / "1.root.json")
    assert client.refresh()
    assert client.download("file") == b"top\n"
    assert client.download("dir/file.txt") == b"by path\n"
    assert client.download("hashed") == b"by hash\n"
    assert client.download("dir/none") is None


def check_bins(repository, client):
    repository.bins("in/a/bin", b"binned\n")
    repository.publish_all()
    assert client.init(repository.place / "metadata" / "1.root.json")
    assert client.download("in/a/bin") == b"binned\n"


def check_signatures(repository, client):
    """A new root with a wrong signature by any one kind of key is refused, the right one then taken."""
    repository.publish_all()
    assert client.init(repository.place / "metadata" / "1.root.json")
    assert client.refresh()
    repository.root.version += 1
    good = repository.signed("root")
    for signer in repository.signers["root"]:
        wrong = repository.signed("root")
        wrong.signatures[signer.public_key.keyid] = signer.sign(b"something else")
        repository.publish("root", wrong)
        assert not client.refresh(), signer.public_key.scheme
    repository.publish("root", good)
    assert client.refresh()


def check_clock(repository, client):
    repository.publish_all()
    assert client.init(repository.place / "metadata" / "1.root.json")
    assert client.refresh(["faketime", "-f", f"+{DAYS_VALID - 1}d"])
    assert not client.refresh(["faketime", "-f", f"+{DAYS_VALID + 1}d"])
    assert client.refresh()


def main():
    program = sys.argv[1]
    checks = [check_reads, check_bins, check_signatures]
    if shutil.which("faketime"):
        checks.append(check_clock)
    else:
        print("the clock: skipped, faketime is not installed")
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for check in checks:
            for consistent in (True, False):
                for hashes in (True, False):
                    name = f"{check.__name__}-{consistent}-{hashes}"
                    repository = Repository(place / name, consistent, hashes)
                    client = Client(program, place / f"{name}-client", f"http://127.0.0.1:{server.server_port}/{name}")
                    check(repository, client)
        server.shutdown()
    print(f"{len(checks)} checks of python-tuf's repositories, each with and without consistent snapshots and hashes")


main()
