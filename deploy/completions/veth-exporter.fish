# Prints the command of the line, and fails, if there is one.
function __fish_veth_exporter_needs_command
    set -l words (commandline -opc)
    set -l value_follows no
    for word in $words[2..]
        if test $value_follows = yes
            set value_follows no
        else if contains -- $word --collector.disable --collector.history --collector.interval --collector.tcp --container.exclude --container.include --container.labels --container.name-from-label --container.retention --cri.endpoint --device.exclude --device.include --device.metrics --docker.host --format --interval --limits.interfaces --limits.series --log.format --log.level --metrics.created --path.netns --path.procfs --peak.window --podman.host --privileges --sandbox.disable --sandbox.read --sort --state.directory --state.interval --url --url.ca-file --url.password-file --url.user --web.config.file --web.external-url --web.listen-address --web.max-requests --web.route-prefix --web.telemetry-path
            set value_follows yes
        else if not string match -q -- '-*' $word
            echo $word
            return 1
        end
    end
    return 0
end

function __fish_veth_exporter_using_subcommand
    set -l cmd (__fish_veth_exporter_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l web.listen-address -d 'Listen address: HOST:PORT, :PORT or unix:PATH; may be given several times' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l web.config.file -d 'Web configuration file: TLS, passwords, headers and a rate limit, in exporter-toolkit\'s format' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l web.external-url -d 'URL at which clients reach the exporter, for links and redirects' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l web.route-prefix -d 'Prefix of all paths [default: the path of --web.external-url]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l web.telemetry-path -d 'Path of the metrics' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l docker.host -d 'Docker engine: unix:///PATH or tcp://HOST:PORT [default: $DOCKER_HOST, else unix:///var/run/docker.sock]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l podman.host -d 'Podman service: unix:///PATH or tcp://HOST:PORT [default: unix:///run/podman/podman.sock]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l cri.endpoint -d 'Server of the Container Runtime Interface: unix:///PATH or PATH [default: the usual sockets of CRI-O, k3s, k0s and containerd]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l collector.disable -d 'Collector to disable; may be given several times' -r -f -a "docker\t''
podman\t''
cri\t''
named\t''
process\t''"
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l path.procfs -d 'Mount point of procfs' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l path.netns -d 'Folder of the named network namespaces [default: /run/netns]' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l container.name-from-label -d 'Label by which Docker\'s and Podman\'s containers are named; of several, the first one that a container has counts' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l collector.interval -d 'Interval at which links and names are read' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l container.retention -d 'Time for which a workload\'s totals are kept after its last pair is gone' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l peak.window -d 'Time span of the peaks' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l collector.history -d 'Whether the rates of each workload in the last hour are kept for the page: 500 bytes each' -r -f -a "true\t''
false\t''"
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l collector.tcp -d 'Whether the TCP figures of each workload are read, every 15 seconds' -r -f -a "true\t''
false\t''"
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l metrics.created -d 'Whether OpenMetrics has the time at which each total began (_created)' -r -f -a "true\t''
false\t''"
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l state.directory -d 'Directory in which totals outlive the exporter and the host [default: totals begin at 0]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l state.interval -d 'Interval at which totals are written to --state.directory' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l container.labels -d 'Label of containers and pods that veth_container_info shows as label_NAME; may be given several times' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l container.include -d 'Show only these containers: regular expression for the whole name, which is NAMESPACE/POD for a pod' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l container.exclude -d 'Hide these containers: regular expression for the whole name' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l device.include -d 'Show only these devices in veth_device_*: regular expression for the whole name' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l device.exclude -d 'Hide these devices in veth_device_*: regular expression for the whole name' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l device.metrics -d 'Show veth_device_*: true, state (without the counters of bytes, packets and drops), or false (the metrics of workloads and networks only)' -r -f -a "false\t''
state\t''
true\t''"
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l web.max-requests -d 'Limit of scrapes served at a time, 0 for none; further scrapes get 503' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l limits.series -d 'Limit of veth series, 0 for none; further pairs are summed under other' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l limits.interfaces -d 'Limit of the label sets of a workload, 0 for none; its further interfaces are summed under other' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l privileges -d 'Privileges kept after the start: full keeps CAP_NET_ADMIN if present, minimal keeps no capability' -r -f -a "full\t''
minimal\t''"
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l sandbox.disable -d 'Sandbox part to disable, for debugging; may be given several times' -r -f -a "capabilities\t''
no-new-privs\t''
dumpable\t''
landlock\t''
seccomp\t''
all\t''"
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l sandbox.read -d 'Additional folder that the sandbox permits to read, such as an engine\'s folder of network namespaces; may be given several times' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l log.level -d 'Lowest severity of log messages [default: info; of list, find, explain and name-filter: warn]' -r -f -a "debug\t'All messages, for debugging'
info\t'Events of normal operation, warnings and errors'
warn\t'Warnings and errors only'
error\t'Errors and nothing else'"
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l log.format -d 'Format of log messages [default: logfmt; of list, find, explain and name-filter: a sentence without a time]' -r -f -a "logfmt\t'A line of `key=value` pairs for each message'
json\t'A JSON object on a line for each message'"
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l web.systemd-socket -d 'Serve on the sockets that systemd has opened, instead of --web.listen-address'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l netns.own -d 'Show the network namespace that the exporter is in, without a warning if it is not the host\'s'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l bpf.drops -d 'Count the packets that the kernel drops, by workload and reason (eBPF, Linux 5.17); needs CAP_BPF and CAP_PERFMON at the start'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l annotate.alias -d 'Write the workload\'s name into the alias of each port that has none (`ip link`, node_exporter); needs CAP_NET_ADMIN'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -s V -l version -d 'Print version'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "serve" -d 'Collect veth pairs, and serve the page and /metrics (the default)'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "list" -d 'Print all pairs once, or those that fit some words'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "find" -d 'Find the owner of a device, an address or a container\'s interface'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "explain" -d 'Say why two ends cannot talk'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "top" -d 'Show all pairs in the terminal, live'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "name-filter" -d 'Put the workload\'s name behind each veth in the output of another program'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "annotate" -d 'Remove the aliases that --annotate.alias has written'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "check-web-config" -d 'Check a file for --web.config.file'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "healthy" -d 'Check the exporter that serves on this host: exit code 0 if it is healthy, else 1'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "completions" -d 'Print the completions for a shell'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "names" -d 'Print the names that the exporter on this host knows, for the completions'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l web.listen-address -d 'Listen address: HOST:PORT, :PORT or unix:PATH; may be given several times' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l web.config.file -d 'Web configuration file: TLS, passwords, headers and a rate limit, in exporter-toolkit\'s format' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l web.external-url -d 'URL at which clients reach the exporter, for links and redirects' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l web.route-prefix -d 'Prefix of all paths [default: the path of --web.external-url]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l web.telemetry-path -d 'Path of the metrics' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l docker.host -d 'Docker engine: unix:///PATH or tcp://HOST:PORT [default: $DOCKER_HOST, else unix:///var/run/docker.sock]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l podman.host -d 'Podman service: unix:///PATH or tcp://HOST:PORT [default: unix:///run/podman/podman.sock]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l cri.endpoint -d 'Server of the Container Runtime Interface: unix:///PATH or PATH [default: the usual sockets of CRI-O, k3s, k0s and containerd]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l collector.disable -d 'Collector to disable; may be given several times' -r -f -a "docker\t''
podman\t''
cri\t''
named\t''
process\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l path.procfs -d 'Mount point of procfs' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l path.netns -d 'Folder of the named network namespaces [default: /run/netns]' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l container.name-from-label -d 'Label by which Docker\'s and Podman\'s containers are named; of several, the first one that a container has counts' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l collector.interval -d 'Interval at which links and names are read' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l container.retention -d 'Time for which a workload\'s totals are kept after its last pair is gone' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l peak.window -d 'Time span of the peaks' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l collector.history -d 'Whether the rates of each workload in the last hour are kept for the page: 500 bytes each' -r -f -a "true\t''
false\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l collector.tcp -d 'Whether the TCP figures of each workload are read, every 15 seconds' -r -f -a "true\t''
false\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l metrics.created -d 'Whether OpenMetrics has the time at which each total began (_created)' -r -f -a "true\t''
false\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l state.directory -d 'Directory in which totals outlive the exporter and the host [default: totals begin at 0]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l state.interval -d 'Interval at which totals are written to --state.directory' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l container.labels -d 'Label of containers and pods that veth_container_info shows as label_NAME; may be given several times' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l container.include -d 'Show only these containers: regular expression for the whole name, which is NAMESPACE/POD for a pod' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l container.exclude -d 'Hide these containers: regular expression for the whole name' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l device.include -d 'Show only these devices in veth_device_*: regular expression for the whole name' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l device.exclude -d 'Hide these devices in veth_device_*: regular expression for the whole name' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l device.metrics -d 'Show veth_device_*: true, state (without the counters of bytes, packets and drops), or false (the metrics of workloads and networks only)' -r -f -a "false\t''
state\t''
true\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l web.max-requests -d 'Limit of scrapes served at a time, 0 for none; further scrapes get 503' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l limits.series -d 'Limit of veth series, 0 for none; further pairs are summed under other' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l limits.interfaces -d 'Limit of the label sets of a workload, 0 for none; its further interfaces are summed under other' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l privileges -d 'Privileges kept after the start: full keeps CAP_NET_ADMIN if present, minimal keeps no capability' -r -f -a "full\t''
minimal\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l sandbox.disable -d 'Sandbox part to disable, for debugging; may be given several times' -r -f -a "capabilities\t''
no-new-privs\t''
dumpable\t''
landlock\t''
seccomp\t''
all\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l sandbox.read -d 'Additional folder that the sandbox permits to read, such as an engine\'s folder of network namespaces; may be given several times' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l log.level -d 'Lowest severity of log messages [default: info; of list, find, explain and name-filter: warn]' -r -f -a "debug\t'All messages, for debugging'
info\t'Events of normal operation, warnings and errors'
warn\t'Warnings and errors only'
error\t'Errors and nothing else'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l log.format -d 'Format of log messages [default: logfmt; of list, find, explain and name-filter: a sentence without a time]' -r -f -a "logfmt\t'A line of `key=value` pairs for each message'
json\t'A JSON object on a line for each message'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l web.systemd-socket -d 'Serve on the sockets that systemd has opened, instead of --web.listen-address'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l netns.own -d 'Show the network namespace that the exporter is in, without a warning if it is not the host\'s'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l bpf.drops -d 'Count the packets that the kernel drops, by workload and reason (eBPF, Linux 5.17); needs CAP_BPF and CAP_PERFMON at the start'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l annotate.alias -d 'Write the workload\'s name into the alias of each port that has none (`ip link`, node_exporter); needs CAP_NET_ADMIN'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l format -d 'Format in which the pairs are printed' -r -f -a "table\t'Aligned columns below a heading, no wider than the terminal'
json\t'JSON text for programs: the document of the API'
tsv\t'Lines of fields with a tab between each two, for programs'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l sort -d 'Field by which the rows are sorted, the lowest first; with a dash before it the highest first [default: the order of the kernel]' -r -f -a "device\t''
workload\t''
network\t''
receive\t''
transmit\t''
busy\t''
drops\t''
state\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l docker.host -d 'Docker engine: unix:///PATH or tcp://HOST:PORT [default: $DOCKER_HOST, else unix:///var/run/docker.sock]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l podman.host -d 'Podman service: unix:///PATH or tcp://HOST:PORT [default: unix:///run/podman/podman.sock]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l cri.endpoint -d 'Server of the Container Runtime Interface: unix:///PATH or PATH [default: the usual sockets of CRI-O, k3s, k0s and containerd]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l collector.disable -d 'Collector to disable; may be given several times' -r -f -a "docker\t''
podman\t''
cri\t''
named\t''
process\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l path.procfs -d 'Mount point of procfs' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l path.netns -d 'Folder of the named network namespaces [default: /run/netns]' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l container.name-from-label -d 'Label by which Docker\'s and Podman\'s containers are named; of several, the first one that a container has counts' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l privileges -d 'Privileges kept after the start: full keeps CAP_NET_ADMIN if present, minimal keeps no capability' -r -f -a "full\t''
minimal\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l sandbox.disable -d 'Sandbox part to disable, for debugging; may be given several times' -r -f -a "capabilities\t''
no-new-privs\t''
dumpable\t''
landlock\t''
seccomp\t''
all\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l sandbox.read -d 'Additional folder that the sandbox permits to read, such as an engine\'s folder of network namespaces; may be given several times' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l log.level -d 'Lowest severity of log messages [default: info; of list, find, explain and name-filter: warn]' -r -f -a "debug\t'All messages, for debugging'
info\t'Events of normal operation, warnings and errors'
warn\t'Warnings and errors only'
error\t'Errors and nothing else'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l log.format -d 'Format of log messages [default: logfmt; of list, find, explain and name-filter: a sentence without a time]' -r -f -a "logfmt\t'A line of `key=value` pairs for each message'
json\t'A JSON object on a line for each message'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l bytes -d 'Print exact numbers of bytes, in place of 1.23 MB'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l no-header -d 'Print no line of headings'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l netns.own -d 'Show the network namespace that the exporter is in, without a warning if it is not the host\'s'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l format -d 'Format in which the results are printed' -r -f -a "table\t'A block of lines for each pair or finding'
json\t'JSON text for programs'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l docker.host -d 'Docker engine: unix:///PATH or tcp://HOST:PORT [default: $DOCKER_HOST, else unix:///var/run/docker.sock]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l podman.host -d 'Podman service: unix:///PATH or tcp://HOST:PORT [default: unix:///run/podman/podman.sock]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l cri.endpoint -d 'Server of the Container Runtime Interface: unix:///PATH or PATH [default: the usual sockets of CRI-O, k3s, k0s and containerd]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l collector.disable -d 'Collector to disable; may be given several times' -r -f -a "docker\t''
podman\t''
cri\t''
named\t''
process\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l path.procfs -d 'Mount point of procfs' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l path.netns -d 'Folder of the named network namespaces [default: /run/netns]' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l container.name-from-label -d 'Label by which Docker\'s and Podman\'s containers are named; of several, the first one that a container has counts' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l privileges -d 'Privileges kept after the start: full keeps CAP_NET_ADMIN if present, minimal keeps no capability' -r -f -a "full\t''
minimal\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l sandbox.disable -d 'Sandbox part to disable, for debugging; may be given several times' -r -f -a "capabilities\t''
no-new-privs\t''
dumpable\t''
landlock\t''
seccomp\t''
all\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l sandbox.read -d 'Additional folder that the sandbox permits to read, such as an engine\'s folder of network namespaces; may be given several times' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l log.level -d 'Lowest severity of log messages [default: info; of list, find, explain and name-filter: warn]' -r -f -a "debug\t'All messages, for debugging'
info\t'Events of normal operation, warnings and errors'
warn\t'Warnings and errors only'
error\t'Errors and nothing else'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l log.format -d 'Format of log messages [default: logfmt; of list, find, explain and name-filter: a sentence without a time]' -r -f -a "logfmt\t'A line of `key=value` pairs for each message'
json\t'A JSON object on a line for each message'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l netns.own -d 'Show the network namespace that the exporter is in, without a warning if it is not the host\'s'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand explain" -l format -d 'Format in which the findings are printed' -r -f -a "table\t'A block of lines for each pair or finding'
json\t'JSON text for programs'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand explain" -l docker.host -d 'Docker engine: unix:///PATH or tcp://HOST:PORT [default: $DOCKER_HOST, else unix:///var/run/docker.sock]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand explain" -l podman.host -d 'Podman service: unix:///PATH or tcp://HOST:PORT [default: unix:///run/podman/podman.sock]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand explain" -l cri.endpoint -d 'Server of the Container Runtime Interface: unix:///PATH or PATH [default: the usual sockets of CRI-O, k3s, k0s and containerd]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand explain" -l collector.disable -d 'Collector to disable; may be given several times' -r -f -a "docker\t''
podman\t''
cri\t''
named\t''
process\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand explain" -l path.procfs -d 'Mount point of procfs' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand explain" -l path.netns -d 'Folder of the named network namespaces [default: /run/netns]' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand explain" -l container.name-from-label -d 'Label by which Docker\'s and Podman\'s containers are named; of several, the first one that a container has counts' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand explain" -l privileges -d 'Privileges kept after the start: full keeps CAP_NET_ADMIN if present, minimal keeps no capability' -r -f -a "full\t''
minimal\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand explain" -l sandbox.disable -d 'Sandbox part to disable, for debugging; may be given several times' -r -f -a "capabilities\t''
no-new-privs\t''
dumpable\t''
landlock\t''
seccomp\t''
all\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand explain" -l sandbox.read -d 'Additional folder that the sandbox permits to read, such as an engine\'s folder of network namespaces; may be given several times' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand explain" -l log.level -d 'Lowest severity of log messages [default: info; of list, find, explain and name-filter: warn]' -r -f -a "debug\t'All messages, for debugging'
info\t'Events of normal operation, warnings and errors'
warn\t'Warnings and errors only'
error\t'Errors and nothing else'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand explain" -l log.format -d 'Format of log messages [default: logfmt; of list, find, explain and name-filter: a sentence without a time]' -r -f -a "logfmt\t'A line of `key=value` pairs for each message'
json\t'A JSON object on a line for each message'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand explain" -l netns.own -d 'Show the network namespace that the exporter is in, without a warning if it is not the host\'s'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l url -d 'Exporter to show: HOST:PORT, http://HOST:PORT, https://HOST:PORT or unix:PATH [default: none, reads this host directly]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l url.ca-file -d 'PEM file of the authorities that may sign the exporter\'s certificate [default: the system\'s]' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l url.user -d 'User name, in place of http://USER@HOST' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l url.password-file -d 'File with the user\'s password, in place of http://USER:PASSWORD@HOST, which other users can read' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l interval -d 'Interval at which the numbers are read' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l docker.host -d 'Docker engine: unix:///PATH or tcp://HOST:PORT [default: $DOCKER_HOST, else unix:///var/run/docker.sock]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l podman.host -d 'Podman service: unix:///PATH or tcp://HOST:PORT [default: unix:///run/podman/podman.sock]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l cri.endpoint -d 'Server of the Container Runtime Interface: unix:///PATH or PATH [default: the usual sockets of CRI-O, k3s, k0s and containerd]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l collector.disable -d 'Collector to disable; may be given several times' -r -f -a "docker\t''
podman\t''
cri\t''
named\t''
process\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l path.procfs -d 'Mount point of procfs' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l path.netns -d 'Folder of the named network namespaces [default: /run/netns]' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l container.name-from-label -d 'Label by which Docker\'s and Podman\'s containers are named; of several, the first one that a container has counts' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l privileges -d 'Privileges kept after the start: full keeps CAP_NET_ADMIN if present, minimal keeps no capability' -r -f -a "full\t''
minimal\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l sandbox.disable -d 'Sandbox part to disable, for debugging; may be given several times' -r -f -a "capabilities\t''
no-new-privs\t''
dumpable\t''
landlock\t''
seccomp\t''
all\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l sandbox.read -d 'Additional folder that the sandbox permits to read, such as an engine\'s folder of network namespaces; may be given several times' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l log.level -d 'Lowest severity of log messages [default: info; of list, find, explain and name-filter: warn]' -r -f -a "debug\t'All messages, for debugging'
info\t'Events of normal operation, warnings and errors'
warn\t'Warnings and errors only'
error\t'Errors and nothing else'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l log.format -d 'Format of log messages [default: logfmt; of list, find, explain and name-filter: a sentence without a time]' -r -f -a "logfmt\t'A line of `key=value` pairs for each message'
json\t'A JSON object on a line for each message'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l url.insecure-skip-verify -d 'Accept any certificate of the exporter'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l netns.own -d 'Show the network namespace that the exporter is in, without a warning if it is not the host\'s'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand name-filter" -l url -d 'Exporter that knows the names: HOST:PORT, http://HOST:PORT, https://HOST:PORT or unix:PATH [default: localhost:10736; if none answers there, this host is read directly]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand name-filter" -l url.ca-file -d 'PEM file of the authorities that may sign the exporter\'s certificate [default: the system\'s]' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand name-filter" -l url.user -d 'User name, in place of http://USER@HOST' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand name-filter" -l url.password-file -d 'File with the user\'s password, in place of http://USER:PASSWORD@HOST, which other users can read' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand name-filter" -l docker.host -d 'Docker engine: unix:///PATH or tcp://HOST:PORT [default: $DOCKER_HOST, else unix:///var/run/docker.sock]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand name-filter" -l podman.host -d 'Podman service: unix:///PATH or tcp://HOST:PORT [default: unix:///run/podman/podman.sock]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand name-filter" -l cri.endpoint -d 'Server of the Container Runtime Interface: unix:///PATH or PATH [default: the usual sockets of CRI-O, k3s, k0s and containerd]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand name-filter" -l collector.disable -d 'Collector to disable; may be given several times' -r -f -a "docker\t''
podman\t''
cri\t''
named\t''
process\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand name-filter" -l path.procfs -d 'Mount point of procfs' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand name-filter" -l path.netns -d 'Folder of the named network namespaces [default: /run/netns]' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand name-filter" -l container.name-from-label -d 'Label by which Docker\'s and Podman\'s containers are named; of several, the first one that a container has counts' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand name-filter" -l privileges -d 'Privileges kept after the start: full keeps CAP_NET_ADMIN if present, minimal keeps no capability' -r -f -a "full\t''
minimal\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand name-filter" -l sandbox.disable -d 'Sandbox part to disable, for debugging; may be given several times' -r -f -a "capabilities\t''
no-new-privs\t''
dumpable\t''
landlock\t''
seccomp\t''
all\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand name-filter" -l sandbox.read -d 'Additional folder that the sandbox permits to read, such as an engine\'s folder of network namespaces; may be given several times' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand name-filter" -l log.level -d 'Lowest severity of log messages [default: info; of list, find, explain and name-filter: warn]' -r -f -a "debug\t'All messages, for debugging'
info\t'Events of normal operation, warnings and errors'
warn\t'Warnings and errors only'
error\t'Errors and nothing else'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand name-filter" -l log.format -d 'Format of log messages [default: logfmt; of list, find, explain and name-filter: a sentence without a time]' -r -f -a "logfmt\t'A line of `key=value` pairs for each message'
json\t'A JSON object on a line for each message'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand name-filter" -l url.insecure-skip-verify -d 'Accept any certificate of the exporter'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand name-filter" -l netns.own -d 'Show the network namespace that the exporter is in, without a warning if it is not the host\'s'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand name-filter" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand annotate" -l clear -d 'Remove every alias that ends with [veth-exporter] from the links of this host'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand annotate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand check-web-config" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand healthy" -l web.listen-address -d 'Listen address of the exporter: HOST:PORT, :PORT or unix:PATH; of several the first is checked' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand healthy" -l web.external-url -d 'External URL of the exporter; its path is the default of --web.route-prefix' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand healthy" -l web.route-prefix -d 'Route prefix of the exporter [default: the path of --web.external-url]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand healthy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand names" -l web.listen-address -d 'Listen address of the exporter: HOST:PORT, :PORT or unix:PATH; of several the first is checked' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand names" -l web.external-url -d 'External URL of the exporter; its path is the default of --web.route-prefix' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand names" -l web.route-prefix -d 'Route prefix of the exporter [default: the path of --web.external-url]' -r -f
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand names" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find explain top name-filter annotate check-web-config healthy completions names help" -f -a "serve" -d 'Collect veth pairs, and serve the page and /metrics (the default)'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find explain top name-filter annotate check-web-config healthy completions names help" -f -a "list" -d 'Print all pairs once, or those that fit some words'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find explain top name-filter annotate check-web-config healthy completions names help" -f -a "find" -d 'Find the owner of a device, an address or a container\'s interface'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find explain top name-filter annotate check-web-config healthy completions names help" -f -a "explain" -d 'Say why two ends cannot talk'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find explain top name-filter annotate check-web-config healthy completions names help" -f -a "top" -d 'Show all pairs in the terminal, live'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find explain top name-filter annotate check-web-config healthy completions names help" -f -a "name-filter" -d 'Put the workload\'s name behind each veth in the output of another program'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find explain top name-filter annotate check-web-config healthy completions names help" -f -a "annotate" -d 'Remove the aliases that --annotate.alias has written'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find explain top name-filter annotate check-web-config healthy completions names help" -f -a "check-web-config" -d 'Check a file for --web.config.file'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find explain top name-filter annotate check-web-config healthy completions names help" -f -a "healthy" -d 'Check the exporter that serves on this host: exit code 0 if it is healthy, else 1'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find explain top name-filter annotate check-web-config healthy completions names help" -f -a "completions" -d 'Print the completions for a shell'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find explain top name-filter annotate check-web-config healthy completions names help" -f -a "names" -d 'Print the names that the exporter on this host knows, for the completions'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find explain top name-filter annotate check-web-config healthy completions names help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find explain list" -f -a "(command veth-exporter names 2>/dev/null)"
