# shellcheck shell=bash
# The ground of the scenes: the exporter, its values and their truth, and the results. Sourced by each of tests/field/engines/scenes.
#
# A scene is a function. It sets `why` and returns 1 where something is wrong, and may set `detail` to what it has measured.
set -uo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
work=$TMPDIR/$(basename "$0")
mkdir -p "$work"
metrics=127.0.0.1:10736
exporter='' proxy='' stopper=''
say() { printf '%s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
end() {
    if [[ -n $1 ]] && kill -TERM "$1" 2>/dev/null; then wait "$1" 2>/dev/null || true; fi
}

# Runs a scene and notes its result: check ENGINE WHAT FUNCTION [ARGUMENT]...
check() {
    local engine=$1 what=$2 result=right begin=$SECONDS
    shift 2
    why='' detail=''
    if ! "$@"; then
        result=wrong
        detail=${why:-it did not come to its end}
        say "---- log of the exporter" >&2
        tail -n 15 "$work/exporter.log" >&2
    fi
    note "$result" "$engine" "$what" "$detail"
    say "$result: $engine: $what: $detail ($((SECONDS - begin)) s)"
}
# Notes a result, one line: right, wrong or absent, the engine, what, and the detail.
note() {
    printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$(tr '\t\n' '  ' <<<"$4" | sed 's/ *$//')" >>"$VETH_FIELD_RESULTS"
}
because() {
    why=$*
    return 1
}

# Waits until a command succeeds: until_true SECONDS COMMAND...
until_true() {
    local last=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < last)) || return 1
        sleep 0.1
    done
}

# Starts the exporter anew, and waits until it has an answer of this source: its totals begin with it.
start_exporter() {
    local source=$1
    shift
    end_exporter
    # The network namespace of the root stands for the host's.
    VETH_EXPORTER_NETNS_OWN=true "$VETH_FIELD_EXPORTER" --web.listen-address "$metrics" --log.level debug "$@" >"$work/exporter.log" 2>&1 &
    exporter=$!
    until_true 30 works "$source" || because "the source $source does not answer"
}
works() {
    scrape && grep -q "^veth_exporter_collector_success{collector=\"$1\"} 1" "$work/metrics"
}
end_exporter() {
    end_stopper
    end "$exporter"
    exporter=''
}
scrape() { curl -sS --max-time 20 "http://$metrics/metrics" >"$work/metrics"; }

# Stops and continues the exporter all the time.
start_stopper() {
    (
        while kill -STOP "$exporter" 2>/dev/null; do
            sleep 0.3
            kill -CONT "$exporter" 2>/dev/null || exit 0
            sleep 0.1
        done
    ) &
    stopper=$!
}
end_stopper() {
    end "$stopper"
    stopper=''
    if [[ -n $exporter ]]; then kill -CONT "$exporter" 2>/dev/null || true; fi
}

# Puts a proxy before an engine's socket: start_proxy ENGINE PROXY [--refuse TEXT] [--future].
start_proxy() {
    end_proxy
    python3 "$here/proxy" "$@" >"$work/proxy.log" 2>&1 &
    proxy=$!
    until_true 10 test -S "$2" || because 'the proxy does not listen'
}
end_proxy() {
    end "$proxy"
    proxy=''
}

# Prints the values of a family in the last scrape, of the series with these labels: values FAMILY LABEL=VALUE...
values() {
    local family=$1
    shift
    awk -v family="$family" -v wanted="$*" '
        BEGIN { count = split(wanted, pair, " ") }
        index($0, family "{") == 1 {
            for (i = 1; i <= count; i++) {
                at = index(pair[i], "=")
                label = substr(pair[i], 1, at - 1) "=\"" substr(pair[i], at + 1) "\""
                if (!index($0, "{" label) && !index($0, "," label)) next
            }
            print $NF
        }' "$work/metrics"
}

# Prints what an interface of a process has counted: received bytes and packets, sent bytes and packets.
truth() {
    awk -v name="$2" '{ sub(":", " ") } $1 == name { print $2, $3, $10, $11 }' "/proc/$1/net/dev"
}
# Prints the same as the exporter has booked it: booked INTERFACE LABEL=VALUE...
booked() {
    local interface=$1 family
    shift
    scrape || return 1
    for family in receive_bytes receive_packets transmit_bytes transmit_packets; do
        values "veth_container_${family}_total" "interface=$interface" "$@"
    done | paste -sd ' '
}
# Checks that the booked values are the counted ones, at a moment when nothing is counted: exact PID INTERFACE LABEL=VALUE...
exact() {
    local pid=$1 interface=$2 before after seen try
    shift 2
    for ((try = 0; try < 100; try++)); do
        before=$(truth "$pid" "$interface")
        seen=$(booked "$interface" "$@")
        after=$(truth "$pid" "$interface")
        if [[ -n $after && $before == "$after" && $seen == "$after" ]]; then return; fi
        sleep 0.1
    done
    because "$*: booked $seen, counted $after"
}

# Waits until a workload has its name, for so many milliseconds at most; adds the time to `names`: named MILLISECONDS LABEL=VALUE...
named() {
    local limit=$1 begin now
    shift
    begin=$(date +%s%3N)
    while scrape; do
        now=$(($(date +%s%3N) - begin))
        if [[ -n $(values veth_container_receive_bytes_total "$@") ]]; then
            names+=("$now")
            return
        fi
        ((now < limit)) || break
        sleep 0.03
    done
    because "$*: no name within $limit ms"
}
# Prints the longest of `names`.
longest() { printf '%s\n' "${names[@]}" | sort -n | tail -n 1; }

# Fails if a series has a made-up name.
all_have_names() {
    local bad
    scrape
    bad=$(grep -E '^veth_(container|device)_[a-z_]*\{' "$work/metrics" | grep -E 'runtime="(unknown|process|named)"' | head -n 1)
    [[ -z $bad ]] || because "without a name: $bad"
}

# Prints the requests to an engine so far, of one call: requests ENGINE CALL.
requests_of() {
    scrape
    values veth_exporter_engine_requests_total "engine=$1" "call=$2" | awk '{ sum += $1 } END { print sum + 0 }'
}
# Prints all of them, `CALL COUNT` a line.
requests_so_far() {
    scrape && sed -n 's/^veth_exporter_engine_requests_total{call="\([^"]*\)",engine="'"$1"'"} /\1 /p' "$work/metrics" | sort
}
# Prints the requests a second between two such lists: rates BEFORE AFTER SECONDS.
rates() {
    awk -v span="$3" 'FNR == NR { before[$1] = $2; next }
        { grown = $2 - before[$1]; all += grown; if (grown) what = what sep $1 " " grown; if (grown) sep = ", " }
        END { printf "%.2f requests a second (%s)", all / span, what ? what : "none" }' "$1" "$2"
}
# Prints what the exporter says of its own events.
of_exporter() {
    awk '/^veth_exporter_(netlink_lost|resync_corrections|claims_rejected)_total/ { split($1, name, "{")
        printf "%s%s %s", sep, substr(name[1], 15), $2; sep = ", " }' "$work/metrics"
}

# Makes a root of busybox in a folder.
busybox_root() {
    local applet
    mkdir -p "$1"/{bin,dev,etc,proc,sys,tmp,run}
    cp /bin/busybox "$1/bin/"
    for applet in sh sleep ping ip cat echo sed ifconfig; do ln -sf busybox "$1/bin/$applet"; done
}
