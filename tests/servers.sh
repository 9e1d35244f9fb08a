#!/bin/sh
# Install the real servers that the tests in tests/e2e start: postfix, swaks, rbldnsd.
#
# Silent and instant when all are there. Installs only as root on Debian, never removes a package
# (`--no-remove`, so that another mail server stays) and starts no service. Elsewhere it says in one
# line which tests will be skipped. With CI=true, what cannot be installed is an error.
set -u
PATH="$PATH:/usr/sbin:/sbin"

missing=""
for name in postfix swaks rbldnsd; do
    command -v "$name" >/dev/null 2>&1 || missing="$missing $name"
done
test -n "$missing" || exit 0

give_up() {
    echo "the tests that need$missing will be skipped: $1" >&2
    test "${CI:-}" != true
    exit
}

test -r /etc/debian_version && command -v apt-get >/dev/null 2>&1 || give_up "this is not Debian, install them by hand"
test "$(id -u)" = 0 || give_up "not root; as root: apt-get install --no-install-recommends$missing"

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
    # shellcheck disable=SC2086 # one word a package is meant
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends --no-remove \
        -o DPkg::Lock::Timeout=120 $missing >"$work/log" 2>&1
}

echo "installing for the tests:$missing"
install || { apt-get update --quiet >"$work/update" 2>&1 && install; } || {
    tail -n 5 "$work/log" >&2
    give_up "apt-get could not install them (another mail server in the way, or no network?)"
}
