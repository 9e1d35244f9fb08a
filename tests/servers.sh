#!/bin/sh
# Install the real servers and clients that the tests in tests/e2e start: postfix, swaks, rbldnsd, node, curl,
# msmtp (0.5 MB), php (3 MB) and go (81 MB, 464 MB unpacked: most of all that is fetched here); and fetch
# exim, opensmtpd, nodemailer and PHPMailer into a folder.
#
# Silent and instant when all are there. Installs only as root on Debian, never removes a package
# (`--no-remove`, so that another mail server stays) and starts no service. Elsewhere it says in one
# line which tests will be skipped. With CI=true, what cannot be installed is an error.
set -u
PATH="$PATH:/usr/sbin:/sbin"
senders="${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/tarpit-tests/senders"

missing=""
for name in postfix swaks rbldnsd node curl msmtp php go; do
    command -v "$name" >/dev/null 2>&1 && continue
    case "$name" in
        node) name=nodejs ;;
        php) name=php-cli ;;
        go) name=golang-go ;;
    esac
    missing="$missing $name"
done
perl -MNet::SSLeay -e 1 2>/dev/null || missing="$missing libnet-ssleay-perl" # swaks inside TLS
perl -MIO::Socket::SSL -e 1 2>/dev/null || missing="$missing libio-socket-ssl-perl" # Net::SMTP inside TLS
unfetched=""
# the light Exim reads no PROXY header
test -e "$senders/complete" && test -e "$senders/usr/share/php/libphp-phpmailer" &&
    grep -q hosts_proxy "$senders/usr/sbin/exim4" ||
    unfetched=" exim4-daemon-heavy opensmtpd node-nodemailer libphp-phpmailer"
test -n "$missing$unfetched" || exit 0

give_up() {
    echo "the tests that need$missing$unfetched will be skipped: $1" >&2
    test "${CI:-}" != true
    exit
}

test -r /etc/debian_version && command -v apt-get >/dev/null 2>&1 || give_up "this is not Debian, install them by hand"
test "$(id -u)" = 0 || give_up "not root; as root: sh tests/servers.sh"

work=$(mktemp -d)
policy=/usr/sbin/policy-rc.d
made_policy=""
clean_up() {
    rm -rf "$work"
    test -z "$made_policy" || rm -f "$policy"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

# A package's own service stays stopped: invoke-rc.d asks this file first.
if ! test -e "$policy"; then
    made_policy=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

install() {
    test -n "$missing" || return 0
    # shellcheck disable=SC2086 # one word a package is meant
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends --no-remove \
        -o DPkg::Lock::Timeout=120 $missing >"$work/log" 2>&1
}

# As packages Exim and OpenSMTPD exclude Postfix. So they are only unpacked, with all the libraries they
# want, into a folder; tests run a copy of it, and the copy is their root directory.
fetch() {
    test -n "$unfetched" || return 0
    rm -rf "$work/debs" "$work/root"
    mkdir "$work/debs" "$work/root"
    libraries=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
        --no-replaces --no-enhances exim4-daemon-heavy opensmtpd 2>"$work/log" | grep '^lib' | grep -v -e -perl | sort -u)
    absent=""
    for library in $libraries; do
        dpkg-query -W -f '${db:Status-Status}\n' "$library" 2>/dev/null | grep -qx installed || absent="$absent $library"
    done
    chmod 755 "$work" && chown _apt "$work/debs" # apt downloads as a user of its own
    # shellcheck disable=SC2086 # one word a package is meant
    (cd "$work/debs" && apt-get download --quiet $unfetched $absent >>"$work/log" 2>&1) || return 1
    for package in "$work"/debs/*.deb; do
        dpkg -x "$package" "$work/root" || return 1
    done
    rm -rf "$work/root/usr/share/doc" "$work/root/usr/share/man" "$work/root/usr/share/locale"
    copy_libraries || return 1
    touch "$work/root/complete"
    rm -rf "$senders"
    mkdir -p "${senders%/*}"
    mv "$work/root" "$senders"
}

copy_libraries() {
    own=$(find "$work/root/usr/lib" -maxdepth 1 -type d -name '*-linux-gnu*')
    for program in exim4 smtpd smtpctl; do
        found=$(LD_LIBRARY_PATH="$own:$work/root/usr/lib" ldd "$work/root/usr/sbin/$program") || return 1
        echo "$found" | grep 'not found' >>"$work/log" && return 1
        for path in $(echo "$found" | grep -o '/[^ ]*'); do
            case "$path" in "$work"/*) continue ;; esac
            mkdir -p "$work/root${path%/*}"
            cp -L "$path" "$work/root$path" || return 1
        done
    done
}

echo "installing for the tests:$missing$unfetched"
{ install && fetch; } || { apt-get update --quiet >"$work/update" 2>&1 && install && fetch; } || {
    tail -n 5 "$work/log" >&2
    give_up "apt-get could not install them (another mail server in the way, or no network?)"
}
