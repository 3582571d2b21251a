#!/bin/sh
# beanstalk.sh PROGRAM FILE: packs what Elastic Beanstalk is given as FILE, a zip file: the program, the Procfile, the settings
# and what nginx is told.
set -eu
program=$(realpath "$1") file=$(realpath -m "$2")
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
cp "$program" "$work/bin/video-tutorials"
cp -R deploy/Procfile .ebextensions .platform "$work/"
rm -f "$file"
cd "$work" && zip -qrX "$file" Procfile .ebextensions .platform bin
