#!/bin/sh
# Makes sure that RabbitMQ's server is installed. It need not run: demo and tests start nodes of
# their own, on free ports and with their own data.
. "$(dirname "$0")/common.sh"

if ! ls /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server >/dev/null 2>&1; then
    apt_install "RabbitMQ" rabbitmq-server
fi
