#!/bin/sh
# Makes sure that Redis' server is installed. It need not run: tests start servers of their own.
. "$(dirname "$0")/common.sh"

if ! command -v redis-server >/dev/null; then
    apt_install "Redis" redis-server
fi
