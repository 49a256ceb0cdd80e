#!/usr/bin/env bash
# Makes the virtual environment; on a bare Debian it first installs what `python3 -m venv` needs.
set -euo pipefail
python=$1 venv=$2
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv ca-certificates >/dev/null
fi
"$python" -m venv "$venv"
"$venv/bin/pip" install --quiet --upgrade pip
