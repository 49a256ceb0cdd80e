#!/usr/bin/env bash
# Says which Python to use: the system's, where it is new enough and can make environments. Debian
# builds it with profile-guided optimization; one built by hand often lacks that, and the SFU then
# takes a tenth more CPU.
set -euo pipefail
for python in /usr/bin/python3 python3; do
  if "$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "$python"
    exit
  fi
done
echo python3
