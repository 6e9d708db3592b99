#!/bin/sh
# get-nats.sh DEST: puts DEST/bin/nats-server there, out of Debian's suite sid ($NATS_DEBIAN_SUITE for another).
#
# No host is named: the archive that this machine already uses is asked, and the package is verified against its
# signed index. Needs no root, and leaves the system's apt and dpkg state alone. Two at once do not
# disturb each other; the last one's file stays. DEST must be a folder that this user can write.
#
# Exit codes: 0 done, 2 usage, 3 this machine cannot be served this way, 4 the archive did not give it.
set -eu
umask 022

fail() { code=$1; shift; echo "get-nats: $*" >&2; exit "$code"; }

[ $# -eq 1 ] && [ -n "$1" ] || fail 2 "usage: get-nats.sh DEST"
suite=${NATS_DEBIAN_SUITE:-sid}

for command in apt-get dpkg-deb tar sed find mktemp id getconf; do
  command -v "$command" >/dev/null || fail 3 "there is no command $command here"
done
[ -r /etc/os-release ] || fail 3 "there is no /etc/os-release here"
. /etc/os-release
[ "${ID:-}" = debian ] || fail 3 "this is ${PRETTY_NAME:-an unknown system}, not Debian"
key=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$key" ] || fail 3 "the keys of the archive are missing: install debian-archive-keyring"
libc=$(getconf GNU_LIBC_VERSION 2>/dev/null || echo none)
case $libc in
  "glibc 2."*) [ "${libc#glibc 2.}" -ge 34 ] || fail 3 "it needs glibc 2.34 or newer, here is $libc" ;;
  "glibc "[3-9]*) ;;
  *) fail 3 "it needs glibc 2.34 or newer, here is $libc" ;;
esac

mkdir -p "$1/bin"
dest=$(cd "$1" && pwd)
# What a killed run left, when it is too old to be one that is under way.
find "$dest" -maxdepth 1 -name '.get-nats.*' -mmin +120 -exec rm -rf {} +
w=$(mktemp -d "$dest/.get-nats.XXXXXXXX")
trap 'rm -rf "$w"' EXIT
trap 'exit 143' HUP INT TERM
mkdir -p "$w/lists/partial" "$w/cache/archives/partial" "$w/deb"
: > "$w/status"

# apt with a state of its own; reads the configuration of the system and nothing else of it.
apt() {
  apt-get -q -o "Dir::State::Lists=$w/lists" -o "Dir::State::Status=$w/status" -o "Dir::Cache=$w/cache" \
    -o Debug::NoLocking=1 -o "APT::Sandbox::User=$(id -un)" -o Acquire::Languages=none \
    -o Acquire::Retries=2 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 "$@"
}
apt_of_suite() { apt -q -o "Dir::Etc::SourceList=$w/sources.list" -o Dir::Etc::SourceParts=/dev/null "$@"; }

# 1. The archives that are configured, this system's own suite first. Other vendors' are among them: tried in turn.
apt --print-uris update 2>"$w/error" > "$w/uris" || fail 3 "apt-get cannot list its archives: $(cat "$w/error")"
{
  sed -n "s|^'\(.*\)/dists/${VERSION_CODENAME:-none}/InRelease' .*|\1|p" "$w/uris"
  sed -n "s#^'\(.*\)/dists/\(sid\|unstable\|testing\|stable\)/InRelease' .*#\1#p" "$w/uris"
} > "$w/archives"
[ -s "$w/archives" ] || fail 3 "no Debian archive is configured here"

# 2. The signed index of that one suite, then the package, whose SHA-256 stands in the index.
: > "$w/error"
while read -r archive; do
  printf 'deb [signed-by=%s] %s %s main\n' "$key" "$archive" "$suite" > "$w/sources.list"
  if apt_of_suite update >/dev/null 2>>"$w/error" && (cd "$w/deb" && apt_of_suite download nats-server >/dev/null 2>>"$w/error"); then
    break
  fi
done < "$w/archives"
set -- "$w"/deb/nats-server_*.deb
[ -f "$1" ] || fail 4 "no configured archive gives nats-server of $suite: $(tail -n 5 "$w/error")"

# 3. The one file out of it; no dpkg database, no maintainer script. It must run before it is put in place.
dpkg-deb --fsys-tarfile "$1" | tar -xO ./usr/sbin/nats-server > "$w/nats-server"
chmod 755 "$w/nats-server"
version=$("$w/nats-server" --version 2>"$w/error") || fail 4 "the nats-server of $suite does not run here: $(cat "$w/error")"
mv -f "$w/nats-server" "$dest/bin/nats-server"
echo "$version"
