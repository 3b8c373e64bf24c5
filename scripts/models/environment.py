"""Where models live, and the virtual environment in which the model scripts run.

The cache directory is $LOWBIT_MODELS, else ~/.cache/lowbit/models. It holds one folder per model, `.downloads` with
the packages they came from, and `.venv`. Wheels that lie in `.downloads` are used before the network is asked, so
that a machine without network can be served by copying files there.
"""
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"


class ScriptError(Exception):
    """A one-line message for the user."""


def models_dir():
    """The cache directory of models, created if it is missing."""
    path = pathlib.Path(os.environ.get("LOWBIT_MODELS") or "~/.cache/lowbit/models").expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ScriptError(f"'{path}': cannot create the model directory ({error.strerror}); set LOWBIT_MODELS") from None
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


def download(requirement, wheel, explain):
    """The path of `wheel` in the downloads folder, fetched with pip if it is not there. Broken transfers are resumed."""
    path = downloads_dir() / wheel
    if path.is_file():
        return path
    say(f"downloading {requirement}")
    result = _pip(sys.executable, "download", "--no-deps", "--no-cache-dir", "--retries", "5", "--resume-retries", "20",
                  "--dest", str(downloads_dir()), requirement)
    if result.returncode != 0 or not path.is_file():
        raise ScriptError(
            f"{requirement} could not be downloaded (the reason stands above). Without network: run 'pip download --no-deps "
            f"{requirement}' on a machine that has it, copy {wheel} to {downloads_dir()}, type this again{explain}")
    return path
