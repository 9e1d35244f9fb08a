#!/bin/sh
# Postfix, with the backend as its before-queue filter: smtpd proxies each message while it is received.
# With the peer's name not looked up: the others do not either, or have it from their memory.
case "$1" in
version) exec postconf -h mail_version ;;
esac
. "$(dirname "$0")/postfix.inc"
start_postfix "$2 inet n - n - 1000 smtpd
    -o smtpd_proxy_filter=127.0.0.1:$3"
