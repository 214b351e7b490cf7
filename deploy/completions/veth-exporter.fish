# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_veth_exporter_global_optspecs
    string join \n docker.host= podman.host= collector.disable= cri.endpoint= path.procfs= path.netns= privileges= sandbox.disable= sandbox.read= log.level= log.format= web.listen-address= web.systemd-socket web.config.file= web.external-url= web.route-prefix= web.telemetry-path= web.max-requests= collector.interval= container.retention= peak.window= limits.series= container.labels= container.include= container.exclude= device.include= device.exclude= device.metrics= h/help V/version
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

complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l docker.host -d 'Docker engine, unix:///PATH or tcp://HOST:PORT [default: $DOCKER_HOST, else unix:///var/run/docker.sock]' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l podman.host -d 'Podman\'s service, as --docker.host [default: unix:///run/podman/podman.sock]' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l collector.disable -d 'Collector that is not to run: docker, podman, cri, named or process; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l cri.endpoint -d 'Server of the Container Runtime Interface, unix:///PATH or PATH [default: the usual sockets of CRI-O, k3s, k0s and containerd]' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l path.procfs -d 'Where procfs is mounted' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l path.netns -d 'Folder of the named network namespaces [default: /run/netns]' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l privileges -d 'What is kept of the privileges once the sockets are open' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l sandbox.disable -d 'Part of the sandbox that is left out, to debug: capabilities, no-new-privs, dumpable, landlock, seccomp or all; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l sandbox.read -d 'Folder that may be read besides, such as an engine\'s for its network namespaces; may be given several times' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l log.level -d 'Only messages of this severity and above' -r -f -a "debug\t'Everything, for the search of a fault'
info\t'What an operator wants to know'
warn\t'What is missing, and what failed'
error\t'What failed, and nothing else'"
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l log.format -d 'How log messages are written' -r -f -a "logfmt\t'A line of `key=value` pairs for each message'
json\t'A JSON object on a line for each message'"
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l web.listen-address -d 'Address to serve on, HOST:PORT, :PORT or unix:PATH; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l web.config.file -d 'File with TLS, passwords and more, in the format of exporter-toolkit' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l web.external-url -d 'URL by which others reach the exporter, for links and redirects' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l web.route-prefix -d 'Prefix of all paths [default: the path of --web.external-url]' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l web.telemetry-path -d 'Path under which the metrics are' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l web.max-requests -d 'Scrapes served at a time; more get 503. 0 for no limit' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l collector.interval -d 'How often links and names are read' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l container.retention -d 'How long a workload\'s totals are kept after its last pair is gone' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l peak.window -d 'How far back the peaks look' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l limits.series -d 'Series of veths at most; what is more is summed under other. 0 for no limit' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l container.labels -d 'Label of containers and pods to show as label_NAME of veth_container_info; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l container.include -d 'Show only these containers: a regular expression for the whole name, of a pod for NAMESPACE/POD' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l container.exclude -d 'Show all containers but these' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l device.include -d 'Show only these devices in veth_device_*: a regular expression for the whole name' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l device.exclude -d 'Show all devices but these in veth_device_*' -r
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l device.metrics -d 'Show veth_device_*; false for the view of workloads and networks alone' -r -f -a "true\t''
false\t''"
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -l web.systemd-socket -d 'Serve on the sockets that systemd has opened, and not on addresses'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -s V -l version -d 'Print version'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "serve" -d 'Collect, and serve /metrics (the default)'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "list" -d 'Print all pairs once'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "find" -d 'Say whose a device, an address or a container\'s interface is'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "top" -d 'Show all pairs in the terminal, live'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "check-web-config" -d 'Say whether a file for --web.config.file is good'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "healthy" -d 'Exit with 0 if the exporter that serves here is well, else with 1: a container\'s health check'
complete -c veth-exporter -n "__fish_veth_exporter_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l docker.host -d 'Docker engine, unix:///PATH or tcp://HOST:PORT [default: $DOCKER_HOST, else unix:///var/run/docker.sock]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l podman.host -d 'Podman\'s service, as --docker.host [default: unix:///run/podman/podman.sock]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l collector.disable -d 'Collector that is not to run: docker, podman, cri, named or process; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l cri.endpoint -d 'Server of the Container Runtime Interface, unix:///PATH or PATH [default: the usual sockets of CRI-O, k3s, k0s and containerd]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l path.procfs -d 'Where procfs is mounted' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l path.netns -d 'Folder of the named network namespaces [default: /run/netns]' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l privileges -d 'What is kept of the privileges once the sockets are open' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l sandbox.disable -d 'Part of the sandbox that is left out, to debug: capabilities, no-new-privs, dumpable, landlock, seccomp or all; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l sandbox.read -d 'Folder that may be read besides, such as an engine\'s for its network namespaces; may be given several times' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l log.level -d 'Only messages of this severity and above' -r -f -a "debug\t'Everything, for the search of a fault'
info\t'What an operator wants to know'
warn\t'What is missing, and what failed'
error\t'What failed, and nothing else'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l log.format -d 'How log messages are written' -r -f -a "logfmt\t'A line of `key=value` pairs for each message'
json\t'A JSON object on a line for each message'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l web.listen-address -d 'Address to serve on, HOST:PORT, :PORT or unix:PATH; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l web.config.file -d 'File with TLS, passwords and more, in the format of exporter-toolkit' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l web.external-url -d 'URL by which others reach the exporter, for links and redirects' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l web.route-prefix -d 'Prefix of all paths [default: the path of --web.external-url]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l web.telemetry-path -d 'Path under which the metrics are' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l web.max-requests -d 'Scrapes served at a time; more get 503. 0 for no limit' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l collector.interval -d 'How often links and names are read' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l container.retention -d 'How long a workload\'s totals are kept after its last pair is gone' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l peak.window -d 'How far back the peaks look' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l limits.series -d 'Series of veths at most; what is more is summed under other. 0 for no limit' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l container.labels -d 'Label of containers and pods to show as label_NAME of veth_container_info; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l container.include -d 'Show only these containers: a regular expression for the whole name, of a pod for NAMESPACE/POD' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l container.exclude -d 'Show all containers but these' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l device.include -d 'Show only these devices in veth_device_*: a regular expression for the whole name' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l device.exclude -d 'Show all devices but these in veth_device_*' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l device.metrics -d 'Show veth_device_*; false for the view of workloads and networks alone' -r -f -a "true\t''
false\t''"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -l web.systemd-socket -d 'Serve on the sockets that systemd has opened, and not on addresses'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l docker.host -d 'Docker engine, unix:///PATH or tcp://HOST:PORT [default: $DOCKER_HOST, else unix:///var/run/docker.sock]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l podman.host -d 'Podman\'s service, as --docker.host [default: unix:///run/podman/podman.sock]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l collector.disable -d 'Collector that is not to run: docker, podman, cri, named or process; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l cri.endpoint -d 'Server of the Container Runtime Interface, unix:///PATH or PATH [default: the usual sockets of CRI-O, k3s, k0s and containerd]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l path.procfs -d 'Where procfs is mounted' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l path.netns -d 'Folder of the named network namespaces [default: /run/netns]' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l privileges -d 'What is kept of the privileges once the sockets are open' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l sandbox.disable -d 'Part of the sandbox that is left out, to debug: capabilities, no-new-privs, dumpable, landlock, seccomp or all; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l sandbox.read -d 'Folder that may be read besides, such as an engine\'s for its network namespaces; may be given several times' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l log.level -d 'Only messages of this severity and above' -r -f -a "debug\t'Everything, for the search of a fault'
info\t'What an operator wants to know'
warn\t'What is missing, and what failed'
error\t'What failed, and nothing else'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l log.format -d 'How log messages are written' -r -f -a "logfmt\t'A line of `key=value` pairs for each message'
json\t'A JSON object on a line for each message'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -l format -d 'How to print them' -r -f -a "table\t'A table for a person to read'
json\t'JSON for a program to read'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l docker.host -d 'Docker engine, unix:///PATH or tcp://HOST:PORT [default: $DOCKER_HOST, else unix:///var/run/docker.sock]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l podman.host -d 'Podman\'s service, as --docker.host [default: unix:///run/podman/podman.sock]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l collector.disable -d 'Collector that is not to run: docker, podman, cri, named or process; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l cri.endpoint -d 'Server of the Container Runtime Interface, unix:///PATH or PATH [default: the usual sockets of CRI-O, k3s, k0s and containerd]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l path.procfs -d 'Where procfs is mounted' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l path.netns -d 'Folder of the named network namespaces [default: /run/netns]' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l privileges -d 'What is kept of the privileges once the sockets are open' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l sandbox.disable -d 'Part of the sandbox that is left out, to debug: capabilities, no-new-privs, dumpable, landlock, seccomp or all; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l sandbox.read -d 'Folder that may be read besides, such as an engine\'s for its network namespaces; may be given several times' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l log.level -d 'Only messages of this severity and above' -r -f -a "debug\t'Everything, for the search of a fault'
info\t'What an operator wants to know'
warn\t'What is missing, and what failed'
error\t'What failed, and nothing else'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l log.format -d 'How log messages are written' -r -f -a "logfmt\t'A line of `key=value` pairs for each message'
json\t'A JSON object on a line for each message'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -l format -d 'How to print what was found' -r -f -a "table\t'A table for a person to read'
json\t'JSON for a program to read'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l url -d 'Exporter to ask, http://HOST:PORT, https://HOST:PORT or unix:PATH [default: look at this host, without one]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l url.ca-file -d 'PEM file with who may have signed its certificate [default: the system\'s]' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l url.user -d 'User that it wants, in place of http://USER@HOST' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l url.password-file -d 'File with the user\'s password, in place of http://USER:PASSWORD@HOST, which others can see' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l interval -d 'How often the numbers are read' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l docker.host -d 'Docker engine, unix:///PATH or tcp://HOST:PORT [default: $DOCKER_HOST, else unix:///var/run/docker.sock]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l podman.host -d 'Podman\'s service, as --docker.host [default: unix:///run/podman/podman.sock]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l collector.disable -d 'Collector that is not to run: docker, podman, cri, named or process; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l cri.endpoint -d 'Server of the Container Runtime Interface, unix:///PATH or PATH [default: the usual sockets of CRI-O, k3s, k0s and containerd]' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l path.procfs -d 'Where procfs is mounted' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l path.netns -d 'Folder of the named network namespaces [default: /run/netns]' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l privileges -d 'What is kept of the privileges once the sockets are open' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l sandbox.disable -d 'Part of the sandbox that is left out, to debug: capabilities, no-new-privs, dumpable, landlock, seccomp or all; may be given several times' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l sandbox.read -d 'Folder that may be read besides, such as an engine\'s for its network namespaces; may be given several times' -r -F
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l log.level -d 'Only messages of this severity and above' -r -f -a "debug\t'Everything, for the search of a fault'
info\t'What an operator wants to know'
warn\t'What is missing, and what failed'
error\t'What failed, and nothing else'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l log.format -d 'How log messages are written' -r -f -a "logfmt\t'A line of `key=value` pairs for each message'
json\t'A JSON object on a line for each message'"
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -l url.insecure-skip-verify -d 'Take any certificate for its own'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand top" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand check-web-config" -s h -l help -d 'Print help'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand healthy" -l web.listen-address -d 'Address that the exporter was told to serve on; of several the first is asked' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand healthy" -l web.external-url -d 'As it was given to the exporter: its path is the prefix of all paths' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand healthy" -l web.route-prefix -d 'As it was given to the exporter' -r
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand healthy" -s h -l help -d 'Print help'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find top check-web-config healthy help" -f -a "serve" -d 'Collect, and serve /metrics (the default)'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find top check-web-config healthy help" -f -a "list" -d 'Print all pairs once'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find top check-web-config healthy help" -f -a "find" -d 'Say whose a device, an address or a container\'s interface is'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find top check-web-config healthy help" -f -a "top" -d 'Show all pairs in the terminal, live'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find top check-web-config healthy help" -f -a "check-web-config" -d 'Say whether a file for --web.config.file is good'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find top check-web-config healthy help" -f -a "healthy" -d 'Exit with 0 if the exporter that serves here is well, else with 1: a container\'s health check'
complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve list find top check-web-config healthy help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
