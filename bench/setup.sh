#!/bin/bash
# What the benchmark needs from the system: the peers it compares with, and a compiler for the load generator.
# As root it installs what is missing; otherwise it says so loudly and the benchmark goes on with what is there.
set -euo pipefail

missing=()
command -v haproxy >/dev/null || missing+=(haproxy)
command -v nginx >/dev/null || missing+=(nginx-light)
command -v gcc >/dev/null || missing+=(gcc libc6-dev)
command -v taskset >/dev/null || missing+=(util-linux)
[ -e /usr/include/openssl/ssl.h ] || missing+=(libssl-dev)

if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    {
        echo "************************************************************************"
        echo "bench: MISSING: ${missing[*]}"
        echo "bench: install them (Debian: sudo apt-get install ${missing[*]}) and run again."
        echo "bench: without haproxy there is no reference, so there are no ratios."
        echo "************************************************************************"
    } >&2
    command -v gcc >/dev/null && [ -e /usr/include/openssl/ssl.h ] || exit 1
    exit 0
fi
echo "bench: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# RUNLEVEL=1: the packages' own services are of no use here and must not start.
RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
