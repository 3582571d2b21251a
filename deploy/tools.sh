#!/bin/sh
# tools.sh TOOL…: installs what is missing of caddy, chromium, ffmpeg, nginx, pgbench, strip,
# systemd-analyze, unzip, wrk, zip and zstd where it can (Debian, as root), and says in one line
# what is missing where it cannot.
missing= packages=
for tool; do
  command -v "$tool" >/dev/null 2>&1 && continue
  ls /usr/lib/postgresql/*/bin/"$tool" /usr/sbin/"$tool" 2>/dev/null | grep -q . && continue
  missing="$missing $tool"
  case $tool in
    pgbench) packages="$packages postgresql-contrib" ;;
    strip) packages="$packages binutils" ;;
    systemd-analyze) packages="$packages systemd" ;;
    *) packages="$packages $tool" ;;
  esac
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "installing:$packages"
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086 # a list of packages
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages; } >/dev/null 2>&1 && exit 0
fi
echo "missing:$missing; install with: apt-get install$packages"
