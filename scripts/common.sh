# Shared by the set-up scripts: where caches are, and how a step speaks. To be sourced.
set -eu
# Compiled code is kept there only if nobody else can write to it.
umask 022

# Outside the checkout, so that a fresh clone finds what an older one made.
cache="${XDG_CACHE_HOME:-$HOME/.cache}/endpointd"
mkdir -p "$cache"

say() {
    printf '==> %s\n' "$*"
}

# The step cannot be done here: the exact command that does it, for somebody who may.
needs() {
    printf 'endpointd: %s\n\nRun this, then the same command again:\n\n    %s\n\n' "$1" "$2" >&2
    exit 1
}

# apt_install WHAT-FOR PACKAGE...
apt_install() {
    purpose="$1"
    shift
    if ! command -v apt-get >/dev/null; then
        needs "$purpose is missing, and this is no Debian, so it cannot be installed from here." \
            "install the equivalent of: $*"
    fi
    if [ "$(id -u)" != 0 ]; then
        needs "$purpose is missing." \
            "sudo sh -c 'apt-get update && apt-get install -y --no-install-recommends $*'"
    fi
    say "Installing $purpose: $*"
    log="$cache/apt.log"
    if ! { apt-get update && DEBIAN_FRONTEND=noninteractive \
        apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        needs "apt-get could not install $purpose; its last lines are above." \
            "apt-get install -y --no-install-recommends $*"
    fi
}

# python_environment FOLDER: a virtual environment, with Debian's Python if there is none.
python_environment() {
    if ! python3 -m venv "$1" >/dev/null 2>&1; then
        rm -rf "$1"
        apt_install "Python with virtual environments" python3 python3-venv
        python3 -m venv "$1"
    fi
}

# python_packages FOLDER REQUIREMENTS WHAT: a virtual environment with the packages of a file, made once per
# version of it.
python_packages() {
    if cmp -s "$2" "$1/requirements.txt"; then
        return
    fi
    rm -rf "$1"
    python_environment "$1"
    say "Installing $3 from PyPI"
    "$1/bin/pip" install --quiet --disable-pip-version-check -r "$2"
    # Last, so that an interrupted installation is done again.
    cp "$2" "$1/requirements.txt"
}
