#!/bin/sh
# This proxy, with all that a site in production has: scoring, the guard on content, events as JSON in a file,
# rates and counters. The caps are wide enough for the load, which comes from few addresses.
case "$1" in
version) exec "$PYTHON" -c 'import importlib.metadata as m, sys, tarpit; print(m.version("tarpit-mx"), "on Python", sys.version)' ;;
esac
export TARPIT_LISTEN="127.0.0.1:$2" TARPIT_BACKENDS="127.0.0.1:$3" TARPIT_DNS_SERVERS="127.0.0.1:$NAMES"
export TARPIT_HOSTNAME=mx.d.test TARPIT_ALLOW=none TARPIT_DENY=127.1.0.0/16 TARPIT_DNSBL_ZONES=dnsbl.test
export TARPIT_STORE=memory: TARPIT_STATE_DIR="$PWD" TARPIT_ADMIN=off TARPIT_LOG_FORMAT=json TARPIT_RELAY_TEST=off
export TARPIT_RATE_PEER=10000000/s TARPIT_RATE_NETWORK=10000000/s TARPIT_BACKEND_MAX=2000 TARPIT_DRAIN=1s
export TARPIT_MAX_SESSIONS_PEER=2000 TARPIT_MAX_SESSIONS_NETWORK=4000 TARPIT_PACE_DELAY=0 TARPIT_PACE_JITTER=0
export TARPIT_PACE_HOLD=1h TARPIT_PREGREET_WAIT=0
exec "$PYTHON" -m tarpit run >events
