#!/bin/bash
# install.sh KERNEL... installs the emulators that run these kernels, and puts each
# into bin/kernels/KERNEL: vmlinuz, its modules and its release. KERNEL is a key of
# the table below. Does nothing for what is there. Needs root, Debian 12 on amd64,
# and its mirror the first time.
#
# The packages of other suites and architectures come by lists of their own, so that
# the machine's apt and dpkg stay as they are.
set -euo pipefail

# Where Debian has a kernel, and what its package is called after "linux-image-". Of
# several releases the newest counts.
declare -A suites=(
	[5.10-amd64]=bullseye-security
	[6.1-amd64]=bookworm-security
	[6.12-amd64]=bookworm-security
	[newest-amd64]=trixie-backports
	[6.1-arm64]=bookworm-security
	[6.12-arm64]=bookworm-security
	[6.12-s390x]=trixie
)
declare -A emulators=([amd64]=qemu-system-x86 [arm64]=qemu-system-arm [s390x]=qemu-system-misc)
# What the network plugins of the tests need, in the order of loading.
modules=(net/llc/llc net/802/stp net/bridge/bridge drivers/net/veth)

dir=$(realpath -m "${BASH_SOURCE[0]}/../../../bin/kernels")

die() {
	echo "$0: $*" >&2
	exit 1
}

# archive prints where this machine has Debian's archive from, with "-security" that
# of the security updates.
archive() {
	local url
	# shellcheck disable=SC1091,SC2016 # apt-get replaces what is in brackets
	url=$(. /etc/os-release && apt-get indextargets --format '$(REPO_URI)' \
		'Identifier: Packages' "Release: $VERSION_CODENAME$1" | head -n 1)
	[[ $url ]] || die "apt has no source for Debian's packages$1: add it to /etc/apt/sources.list.d"
	echo "$url"
}

# source_of prints apt's source for a kernel.
source_of() {
	local suite=${suites[$1]} part=
	[[ $suite != *-security ]] || part=-security
	cat <<-END
		Types: deb
		URIs: $(archive "$part")
		Suites: $suite
		Components: main
		Architectures: ${1##*-}
		Targets: Packages
		Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
	END
}

# apart runs a command of apt with the lists in the directory "apt" and nothing else.
apart() {
	local command=$1
	shift
	"$command" -q -o Dir::State="$PWD/apt" -o Dir::State::status=/dev/null -o Dir::Cache="$PWD/apt" \
		-o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$PWD/apt" \
		-o APT::Architecture="$architecture" -o APT::Architectures="$architecture" -o APT::Sandbox::User=root "$@"
}

# releases prints the releases of a series that the lists have, the newest first.
releases() {
	local series=${1//./\\.} flavour=cloud-$architecture
	[[ $series != newest ]] || series='[0-9]+\.[0-9]+'
	[[ $architecture != s390x ]] || flavour=s390x
	apart apt-cache search --names-only "^linux-image-$series\\.[0-9]+(\\+deb[0-9]+|-[0-9]+)-$flavour\$" |
		sed 's/^linux-image-\([^ ]*\) .*/\1/' | sort -rV
}

# download fetches the packages of the newest release that the mirror has: it can
# lack what its lists name, while it takes over a newer one. Prints the release.
download() {
	local release names
	for release in $(releases "$1"); do
		names=$(apart apt-cache search --names-only "^linux-(image|binary|modules)-${release//[.+]/\\&}\$" | cut -d' ' -f1)
		# shellcheck disable=SC2086 # several names
		if apart apt-get download $names >&2; then
			echo "$release"
			return
		fi
		rm -f ./*.deb
	done
	die "the mirror has no kernel for $1"
}

# unpack puts a kernel into the directory in which it is called.
unpack() {
	local architecture=${1##*-} release file
	mkdir -p apt/lists/partial apt/archives/partial modules
	source_of "$1" >apt/debian.sources
	apart apt-get update >&2
	release=$(download "${1%-*}")
	for file in ./*.deb; do dpkg -x "$file" x; done
	mv "$(find x -name 'vmlinuz*' -type f)" vmlinuz
	for file in "${modules[@]}"; do
		find x -path "*/kernel/$file.ko*" -exec mv -t modules {} +
		echo "${file##*/}.ko" >>modules/order
	done
	find modules -name '*.xz' -exec unxz {} +
	echo "$release" >release
	rm -r apt x ./*.deb
}

[[ $(uname -m) == x86_64 ]] || die "the emulators and the tests on this machine are for amd64, this is $(uname -m)"
tools=(xz-utils)
for kernel; do
	[[ -v suites[$kernel] ]] || die "there is no kernel $kernel: use some of ${!suites[*]}"
	tools+=("${emulators[${kernel##*-}]}")
done
if ! dpkg -s "${tools[@]}" >/dev/null 2>&1; then
	apt-get update -q >&2
	DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${tools[@]}"
fi
for kernel; do
	[[ -e $dir/$kernel ]] && continue
	mkdir -p "$dir"
	tmp=$(mktemp -d "$dir/.new.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	(cd "$tmp" && unpack "$kernel")
	chmod 755 "$tmp"
	mv "$tmp" "$dir/$kernel" # whole or not at all
done
