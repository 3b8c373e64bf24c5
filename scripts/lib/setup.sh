# Sourced by scripts/test and scripts/reproduce: installs the apt packages that are missing and builds.
# Works from a fresh clone on minimal Debian 12, Debian 13 and Ubuntu 24.04.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${LOWBIT_BUILD_DIR:-$root/build}

build_packages=(build-essential cmake ninja-build git ca-certificates pkg-config libarmadillo-dev libopenblas-dev
  libboost-program-options-dev libhdf5-dev libfmt-dev catch2 librandom123-dev libhwy-dev libbenchmark-dev
  nlohmann-json3-dev libsimdjson-dev zlib1g-dev)
[ "$(uname -m)" != x86_64 ] || build_packages+=(libdnnl-dev)  # its fast code is for x86
python_packages=(python3 python3-venv python3-numpy python3-scipy python3-h5py python3-xarray python3-h5netcdf
  python3-netcdf4 python3-pandas python3-matplotlib python3-jinja2)
test_packages=(python3-pytest hdf5-tools strace valgrind)

say() { printf '%s\n' "$*" >&2; }

missing_packages() {
  local package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s ' "$package"
  done
}

# install_packages NAME... : only what is missing; root, else sudo that asks nothing, else a list and exit 1
install_packages() {
  local missing sudo=""
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  if ! command -v apt-get >/dev/null; then
    say "This script installs its packages with apt-get, which is not here. Needed: $missing"
    exit 1
  fi
  if [ "$(id -u)" != 0 ]; then
    if sudo -n true 2>/dev/null; then
      sudo="sudo -n"
    else
      say "Missing packages, and no right to install them without a password. Run this, then try again:"
      say "  sudo apt-get update && sudo apt-get install -y --no-install-recommends $missing"
      exit 1
    fi
  fi
  say "Installing $(wc -w <<<"$missing") packages: $missing"
  local log
  log=$(mktemp)
  local apt="$sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300"
  # shellcheck disable=SC2086
  if ! { $apt update && $apt install -y --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    say "apt-get failed (whole log: $log)"
    exit 1
  fi
  rm -f "$log"
}

# configure [CMAKE OPTION...]: quiet unless it fails
configure() {
  local log
  log=$(mktemp)
  if ! cmake -S "$root" -B "$build" -G Ninja "$@" >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    say "cmake failed (whole log: $log)"
    exit 1
  fi
  rm -f "$log"
}

# build TARGET...
build() { cmake --build "$build" --parallel "${LOWBIT_JOBS:-$(nproc)}" --target "$@"; }
