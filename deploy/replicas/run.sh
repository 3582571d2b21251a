#!/bin/sh
# run.sh: the system in five processes on this machine, behind a proxy on $PORT (3000): aggregators with the private
# Postgres, components twice, the web twice. Ctrl-C ends all of them.
set -eu
cd "$(dirname "$0")/../.."
export PORT="${PORT:-3000}" DATA_DIR="${DATA_DIR:-./data}" ENVIRONMENT="${ENVIRONMENT:-development}"
export BASE_URL="${BASE_URL:-http://localhost:$PORT}" TRUSTED_PROXIES=127.0.0.0/8,::1/128
export WEB1=$((PORT + 1)) WEB2=$((PORT + 2))
processes=
trap 'trap - EXIT INT TERM; kill $processes 2>/dev/null || true; wait' EXIT INT TERM
begin() { # PORT PARTS
  bin/video-tutorials --port "$1" --run "$2" --no-demo &
  processes="$! $processes" # the first, which has the databases, ends last
  until bin/video-tutorials healthcheck --port "$1" >/dev/null 2>&1; do
    kill -0 "${processes%% *}" 2>/dev/null || exit 1
    sleep 0.2
  done
}
begin $((PORT + 3)) aggregators
begin $((PORT + 4)) components
begin $((PORT + 5)) components
begin "$WEB1" web
begin "$WEB2" web
caddy run --config deploy/replicas/Caddyfile &
processes="$! $processes"
echo "behind the proxy: $BASE_URL   the replicas: http://localhost:$WEB1 http://localhost:$WEB2"
wait
