#!/bin/sh
# Makes .venv from the locked dependencies. Called by the Makefile, which says when it is needed:
#
#   tools/setup.sh STAMP    install, then touch STAMP
#
# Quiet unless something fails: one line says what is being done (on stderr, so that the last line of
# `make demo ARGS=--json` stays JSON), and pip is heard only when it has failed.
set -eu

stamp=$1
venv=.venv
wanted="3.11"

say() { printf 'konkordat: %s\n' "$*" >&2; }
die() {
    for line in "$@"; do say "$line"; done
    exit 1
}

# usable PYTHON -> 0 and nothing, or 1 and why not (on stdout)
usable() {
    command -v "$1" >/dev/null 2>&1 || { echo "not found"; return 1; }
    version=$("$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) ||
        { echo "does not run"; return 1; }
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        { echo "is $version, but $wanted or newer is needed"; return 1; }
    # Debian ships the venv module without what it needs: the import tells, the command's help does not.
    "$1" -c 'import ensurepip, venv' 2>/dev/null || {
        echo "is $version, but without venv and ensurepip (on Debian and Ubuntu: apt-get install python${version%.*}-venv)"
        return 1
    }
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        why=$(usable "$PYTHON") || die "PYTHON=$PYTHON $why."
        echo "$PYTHON"
        return
    fi
    reasons=""
    # python3 first: it is the one the user chose on this machine.
    for candidate in python3 python3.11 python3.12 python3.13 python3.14; do
        if why=$(usable "$candidate"); then
            echo "$candidate"
            return
        fi
        [ "$why" = "not found" ] || reasons="$reasons
  $candidate $why"
    done
    die "no usable Python. Needed: Python $wanted or newer, with venv.${reasons:-
  None is installed (on Debian and Ubuntu: apt-get install python3 python3-venv).}" \
        "If you have one elsewhere: make setup PYTHON=/path/to/python3"
}

# quietly WHAT COMMAND... : the command's output is shown only if it fails.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() {
    what=$1
    shift
    "$@" >"$log" 2>&1 && return
    cat "$log" >&2
    die "$what failed; what it said is above. Nothing else was changed: mend it and run make again."
}

# An environment is kept unless it cannot work: its Python is gone or too old, or the folder was moved
# (scripts and the editable install hold absolute paths; the stamp's name tells the folder).
keep=no
if [ -x "$venv/bin/python" ] && usable "$venv/bin/python" >/dev/null; then
    keep=yes
    for other in "$venv"/.setup-*; do
        [ ! -e "$other" ] || [ "$other" = "$stamp" ] || keep=no
    done
fi

if [ "$keep" = yes ]; then
    say "bringing .venv in step with requirements/dev.txt"
else
    python=$(find_python)
    say "setting up .venv with $("$python" --version) (once; a minute or two)"
    quietly "making the virtual environment" "$python" -m venv --clear "$venv"
fi

quietly "installing the locked dependencies" \
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-input \
    --require-hashes -r requirements/dev.txt
quietly "installing konkordat itself" \
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-input \
    --no-deps --no-build-isolation -e .
touch "$stamp"
