#!/bin/sh
# Checks that scenes share. A scene compares with `equal` or `holds`, and ends with `conclude`.
wrong=0

# equal WHAT FOUND WANTED
equal() {
    if [ "$2" = "$3" ]; then
        echo "ok    $1: $2"
    else
        echo "WRONG $1: $2 instead of $3"
        wrong=$((wrong + 1))
    fi
}

# holds WHAT COMMAND...: the command succeeds
holds() {
    what=$1
    shift
    if "$@" > /tmp/output 2>&1; then
        echo "ok    $what"
    else
        echo "WRONG $what: $(head -n 3 /tmp/output)"
        wrong=$((wrong + 1))
    fi
}

note() { echo "note  $*"; }

# lacks WHAT: ends the scene, as this kernel cannot play it
lacks() {
    echo "lacks $*"
    exit 3
}

# eventually COMMAND: waits at most 20 s until the command succeeds
eventually() {
    for _ in $(seq 200); do
        eval "$*" && return 0
        sleep 0.1
    done
    return 1
}

# start_exporter ARGUMENTS...
start_exporter() {
    # shellcheck disable=SC2086 # AS is a command with arguments
    ${AS:-} veth-exporter --web.listen-address 127.0.0.1:10736 "$@" > /tmp/log 2>&1 &
    exporter=$!
    if ! eventually 'wget -qO /dev/null http://127.0.0.1:10736/-/ready 2> /dev/null'; then
        echo "WRONG the exporter is not ready:"
        cat /tmp/log
        exit 1
    fi
}

stop_exporter() {
    kill "$exporter"
    wait "$exporter" 2> /dev/null
}

scrape() { wget -qO /tmp/metrics http://127.0.0.1:10736/metrics; }

# value FAMILY LABEL...: the sum of the series that have every label; "none" if no series has
value() {
    family=$1
    shift
    awk -v family="$family" -v wanted="$(printf '%s\n' "$@")" '
        BEGIN { count = split(wanted, label, "\n") }
        index($0, family "{") == 1 || index($0, family " ") == 1 {
            for (i = 1; i <= count; i++) if (label[i] != "" && !index($0, label[i])) next
            sum += $NF
            found = 1
        }
        END { if (found) printf "%.0f\n", sum; else print "none" }' /tmp/metrics
}

# counted NETNS DEVICE receive|transmit bytes|packets: the kernel's own value; "-" is the host
counted() {
    case $3$4 in
        receivebytes) field=2 ;;
        receivepackets) field=3 ;;
        transmitbytes) field=10 ;;
        transmitpackets) field=11 ;;
    esac
    if [ "$1" = - ]; then cat /proc/net/dev; else ip netns exec "$1" cat /proc/net/dev; fi |
        tr : ' ' | awk -v device="$2" -v field="$field" '$1 == device { print $field }'
}

# shown NETNS DEVICE receive|transmit bytes|packets: the kernel's own value as `ip` prints it; "-" is the host
shown() {
    case $3 in receive) side=rx ;; transmit) side=tx ;; esac
    in=
    [ "$1" = - ] || in="-n $1"
    # shellcheck disable=SC2086 # an option and its value
    ip $in -s -j link show dev "$2" | jq ".[0].stats64.$side.$4"
}

# equal_port DEVICE: what the exporter has of a port is what the kernel has, read in two ways
equal_port() {
    for way in receive transmit; do
        for unit in bytes packets; do
            found=$(value veth_device_${way}_${unit}_total "device=\"$1\"")
            equal "$1: $way $unit as in /proc/net/dev" "$found" "$(counted - "$1" $way $unit)"
            equal "$1: $way $unit as ip prints them" "$found" "$(shown - "$1" $way $unit)"
        done
    done
}

# mark NAME...: notes what each namespace's eth0 has counted; equal_workload compares with what came since then
mark() {
    for name; do
        for way in receive transmit; do
            for unit in bytes packets; do counted "$name" eth0 $way $unit > "/tmp/$name-$way-$unit"; done
        done
    done
}

# equal_workload NAME: what the exporter has of a workload is what its namespace has counted since `mark`
equal_workload() {
    for way in receive transmit; do
        for unit in bytes packets; do
            before=$(cat "/tmp/$1-$way-$unit")
            equal "$1: $way $unit of the workload" "$(value veth_container_${way}_${unit}_total "container=\"$1\"")" \
                $(($(counted "$1" eth0 $way $unit) - before))
        done
    done
}

# conclude: checks that the exporter has found no fault of its own, and ends the scene
conclude() {
    scrape
    for family in netlink_lost resync_corrections bad_messages claims_rejected; do
        found=$(value "veth_exporter_${family}_total")
        [ "$found" = none ] || equal "veth_exporter_${family}_total" "$found" 0
    done
    grep -E 'level=(warn|error)| WARN | ERROR ' /tmp/log | sed 's/^/log   /'
    [ $wrong = 0 ]
    exit
}
