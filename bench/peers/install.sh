#!/bin/sh
# Install whom `python -m bench peers` compares: packages with apt-get, Haraka and aiosmtpd into a folder.
#
# `install.sh FOLDER PYTHON` is silent and instant when all are there. Packages only as root on Debian; none is
# removed and no service started. What cannot be had is left out, and the table says so.
set -u
PATH="$PATH:/usr/sbin:/sbin"
folder=$1
python=$2
mkdir -p "$folder"

missing=""
for pair in haproxy:haproxy nginx:nginx postfix:postfix cc:gcc node:nodejs npm:npm; do
    command -v "${pair%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
command -v cc >/dev/null 2>&1 || missing="$missing libc6-dev"
ls /usr/lib/nginx/modules/ngx_mail_module.so >/dev/null 2>&1 || missing="$missing libnginx-mod-mail"

if test -n "$missing" && test -r /etc/debian_version && test "$(id -u)" = 0; then
    echo "installing for the comparison:$missing" >&2
    policy=/usr/sbin/policy-rc.d # a package's own service stays stopped: invoke-rc.d asks this file first
    if ! test -e "$policy"; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    try() { # one by one: one that is not to be had must not keep the others away
        for package in $missing; do
            DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends --no-remove \
                -o DPkg::Lock::Timeout=120 "$package" || return 1
        done
    }
    { try || { apt-get update --quiet; try; } || echo "apt-get could not install all of:$missing"; } \
        >"$folder/apt.log" 2>&1
fi

if ! test -e "$folder/haraka/node_modules/Haraka/package.json" && command -v npm >/dev/null 2>&1; then
    echo "installing for the comparison: Haraka" >&2
    npm install --prefix "$folder/haraka" --no-audit --no-fund --omit=dev Haraka >"$folder/npm.log" 2>&1
fi
if ! test -e "$folder/aiosmtpd/aiosmtpd/__init__.py"; then
    echo "installing for the comparison: aiosmtpd" >&2
    "$python" -m pip install --quiet --disable-pip-version-check --target "$folder/aiosmtpd" aiosmtpd \
        >"$folder/pip.log" 2>&1
fi
exit 0
