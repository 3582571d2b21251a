#!/bin/sh
# root.sh FOLDER: makes FOLDER the root of the image, but for the program: ffmpeg and ffprobe with every library that they load,
# the certificates of authorities, and the folders that are written to. There is no shell in it, and nothing else.
set -eu
root=$1
for tool in ffmpeg ffprobe; do
  file=$(command -v "$tool") || { echo "there is no $tool on this machine" >&2; exit 1; }
  mkdir -p "$root/usr/bin"
  cp -L "$file" "$root/usr/bin/$tool"
  ldd "$file" | sed -n 's/.*=> \(\/[^ ]*\) (0x.*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (0x.*/\1/p' | sort -u | while read -r library; do
    [ -e "$root$library" ] && continue
    mkdir -p "$root${library%/*}"
    cp -L "$library" "$root$library"
  done
done
mkdir -p "$root/etc/ssl/certs" "$root/data" "$root/tmp" "$root/proc" "$root/dev"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
chmod 1777 "$root/tmp"
