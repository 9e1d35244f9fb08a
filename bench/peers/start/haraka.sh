#!/bin/sh
# Haraka, with its smtp_proxy plugin: the backend answers while the peer waits. What else it does by itself
# at each connection, the peer's name, is left out by a plugin here.
program=$CACHE/haraka/node_modules/Haraka
case "$1" in
version) exec node -p "require('$program/package.json').version" ;;
esac
mkdir config plugins
sed 's/^bytes=.*/bytes=104857600/' "$program/config/connection.ini" >config/connection.ini # as `haraka --install` does
cat >config/smtp.ini <<END
listen=127.0.0.1:$2
nodes=0
END
cat >config/smtp_proxy.ini <<END
host=127.0.0.1
port=$3
enable_tls=false
END
cat >plugins/anybody.js <<END
exports.hook_lookup_rdns = (next) => setImmediate(next, OK, 'mail.test')
exports.hook_rcpt = (next) => next(OK)
END
printf 'anybody\nqueue/smtp_proxy\n' >config/plugins
echo WARN >config/loglevel
echo mx.d.test >config/me
exec node "$program/bin/haraka" -c "$PWD" >log 2>&1
