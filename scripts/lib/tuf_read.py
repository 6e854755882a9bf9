"""Reads the repositories below WORK with python-tuf over HTTP: `whole` must give the right bytes, all others nothing."""

import functools
import http.server
import pathlib
import sys
import tempfile
import threading

from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.ngclient import Updater

EXPECTED = {
    "release-0.1.1.json": b'{"version":"0.1.1"}',
    "package-0.1.1": b"the package of release 0.1.1\n",
    "matrix.json": b"[]\n",
}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def copyfile(self, source, outputfile):
        try:
            super().copyfile(source, outputfile)
        except ConnectionError:
            pass  # the client hangs up on endless data


def read(url, root):
    """Every expected target by a client that starts from `root` with an empty store."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        store, downloads = pathlib.Path(folder, "store"), pathlib.Path(folder, "downloads")
        store.mkdir()
        downloads.mkdir()
        updater = Updater(
            str(store), f"{url}/metadata/", str(downloads), f"{url}/targets/", bootstrap=root
        )
        updater.refresh()
        for name in EXPECTED:
            info = updater.get_targetinfo(name)
            assert info is not None, name
            found[name] = pathlib.Path(updater.download_target(info)).read_bytes()
        assert updater.get_targetinfo("package-9.9.9") is None
    return found


def main():
    work = pathlib.Path(sys.argv[1])
    handler = functools.partial(Quiet, directory=str(work))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_address[1]}"
    root = (work / "whole/metadata/1.root.json").read_bytes()
    names = sorted(path.name for path in work.iterdir())
    assert len(names) > 1, names
    failures = 0
    for name in names:
        try:
            outcome = read(f"{base}/{name}", root)
            good = name == "whole" and outcome == EXPECTED
            what = "read" if name == "whole" else "read although tampered with"
        except (DownloadError, RepositoryError) as error:
            good = name != "whole"
            what = f"refused: {type(error).__name__}: {error}"
        failures += not good
        print(f"    {'ok  ' if good else 'FAIL'} {name}: {what}")
    server.shutdown()
    sys.exit(1 if failures else 0)


main()
