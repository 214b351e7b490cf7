# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_veth_exporter_global_optspecs
    string join \n docker.host= podman.host= collector.disable= cri.endpoint= container.name-from-label= path.procfs= path.netns= netns.own privileges= sandbox.disable= sandbox.read= log.level= log.format= web.listen-address= web.systemd-socket web.config.file= web.external-url= web.route-prefix= web.telemetry-path= web.max-requests= collector.interval= container.retention= peak.window= limits.series= metrics.created= limits.interfaces= container.labels= container.include= container.exclude= device.include= device.exclude= device.metrics= h/help V/version
end

function __fish_veth_exporter_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_veth_exporter_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_veth_exporter_using_subcommand
    set -l cmd (__fish_veth_exporter_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l docker.host -d 'Docker engine: unix:///PATH or tcp://HOST:PORT [default: $DOCKER_HOST, else unix:///var/run/docker.sock]' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l podman.host -d 'Podman service: unix:///PATH or tcp://HOST:PORT [default: unix:///run/podman/podman.sock]' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l collector.disable -d 'Collector to disable: docker, podman, cri, named or process; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l cri.endpoint -d 'Server of the Container Runtime Interface: unix:///PATH or PATH [default: the usual sockets of CRI-O, k3s, k0s and containerd]' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l container.name-from-label -d 'Label by which Docker\'s and Podman\'s containers are named; of several, the first one that a container has counts' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l path.procfs -d 'Mount point of procfs' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l path.netns -d 'Folder of the named network namespaces [default: /run/netns]' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l privileges -d 'Privileges kept after the start: full keeps CAP_NET_ADMIN if present, minimal keeps no capability' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l sandbox.disable -d 'Sandbox part to disable, for debugging: capabilities, no-new-privs, dumpable, landlock, seccomp or all; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l sandbox.read -d 'Additional folder that the sandbox permits to read, such as an engine\'s folder of network namespaces; may be given several times' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l log.level -d 'Lowest severity of log messages' -r -f -a "debug\t'All messages, for debugging'
info\t'Events of normal operation, warnings and errors'
warn\t'Warnings and errors only'
error\t'Errors and nothing else'"
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'A line of `key=value` pairs for each message'
json\t'A JSON object on a line for each message'"
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l web.listen-address -d 'Listen address: HOST:PORT, :PORT or unix:PATH; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l web.config.file -d 'Web configuration file: TLS, passwords, headers and a rate limit, in exporter-toolkit\'s format' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l web.external-url -d 'URL at which clients reach the exporter, for links and redirects' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l web.route-prefix -d 'Prefix of all paths [default: the path of --web.external-url]' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l web.telemetry-path -d 'Path of the metrics' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l web.max-requests -d 'Limit of scrapes served at a time, 0 for none; further scrapes get 503' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l collector.interval -d 'Interval at which links and names are read' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l container.retention -d 'Time for which a workload\'s totals are kept after its last pair is gone' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l peak.window -d 'Time span of the peaks' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l limits.series -d 'Limit of veth series, 0 for none; further pairs are summed under other' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l metrics.created -d 'Whether OpenMetrics has the time at which each total began (_created)' -r -f -a "true\t''
false\t''"
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l limits.interfaces -d 'Limit of the label sets of a workload, 0 for none; its further interfaces are summed under other' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l container.labels -d 'Label of containers and pods that veth_container_info shows as label_NAME; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l container.include -d 'Show only these containers: regular expression for the whole name, which is NAMESPACE/POD for a pod' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l container.exclude -d 'Hide these containers: regular expression for the whole name' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l device.include -d 'Show only these devices in veth_device_*: regular expression for the whole name' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l device.exclude -d 'Hide these devices in veth_device_*: regular expression for the whole name' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l device.metrics -d 'Show veth_device_*; false leaves the metrics of workloads and networks only' -r -f -a "true\t''
false\t''"
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l netns.own -d 'Show the network namespace that the exporter is in, without a warning if it is not the host\'s'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l web.systemd-socket -d 'Serve on the sockets that systemd has opened, instead of --web.listen-address'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -s V -l version -d 'Print version'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "serve" -d 'Collect veth pairs, and serve /metrics (the default)'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "list" -d 'Print all pairs once'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "find" -d 'Find the owner of a device, an address or a container\'s interface'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "top" -d 'Show all pairs in the terminal, live'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "check-web-config" -d 'Check a file for --web.config.file'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "healthy" -d 'Check the exporter that serves on this host: exit code 0 if it is healthy, else 1'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l docker.host -d 'Docker engine: unix:///PATH or tcp://HOST:PORT [default: $DOCKER_HOST, else unix:///var/run/docker.sock]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l podman.host -d 'Podman service: unix:///PATH or tcp://HOST:PORT [default: unix:///run/podman/podman.sock]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l collector.disable -d 'Collector to disable: docker, podman, cri, named or process; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l cri.endpoint -d 'Server of the Container Runtime Interface: unix:///PATH or PATH [default: the usual sockets of CRI-O, k3s, k0s and containerd]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l container.name-from-label -d 'Label by which Docker\'s and Podman\'s containers are named; of several, the first one that a container has counts' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l path.procfs -d 'Mount point of procfs' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l path.netns -d 'Folder of the named network namespaces [default: /run/netns]' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l privileges -d 'Privileges kept after the start: full keeps CAP_NET_ADMIN if present, minimal keeps no capability' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l sandbox.disable -d 'Sandbox part to disable, for debugging: capabilities, no-new-privs, dumpable, landlock, seccomp or all; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l sandbox.read -d 'Additional folder that the sandbox permits to read, such as an engine\'s folder of network namespaces; may be given several times' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l log.level -d 'Lowest severity of log messages' -r -f -a "debug\t'All messages, for debugging'
info\t'Events of normal operation, warnings and errors'
warn\t'Warnings and errors only'
error\t'Errors and nothing else'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'A line of `key=value` pairs for each message'
json\t'A JSON object on a line for each message'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l web.listen-address -d 'Listen address: HOST:PORT, :PORT or unix:PATH; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l web.config.file -d 'Web configuration file: TLS, passwords, headers and a rate limit, in exporter-toolkit\'s format' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l web.external-url -d 'URL at which clients reach the exporter, for links and redirects' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l web.route-prefix -d 'Prefix of all paths [default: the path of --web.external-url]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l web.telemetry-path -d 'Path of the metrics' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l web.max-requests -d 'Limit of scrapes served at a time, 0 for none; further scrapes get 503' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l collector.interval -d 'Interval at which links and names are read' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l container.retention -d 'Time for which a workload\'s totals are kept after its last pair is gone' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l peak.window -d 'Time span of the peaks' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l limits.series -d 'Limit of veth series, 0 for none; further pairs are summed under other' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l metrics.created -d 'Whether OpenMetrics has the time at which each total began (_created)' -r -f -a "true\t''
false\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l limits.interfaces -d 'Limit of the label sets of a workload, 0 for none; its further interfaces are summed under other' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l container.labels -d 'Label of containers and pods that veth_container_info shows as label_NAME; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l container.include -d 'Show only these containers: regular expression for the whole name, which is NAMESPACE/POD for a pod' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l container.exclude -d 'Hide these containers: regular expression for the whole name' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l device.include -d 'Show only these devices in veth_device_*: regular expression for the whole name' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l device.exclude -d 'Hide these devices in veth_device_*: regular expression for the whole name' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l device.metrics -d 'Show veth_device_*; false leaves the metrics of workloads and networks only' -r -f -a "true\t''
false\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l netns.own -d 'Show the network namespace that the exporter is in, without a warning if it is not the host\'s'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l web.systemd-socket -d 'Serve on the sockets that systemd has opened, instead of --web.listen-address'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l docker.host -d 'Docker engine: unix:///PATH or tcp://HOST:PORT [default: $DOCKER_HOST, else unix:///var/run/docker.sock]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l podman.host -d 'Podman service: unix:///PATH or tcp://HOST:PORT [default: unix:///run/podman/podman.sock]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l collector.disable -d 'Collector to disable: docker, podman, cri, named or process; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l cri.endpoint -d 'Server of the Container Runtime Interface: unix:///PATH or PATH [default: the usual sockets of CRI-O, k3s, k0s and containerd]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l container.name-from-label -d 'Label by which Docker\'s and Podman\'s containers are named; of several, the first one that a container has counts' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l path.procfs -d 'Mount point of procfs' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l path.netns -d 'Folder of the named network namespaces [default: /run/netns]' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l privileges -d 'Privileges kept after the start: full keeps CAP_NET_ADMIN if present, minimal keeps no capability' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l sandbox.disable -d 'Sandbox part to disable, for debugging: capabilities, no-new-privs, dumpable, landlock, seccomp or all; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l sandbox.read -d 'Additional folder that the sandbox permits to read, such as an engine\'s folder of network namespaces; may be given several times' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l log.level -d 'Lowest severity of log messages' -r -f -a "debug\t'All messages, for debugging'
info\t'Events of normal operation, warnings and errors'
warn\t'Warnings and errors only'
error\t'Errors and nothing else'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'A line of `key=value` pairs for each message'
json\t'A JSON object on a line for each message'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l format -d 'Format in which the pairs are printed' -r -f -a "table\t'Aligned columns below a heading'
json\t'JSON text for programs'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l netns.own -d 'Show the network namespace that the exporter is in, without a warning if it is not the host\'s'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l docker.host -d 'Docker engine: unix:///PATH or tcp://HOST:PORT [default: $DOCKER_HOST, else unix:///var/run/docker.sock]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l podman.host -d 'Podman service: unix:///PATH or tcp://HOST:PORT [default: unix:///run/podman/podman.sock]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l collector.disable -d 'Collector to disable: docker, podman, cri, named or process; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l cri.endpoint -d 'Server of the Container Runtime Interface: unix:///PATH or PATH [default: the usual sockets of CRI-O, k3s, k0s and containerd]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l container.name-from-label -d 'Label by which Docker\'s and Podman\'s containers are named; of several, the first one that a container has counts' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l path.procfs -d 'Mount point of procfs' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l path.netns -d 'Folder of the named network namespaces [default: /run/netns]' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l privileges -d 'Privileges kept after the start: full keeps CAP_NET_ADMIN if present, minimal keeps no capability' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l sandbox.disable -d 'Sandbox part to disable, for debugging: capabilities, no-new-privs, dumpable, landlock, seccomp or all; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l sandbox.read -d 'Additional folder that the sandbox permits to read, such as an engine\'s folder of network namespaces; may be given several times' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l log.level -d 'Lowest severity of log messages' -r -f -a "debug\t'All messages, for debugging'
info\t'Events of normal operation, warnings and errors'
warn\t'Warnings and errors only'
error\t'Errors and nothing else'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'A line of `key=value` pairs for each message'
json\t'A JSON object on a line for each message'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l format -d 'Format in which the results are printed' -r -f -a "table\t'Aligned columns below a heading'
json\t'JSON text for programs'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l netns.own -d 'Show the network namespace that the exporter is in, without a warning if it is not the host\'s'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l url -d 'Exporter to show: http://HOST:PORT, https://HOST:PORT or unix:PATH [default: none, reads this host directly]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l url.ca-file -d 'PEM file of the authorities that may sign the exporter\'s certificate [default: the system\'s]' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l url.user -d 'User name, in place of http://USER@HOST' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l url.password-file -d 'File with the user\'s password, in place of http://USER:PASSWORD@HOST, which other users can read' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l interval -d 'Interval at which the numbers are read' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l docker.host -d 'Docker engine: unix:///PATH or tcp://HOST:PORT [default: $DOCKER_HOST, else unix:///var/run/docker.sock]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l podman.host -d 'Podman service: unix:///PATH or tcp://HOST:PORT [default: unix:///run/podman/podman.sock]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l collector.disable -d 'Collector to disable: docker, podman, cri, named or process; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l cri.endpoint -d 'Server of the Container Runtime Interface: unix:///PATH or PATH [default: the usual sockets of CRI-O, k3s, k0s and containerd]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l container.name-from-label -d 'Label by which Docker\'s and Podman\'s containers are named; of several, the first one that a container has counts' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l path.procfs -d 'Mount point of procfs' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l path.netns -d 'Folder of the named network namespaces [default: /run/netns]' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l privileges -d 'Privileges kept after the start: full keeps CAP_NET_ADMIN if present, minimal keeps no capability' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l sandbox.disable -d 'Sandbox part to disable, for debugging: capabilities, no-new-privs, dumpable, landlock, seccomp or all; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l sandbox.read -d 'Additional folder that the sandbox permits to read, such as an engine\'s folder of network namespaces; may be given several times' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l log.level -d 'Lowest severity of log messages' -r -f -a "debug\t'All messages, for debugging'
info\t'Events of normal operation, warnings and errors'
warn\t'Warnings and errors only'
error\t'Errors and nothing else'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'A line of `key=value` pairs for each message'
json\t'A JSON object on a line for each message'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l url.insecure-skip-verify -d 'Accept any certificate of the exporter'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l netns.own -d 'Show the network namespace that the exporter is in, without a warning if it is not the host\'s'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand check-web-config" -s h -l help -d 'Print help'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand healthy" -l web.listen-address -d 'Listen address of the exporter: HOST:PORT, :PORT or unix:PATH; of several the first is checked' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand healthy" -l web.external-url -d 'External URL of the exporter; its path is the default of --web.route-prefix' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand healthy" -l web.route-prefix -d 'Route prefix of the exporter [default: the path of --web.external-url]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand healthy" -s h -l help -d 'Print help'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find top check-web-config healthy help" -f -a "serve" -d 'Collect veth pairs, and serve /metrics (the default)'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find top check-web-config healthy help" -f -a "list" -d 'Print all pairs once'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find top check-web-config healthy help" -f -a "find" -d 'Find the owner of a device, an address or a container\'s interface'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find top check-web-config healthy help" -f -a "top" -d 'Show all pairs in the terminal, live'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find top check-web-config healthy help" -f -a "check-web-config" -d 'Check a file for --web.config.file'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find top check-web-config healthy help" -f -a "healthy" -d 'Check the exporter that serves on this host: exit code 0 if it is healthy, else 1'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find top check-web-config healthy help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
