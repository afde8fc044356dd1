#!/bin/bash
# What the tests need beside cargo: looks for each, installs what is missing where that is possible (root on a Debian
# system), and else names the packages in one line and fails.
set -euo pipefail

# A package, and a command that succeeds where it is installed. Tests call python as /usr/bin/python3: another one that
# stands first on the PATH lacks the module.
needs() {
    echo "gcc              command -v cc"
    echo "g++              command -v c++"
    echo "make             command -v make"
    echo "cmake            command -v cmake"
    echo "pkg-config       command -v pkg-config"
    # As bindings/go/go.mod asks for.
    echo "golang-go        go version | grep -E ' go1\.(2[1-9]|[3-9][0-9])'"
    echo "python3          test -x /usr/bin/python3"
    echo "python3-venv     /usr/bin/python3 -c 'import ensurepip'"
    echo "python3-zstandard /usr/bin/python3 -c 'import zstandard'"
    for part in prometheus prometheus-node-exporter prometheus-pushgateway; do
        echo "$part command -v $part"
    done
    echo "chromium         command -v chromium"
    for client in influxdb prometheus-client statsd; do
        echo "python3-$client /usr/bin/python3 -c 'import ${client//-/_}'"
    done
    if [ "$(uname)" = Linux ]; then
        echo "strace           command -v strace"
        echo "valgrind         command -v valgrind"
        echo "binutils         command -v readelf && command -v objcopy"
        echo "e2fsprogs        PATH=\$PATH:/sbin:/usr/sbin command -v mkfs.ext4"
        echo "mount            PATH=\$PATH:/sbin:/usr/sbin command -v losetup"
    fi
}

missing() {
    needs | while read -r package probe; do
        bash -c "$probe" >/dev/null 2>&1 </dev/null || echo "$package"
    done
}

# Installs newer packages than the release has (Debian 12's go is too old) from its backports, on the same server,
# which the system is asked for this once and does not keep as a source.
backports() {
    local release sources
    release=$(. /etc/os-release && echo "$VERSION_CODENAME")
    sources=$(mktemp -d)
    cp /etc/apt/sources.list.d/* "$sources/" 2>/dev/null || true
    apt-get indextargets --format '$(SITE) $(RELEASE)' "Created-By: Packages" | sort -u |
        awk -v release="$release" '$2 == release { print "deb", $1, release "-backports main" }' >"$sources/backports.list"
    local apt=(apt-get --quiet -o "Dir::Etc::SourceParts=$sources")
    "${apt[@]}" update >/dev/null && "${apt[@]}" install --yes --no-install-recommends -t "$release-backports" "$@" >/dev/null
    rm -r "$sources"
}

mapfile -t packages < <(missing)
[ ${#packages[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "installing ${packages[*]}"
    export DEBIAN_FRONTEND=noninteractive
    install=(apt-get install --yes --quiet --no-install-recommends "${packages[@]}")
    # The lists of a fresh container are empty: fetch them only if that was it.
    "${install[@]}" >/dev/null 2>&1 || { apt-get update --quiet >/dev/null && "${install[@]}" >/dev/null; } || true
    mapfile -t packages < <(missing)
    [ ${#packages[@]} -eq 0 ] && exit 0
    backports "${packages[@]}" || true
    mapfile -t packages < <(missing)
    [ ${#packages[@]} -eq 0 ] && exit 0
fi

echo "the tests need these Debian packages or their like: ${packages[*]}" >&2
exit 1
