#!/bin/sh
# aiosmtpd, with the relay that comes with it.
export PYTHONPATH="$CACHE/aiosmtpd"
case "$1" in
version) exec "$PYTHON" -c 'import aiosmtpd; print(aiosmtpd.__version__)' ;;
esac
exec "$PYTHON" - "$2" "$3" <<'END'
import sys, threading
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Proxy

port, backend = map(int, sys.argv[1:])
Controller(Proxy("127.0.0.1", backend), "127.0.0.1", port, data_size_limit=2**27).start()
threading.Event().wait()
END
