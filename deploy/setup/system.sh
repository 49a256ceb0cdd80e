#!/usr/bin/env bash
# Installs the Debian packages named in a file (one a line, # comments) that are not there yet.
set -euo pipefail
missing=()
while read -r name _; do
  [[ -z $name || $name == \#* ]] && continue
  dpkg -s "$name" >/dev/null 2>&1 || missing+=("$name")
done <"$1"
[[ ${#missing[@]} -eq 0 ]] && exit 0
apt-get update -qq
# The tests start their own servers; nothing may start as a service of the machine.
RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
