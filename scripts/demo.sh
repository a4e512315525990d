#!/bin/sh
# The main job, before your eyes: an agent reports to a Wasm plugin, on memory:// or over RabbitMQ.
# On a terminal it serves until Ctrl-C; elsewhere it ends by itself.
. "$(dirname "$0")/common.sh"
cd "$(dirname "$0")/.."

broker="${1:-memory}"
endpointd="$PWD/target/debug/endpointd"
work="$(mktemp -d)"
host_pid='' broker_pid=''

stop() {
    [ -z "$host_pid" ] || { kill "$host_pid" && wait "$host_pid"; } 2>/dev/null || true
    [ -z "$broker_pid" ] || { kill "$broker_pid" && wait "$broker_pid"; } 2>/dev/null || true
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM
interactive=''
if [ -t 0 ] && [ -t 1 ]; then interactive=yes; fi

# wait_for FILE TEXT SECONDS PID: until the file has the text, or the process is gone.
wait_for() {
    tries=$(($3 * 10))
    until grep -q "$2" "$1" 2>/dev/null; do
        tries=$((tries - 1))
        if [ $tries -le 0 ] || ! kill -0 "$4" 2>/dev/null; then
            tail -n 15 "$1" "$work"/*.log >&2
            echo "endpointd: the demo could not start; the last of what it printed is above." >&2
            echo "Ports 9797 and, for RabbitMQ, 25673 and 25674 must be free." >&2
            exit 1
        fi
        sleep 0.1
    done
}

case "$broker" in
    memory) url=memory:// ;;
    rabbitmq)
        scripts/setup-rabbitmq.sh
        scripts/setup-peers.sh
        url=rabbit://guest:guest@127.0.0.1:25673/
        say "Starting a private RabbitMQ node on port 25673 (about 10 s)"
        scripts/rabbitmq-node.sh "$work/rabbitmq" 25673 >"$work/rabbitmq.log" 2>&1 &
        broker_pid=$!
        wait_for "$work/rabbitmq.log" 'Starting broker... completed' 60 $broker_pid
        ;;
    *)
        echo "endpointd: BROKER=$broker is not known: use BROKER=memory or BROKER=rabbitmq" >&2
        exit 2
        ;;
esac

say "Starting the host on $url with the plugins of target/plugins"
"$endpointd" serve --config examples/report_state/endpointd.toml --transport-url "$url" \
    --plugins target/plugins >"$work/ready.log" 2>"$work/host.log" &
host_pid=$!
wait_for "$work/ready.log" '^ready' 30 $host_pid
cat "$work/ready.log"

# What is called, as a command that can be typed, and what came back.
show() {
    printf '\n  request  endpointd call'
    for word in "$@"; do
        case "$word" in
            *[!A-Za-z0-9._=:/-]*) printf " '%s'" "$word" ;;
            *) printf ' %s' "$word" ;;
        esac
    done
    code=0
    outcome="$("$endpointd" call "$@" 2>&1)" || code=$?
    printf '\n  reply    %s\n' "$outcome"
    [ $code = 0 ] || printf '           (exit code %s)\n' $code
}

now() {
    date -u +%Y-%m-%dT%H:%M:%S.%6N
}

agent='{"agent_state": {"agent_type": "Open vSwitch agent", "binary": "neutron-openvswitch-agent", "host": "node1", "topic": "N/A"}}'
say "An agent reports for the first time, then again"
show q-reports-plugin report_state --version 1.4 "agent_state=$agent" "time=$(now)"
show q-reports-plugin report_state --version 1.4 "agent_state=$agent" "time=$(now)"
say "Somebody asks for a version that is newer than the plugin's"
show q-reports-plugin report_state --version 1.5 "agent_state=$agent" "time=$(now)"

if [ "$broker" = rabbitmq ]; then
    say "An unmodified neutron.agent.rpc.PluginReportStateAPI does the same from Python"
    report='{"agent_type": "L3 agent", "binary": "neutron-l3-agent", "host": "node2", "topic": "l3_agent"}'
    for _ in 1 2; do
        printf '{"do": "report_state", "agent_state": %s}\n' "$report"
    done | "$cache/peers/bin/python" tests/peers/agent.py "$url" 2>"$work/agent.log" |
        sed -n 's/{"result": \(.*\)}/\n  reply    \1/p'
fi

cat <<'NEXT'

==> Where to go next
  target/debug/endpointd check target/plugins/report_state/report_state.wasm
        tells what a plugin serves and wants
  README.md, "Write a plugin"
        has your own methods in a few lines
NEXT
if [ -n "$interactive" ]; then
    cat <<'NEXT'
  target/debug/endpointd call q-reports-plugin get_agents --version 1.4
        calls it from another terminal, while this runs

Serving until you press Ctrl-C.
NEXT
    trap 'printf "\n==> Stopped\n"; exit 0' INT TERM
    wait $host_pid
else
    printf '\nOn a terminal this would now serve until Ctrl-C.\n'
fi
