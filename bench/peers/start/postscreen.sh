#!/bin/sh
# Postfix's postscreen, which hands peers that it knows to the before-queue proxy of postfix.sh. It waits a
# second for a new peer to speak before its turn, so that its memory is soon warm.
case "$1" in
version) exec postconf -h mail_version ;;
esac
. "$(dirname "$0")/postfix.inc"
start_postfix "$2 inet n - n - 1 postscreen
    -o postscreen_greet_wait=1s
    -o postscreen_greet_action=enforce
    -o postscreen_access_list=
smtpd pass - - n - 1000 smtpd
    -o smtpd_proxy_filter=127.0.0.1:$3"
