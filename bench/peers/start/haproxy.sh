#!/bin/sh
# HAProxy in TCP mode: it joins two connections and parses nothing. One thread, as the others have.
case "$1" in
version) exec haproxy -v ;;
esac
cat >haproxy.cfg <<END
global
    maxconn 8000
    nbthread 1
defaults
    mode tcp
    timeout connect 10s
    timeout client 300s
    timeout server 300s
listen mail
    bind 127.0.0.1:$2
    server sink 127.0.0.1:$3
END
exec haproxy -db -f haproxy.cfg
