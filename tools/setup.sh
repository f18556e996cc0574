#!/bin/sh
# Makes .venv with exactly the locked packages, and sees that the system programs are there.
# As root on Debian it installs what is missing; as anybody else it says what is missing and how to get it.
set -eu
cd "$(dirname "$0")/.."
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

need=""
command -v ip >/dev/null || need="$need iproute2"
PATH="$PATH:/usr/sbin:/sbin"
command -v iptables-restore >/dev/null || need="$need iptables"
command -v ipset >/dev/null || need="$need ipset"
python=""
for candidate in python3 python3.13 python3.12 python3.11; do
    if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate; break
    fi
done
[ -n "$python" ] || need="$need python3 python3-venv"
[ -z "$python" ] || "$python" -c 'import ensurepip, venv' 2>/dev/null || need="$need python3-venv"

if [ -n "$need" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "setup: installing$need"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        # shellcheck disable=SC2086 # a list of packages
        apt-get install --yes -qq --no-install-recommends $need >/dev/null
    else
        fail "missing:$need; get it with: sudo apt-get install --yes$need"
    fi
fi
[ -n "$python" ] || python=python3

stamp=.venv/.locked
if [ ! -f "$stamp" ] || ! cmp -s requirements.lock "$stamp"; then
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    echo "setup: installing the locked packages into .venv"
    .venv/bin/python -m pip install --quiet --require-hashes --requirement requirements.lock
    .venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
    cp requirements.lock "$stamp"
fi
