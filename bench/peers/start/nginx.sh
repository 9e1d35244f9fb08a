#!/bin/sh
# nginx's mail proxy. It asks over HTTP where each session goes; an nginx without its own server cannot be
# configured, so the answer comes from the same process, and is part of the price.
case "$1" in
version)
    test -n "$(find /usr/lib/nginx/modules /usr/lib64/nginx/modules -name ngx_mail_module.so 2>/dev/null)" || exit 1
    exec nginx -v 2>&1
    ;;
esac
cat >nginx.conf <<END
daemon off;
worker_processes 1;
worker_rlimit_nofile 16000;
pid nginx.pid;
error_log error.log;
load_module $(find /usr/lib/nginx/modules /usr/lib64/nginx/modules -name ngx_mail_module.so 2>/dev/null);
events { worker_connections 8000; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {
        listen unix:$PWD/auth;
        location / {
            add_header Auth-Status OK;
            add_header Auth-Server 127.0.0.1;
            add_header Auth-Port $3;
            return 204;
        }
    }
}
mail {
    server_name mx.d.test;
    auth_http unix:$PWD/auth:/auth;
    proxy_pass_error_message on;
    server {
        listen 127.0.0.1:$2;
        protocol smtp;
        smtp_auth none;
        xclient off;
        smtp_capabilities PIPELINING 8BITMIME "SIZE 104857600";
    }
}
END
exec nginx -p "$PWD" -c "$PWD/nginx.conf" -e "$PWD/error.log"
