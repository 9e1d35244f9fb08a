#!/bin/sh
# The floor of Python on trio: bench/bare.py, which carries bytes, and nothing else.
case "$1" in
version) exec "$PYTHON" -c 'import sys, trio; print("trio", trio.__version__, "on Python", sys.version)' ;;
esac
exec "$PYTHON" -m bench.bare "$2" "$3"
