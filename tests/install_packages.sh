#!/bin/sh
# Installs the Debian packages named as arguments that are not installed yet.  Prints the exact
# line first; fails with that line where it may not run it.
command -v dpkg-query >/dev/null 2>&1 || exit 0 # not Debian: the build itself names what is missing
missing=
for package in "$@"; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
        missing="$missing $package"
done
[ -z "$missing" ] && exit 0
line="apt-get install -y --no-install-recommends$missing"
[ "$(id -u)" = 0 ] || line="sudo $line"
echo "$line"
if [ "$(id -u)" = 0 ]; then
    apt-get update -qq
elif command -v sudo >/dev/null 2>&1; then
    sudo apt-get update -qq
else
    echo "packages are missing and there is no sudo: run the line above as root" >&2
    exit 1
fi
DEBIAN_FRONTEND=noninteractive $line || {
    echo "could not install the packages: run the line above yourself" >&2
    exit 1
}
