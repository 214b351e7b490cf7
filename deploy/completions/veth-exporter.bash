_veth__exporter() {
    local i cur prev opts cmd
    COMPREPLY=()
    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
        cur="$2"
    else
        cur="${COMP_WORDS[COMP_CWORD]}"
    fi
    prev="$3"
    cmd=""
    opts=""

    for i in "${COMP_WORDS[@]:0:COMP_CWORD}"
    do
        case "${cmd},${i}" in
            ",$1")
                cmd="veth__exporter"
                ;;
            veth__exporter,check-web-config)
                cmd="veth__exporter__subcmd__check__subcmd__web__subcmd__config"
                ;;
            veth__exporter,find)
                cmd="veth__exporter__subcmd__find"
                ;;
            veth__exporter,healthy)
                cmd="veth__exporter__subcmd__healthy"
                ;;
            veth__exporter,help)
                cmd="veth__exporter__subcmd__help"
                ;;
            veth__exporter,list)
                cmd="veth__exporter__subcmd__list"
                ;;
            veth__exporter,serve)
                cmd="veth__exporter__subcmd__serve"
                ;;
            veth__exporter,top)
                cmd="veth__exporter__subcmd__top"
                ;;
            veth__exporter__subcmd__help,check-web-config)
                cmd="veth__exporter__subcmd__help__subcmd__check__subcmd__web__subcmd__config"
                ;;
            veth__exporter__subcmd__help,find)
                cmd="veth__exporter__subcmd__help__subcmd__find"
                ;;
            veth__exporter__subcmd__help,healthy)
                cmd="veth__exporter__subcmd__help__subcmd__healthy"
                ;;
            veth__exporter__subcmd__help,help)
                cmd="veth__exporter__subcmd__help__subcmd__help"
                ;;
            veth__exporter__subcmd__help,list)
                cmd="veth__exporter__subcmd__help__subcmd__list"
                ;;
            veth__exporter__subcmd__help,serve)
                cmd="veth__exporter__subcmd__help__subcmd__serve"
                ;;
            veth__exporter__subcmd__help,top)
                cmd="veth__exporter__subcmd__help__subcmd__top"
                ;;
            *)
                ;;
        esac
    done

    case "${cmd}" in
        veth__exporter)
            opts="-h -V --docker.host --podman.host --collector.disable --cri.endpoint --container.name-from-label --path.procfs --path.netns --netns.own --privileges --sandbox.disable --sandbox.read --log.level --log.format --web.listen-address --web.systemd-socket --web.config.file --web.external-url --web.route-prefix --web.telemetry-path --web.max-requests --collector.interval --container.retention --peak.window --limits.series --metrics.created --limits.interfaces --container.labels --container.include --container.exclude --device.include --device.exclude --device.metrics --help --version serve list find top check-web-config healthy help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 1 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --docker.host)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --podman.host)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.disable)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --cri.endpoint)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --container.name-from-label)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --path.procfs)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --path.netns)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --privileges)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --sandbox.disable)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --sandbox.read)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --log.level)
                    COMPREPLY=($(compgen -W "debug info warn error" -- "${cur}"))
                    return 0
                    ;;
                --log.format)
                    COMPREPLY=($(compgen -W "logfmt json" -- "${cur}"))
                    return 0
                    ;;
                --web.listen-address)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.config.file)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.external-url)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.route-prefix)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.telemetry-path)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.max-requests)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.interval)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --container.retention)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --peak.window)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --limits.series)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.created)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --limits.interfaces)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --container.labels)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --container.include)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --container.exclude)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --device.include)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --device.exclude)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --device.metrics)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        veth__subcmd__exporter__subcmd__check__subcmd__web__subcmd__config)
            opts="-h --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        veth__subcmd__exporter__subcmd__find)
            opts="-h --docker.host --podman.host --collector.disable --cri.endpoint --container.name-from-label --path.procfs --path.netns --netns.own --privileges --sandbox.disable --sandbox.read --log.level --log.format --format --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --docker.host)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --podman.host)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.disable)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --cri.endpoint)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --container.name-from-label)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --path.procfs)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --path.netns)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --privileges)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --sandbox.disable)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --sandbox.read)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --log.level)
                    COMPREPLY=($(compgen -W "debug info warn error" -- "${cur}"))
                    return 0
                    ;;
                --log.format)
                    COMPREPLY=($(compgen -W "logfmt json" -- "${cur}"))
                    return 0
                    ;;
                --format)
                    COMPREPLY=($(compgen -W "table json" -- "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        veth__subcmd__exporter__subcmd__healthy)
            opts="-h --web.listen-address --web.external-url --web.route-prefix --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --web.listen-address)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.external-url)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.route-prefix)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        veth__subcmd__exporter__subcmd__help)
            opts="serve list find top check-web-config healthy help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        veth__subcmd__exporter__subcmd__help__subcmd__check__subcmd__web__subcmd__config)
            opts=""
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        veth__subcmd__exporter__subcmd__help__subcmd__find)
            opts=""
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        veth__subcmd__exporter__subcmd__help__subcmd__healthy)
            opts=""
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        veth__subcmd__exporter__subcmd__help__subcmd__help)
            opts=""
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        veth__subcmd__exporter__subcmd__help__subcmd__list)
            opts=""
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        veth__subcmd__exporter__subcmd__help__subcmd__serve)
            opts=""
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        veth__subcmd__exporter__subcmd__help__subcmd__top)
            opts=""
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        veth__subcmd__exporter__subcmd__list)
            opts="-h --docker.host --podman.host --collector.disable --cri.endpoint --container.name-from-label --path.procfs --path.netns --netns.own --privileges --sandbox.disable --sandbox.read --log.level --log.format --format --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --docker.host)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --podman.host)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.disable)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --cri.endpoint)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --container.name-from-label)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --path.procfs)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --path.netns)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --privileges)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --sandbox.disable)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --sandbox.read)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --log.level)
                    COMPREPLY=($(compgen -W "debug info warn error" -- "${cur}"))
                    return 0
                    ;;
                --log.format)
                    COMPREPLY=($(compgen -W "logfmt json" -- "${cur}"))
                    return 0
                    ;;
                --format)
                    COMPREPLY=($(compgen -W "table json" -- "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        veth__subcmd__exporter__subcmd__serve)
            opts="-h --docker.host --podman.host --collector.disable --cri.endpoint --container.name-from-label --path.procfs --path.netns --netns.own --privileges --sandbox.disable --sandbox.read --log.level --log.format --web.listen-address --web.systemd-socket --web.config.file --web.external-url --web.route-prefix --web.telemetry-path --web.max-requests --collector.interval --container.retention --peak.window --limits.series --metrics.created --limits.interfaces --container.labels --container.include --container.exclude --device.include --device.exclude --device.metrics --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --docker.host)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --podman.host)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.disable)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --cri.endpoint)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --container.name-from-label)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --path.procfs)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --path.netns)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --privileges)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --sandbox.disable)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --sandbox.read)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --log.level)
                    COMPREPLY=($(compgen -W "debug info warn error" -- "${cur}"))
                    return 0
                    ;;
                --log.format)
                    COMPREPLY=($(compgen -W "logfmt json" -- "${cur}"))
                    return 0
                    ;;
                --web.listen-address)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.config.file)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.external-url)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.route-prefix)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.telemetry-path)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.max-requests)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.interval)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --container.retention)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --peak.window)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --limits.series)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.created)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --limits.interfaces)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --container.labels)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --container.include)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --container.exclude)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --device.include)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --device.exclude)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --device.metrics)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        veth__subcmd__exporter__subcmd__top)
            opts="-h --url --url.ca-file --url.insecure-skip-verify --url.user --url.password-file --interval --docker.host --podman.host --collector.disable --cri.endpoint --container.name-from-label --path.procfs --path.netns --netns.own --privileges --sandbox.disable --sandbox.read --log.level --log.format --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --url)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --url.ca-file)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --url.user)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --url.password-file)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --interval)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --docker.host)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --podman.host)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.disable)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --cri.endpoint)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --container.name-from-label)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --path.procfs)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --path.netns)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --privileges)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --sandbox.disable)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --sandbox.read)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --log.level)
                    COMPREPLY=($(compgen -W "debug info warn error" -- "${cur}"))
                    return 0
                    ;;
                --log.format)
                    COMPREPLY=($(compgen -W "logfmt json" -- "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
    esac
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _veth__exporter -o nosort -o bashdefault -o default veth-exporter
else
    complete -F _veth__exporter -o bashdefault -o default veth-exporter
fi
