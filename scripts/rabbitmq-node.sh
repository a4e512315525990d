#!/bin/sh
# rabbitmq-node.sh FOLDER PORT [DIST-PORT]: runs a private RabbitMQ node in the foreground, with all
# that it writes in FOLDER. End it with a signal; FOLDER/pid has the server's process id. Lines of
# FOLDER/extra.conf, if it is there, are added to its configuration.
set -eu
if [ $# -lt 2 ]; then
    echo "usage: scripts/rabbitmq-node.sh FOLDER PORT [DIST-PORT]" >&2
    exit 2
fi
mkdir -p "$1"
folder="$(cd "$1" && pwd)" port="$2" dist_port="${3:-$(($2 + 1))}"

server="$(ls -d /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server | tail -n 1)"
mkdir -p "$folder/mnesia" "$folder/log"
echo '[].' >"$folder/enabled_plugins"
# A node reserves memory by what the machine has; its neighbours here need theirs.
printf 'loopback_users = none\nvm_memory_high_watermark.absolute = 1GB\ndisk_free_limit.absolute = 50MB\n' \
    >"$folder/rabbitmq.conf"
[ ! -f "$folder/extra.conf" ] || cat "$folder/extra.conf" >>"$folder/rabbitmq.conf"

export HOME="$folder" # The cookie is kept there.
export RABBITMQ_NODENAME="endpointd-$port@localhost"
export RABBITMQ_NODE_IP_ADDRESS=127.0.0.1
export RABBITMQ_NODE_PORT="$port"
export RABBITMQ_DIST_PORT="$dist_port"
export RABBITMQ_PID_FILE="$folder/pid"
export RABBITMQ_MNESIA_BASE="$folder/mnesia"
export RABBITMQ_LOG_BASE="$folder/log"
export RABBITMQ_ENABLED_PLUGINS_FILE="$folder/enabled_plugins"
export RABBITMQ_CONFIG_FILE="$folder/rabbitmq.conf"
# A node that fails at its start would leave it where it was started.
export ERL_CRASH_DUMP="$folder/erl_crash.dump"
# One scheduler is enough for a test, unless something else is asked for; and nobody else is to join
# the node.
schedulers="${ENDPOINTD_RABBITMQ_SCHEDULERS-+S 1:1}"
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="$schedulers -kernel inet_dist_use_interface {127,0,0,1}"
# Then the server takes the place of its script, and gets the signals.
export RUNNING_UNDER_SYSTEMD=yes
# The wrapper on PATH switches to the user `rabbitmq`; the script in the package does not.
exec "$server"
