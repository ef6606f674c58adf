#!/bin/bash
# Installs the runtimes and tools of these tests: Debian's by package, the others
# by Go into bin/runtimes/<name>-<version>, and crun of Debian 13. Does nothing for what is there. Needs
# root, Go, Debian 12 and its mirror, and a Go module proxy the first time. Where
# systemd runs, Debian starts a containerd and a registry, which the tests do not use.
set -euo pipefail

packages=(
	containerd runc containernetworking-plugins podman conmon iptables # runtimes
	bpftool clang gcc jq libbpf-dev libc6-dev iproute2                  # users of the maps
	libseccomp-dev pkg-config                                          # to build runc
	docker-registry openssl                                            # for the image
)
containerd=v2.4.2
runc=v1.5.2
plugins=v1.9.1

dir=$(realpath -m "${BASH_SOURCE[0]}/../../../bin/runtimes")

# debian installs the packages that are missing.
debian() {
	local p missing=()
	for p in "${packages[@]}"; do
		[[ $(dpkg-query -Wf '${db:Status-Status}' "$p" 2>/dev/null) == installed ]] || missing+=("$p")
	done
	[[ ${#missing[@]} -eq 0 ]] && return
	apt-get update -q
	DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends --no-remove "${missing[@]}"
}

# install puts the commands of a Go module into the directory <name>-<version>, all
# of them or none, and makes <name> a link to it. Arguments: name, version, flags
# of go install, "--", packages@version.
install() {
	local name=$1-$2 flags=()
	mkdir -p "$dir"
	ln -sfn "$name" "$dir/$1"
	shift 2
	while [[ $1 != -- ]]; do
		flags+=("$1")
		shift
	done
	shift
	[[ -e $dir/$name ]] && return
	tmp=$(mktemp -d "$dir/.new.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	GOBIN=$tmp GOFLAGS='' go install -trimpath "${flags[@]}" "$@"
	chmod 755 "$tmp"
	mv "$tmp" "$dir/$name"
}

# crun_of_13 puts Debian 13's crun into the directory crun-debian13, with the
# libraries that it is built for: containerd 2 cannot use that of Debian 12.
crun_of_13() {
	local name=crun-debian13 keys=/usr/share/keyrings/debian-archive-keyring.gpg mirror options
	mkdir -p "$dir"
	ln -sfn "$name" "$dir/crun"
	[[ -e $dir/$name ]] && return
	tmp=$(mktemp -d "$dir/.new.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Release: bookworm' | head -n 1)
	mkdir -p "$tmp"/{lists,cache,crun}
	echo "deb [signed-by=$keys] $mirror trixie main" >"$tmp/sources.list"
	options=(-qo "Dir::Etc::SourceList=$tmp/sources.list" -o Dir::Etc::SourceParts=- -o APT::Sandbox::User=root
		-o "Dir::State::Lists=$tmp/lists" -o "Dir::Cache=$tmp/cache" -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
	apt-get "${options[@]}" update
	(cd "$tmp" && apt-get "${options[@]}" download crun libc6 libcap2 libseccomp2 libsystemd0 libyajl2)
	for package in "$tmp"/*.deb; do
		dpkg-deb -x "$package" "$tmp/crun"
	done
	rm -rf "$tmp/crun/usr/share"
	cat >"$tmp/crun/crun" <<-'END'
		#!/bin/sh
		# Runs crun with the libraries beside it.
		top=$(dirname "$(readlink -f "$0")")
		exec "$top"/usr/lib/*-linux-gnu*/ld-linux-*.so.? --library-path "$(echo "$top"/usr/lib/*-linux-gnu*)" "$top/usr/bin/crun" "$@"
	END
	chmod 755 "$tmp/crun" "$tmp/crun/crun"
	mv "$tmp/crun" "$dir/$name"
}

# promtool puts that of Debian's prometheus into the directory promtool: the package
# would start a server.
promtool() {
	mkdir -p "$dir"
	[[ -e $dir/promtool ]] && return
	tmp=$(mktemp -d "$dir/.new.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	(cd "$tmp" && apt-get -qo APT::Sandbox::User=root download prometheus && dpkg-deb -x prometheus_*.deb files)
	mkdir "$tmp/promtool"
	mv "$tmp/files/usr/bin/promtool" "$tmp/promtool"
	mv "$tmp/promtool" "$dir/promtool"
}

debian
crun_of_13
promtool
"$(dirname "$0")/../../deploy/install.sh" # for the image
CGO_ENABLED=0 install plugins $plugins -- \
	github.com/containernetworking/plugins/plugins/{main/{bridge,ptp,macvlan,ipvlan,vlan,host-device,tap,loopback},ipam/host-local,meta/{tuning,portmap,firewall,bandwidth,sbr}}@$plugins
CGO_ENABLED=1 install runc $runc -tags seccomp -- github.com/opencontainers/runc@$runc
CGO_ENABLED=0 install containerd $containerd -- \
	github.com/containerd/containerd/v2/cmd/{containerd,containerd-shim-runc-v2,ctr}@$containerd
