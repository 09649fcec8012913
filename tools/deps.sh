#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# deps.sh [CC] -- see that the libraries and tools are there; install what is missing as root or by sudo, else print
# the one command that would.
set -u
cc=${1:-gcc}
packages="gcc make libc6-dev libgomp1 libmpfr-dev libgmp-dev libgsl-dev gnuplot-nox check libsubunit-dev libsqlite3-dev
libcyaml-dev libyaml-dev libjansson-dev librandom123-dev libcmark-gfm-dev libcmark-gfm-extensions-dev libxxhash-dev
libmd-dev"

# One line a need: the header or program that shows that it is there.
missing() {
    command -v "$cc" >/dev/null || return 0
    command -v gnuplot >/dev/null || return 0
    for header in mpfr.h gsl/gsl_cdf.h check.h sqlite3.h cyaml/cyaml.h yaml.h jansson.h Random123/philox.h \
        cmark-gfm.h cmark-gfm-core-extensions.h xxhash.h sha256.h omp.h; do
        echo "#include <stdio.h>
#include <stddef.h>
#include <sys/types.h>
#include <$header>" | "$cc" -fopenmp -E -o /dev/null - 2>/dev/null || return 0
    done
    return 1
}

missing || exit 0
# shellcheck disable=SC2086
set -- $packages
if [ "$(id -u)" = 0 ]; then
    sudo=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo=sudo
else
    echo "gdnprec needs libraries that are not here. As root:" >&2
    echo "  apt-get update && apt-get install -y $*" >&2
    exit 2
fi
echo "installing what gdnprec needs ..." >&2
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -q >/dev/null && $sudo apt-get install -y -q --no-install-recommends "$@" >/dev/null || exit 3
if missing; then
    echo "still missing after installing: $*" >&2
    exit 3
fi
