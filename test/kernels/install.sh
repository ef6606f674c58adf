#!/bin/bash
# Installs an emulator and the commands of the emulated machines, and puts the
# newest of Debian's kernels of each series into bin/kernels: <series>/vmlinuz and
# <series>/modules. Does nothing for what is there. Needs root, Debian 12 on amd64,
# and its mirror the first time.
set -euo pipefail

series=(6.1 6.12)
# What the network plugins of the tests need, in the order of loading.
modules=(net/llc/llc net/802/stp net/bridge/bridge drivers/net/veth)

dir=$(realpath -m "${BASH_SOURCE[0]}/../../../bin/kernels")

# updated asks the mirror once for the lists of packages, and only if a package
# is to be had: a fresh machine has no lists, or has those of an older day.
updated() {
	[[ -v lists ]] && return
	apt-get update -q >&2
	lists=new
}

# newest prints the name of the newest kernel package of a series.
newest() {
	apt-cache search --names-only "^linux-image-${1//./\\.}\\.[0-9.]+(\\+deb[0-9]+|-[0-9]+)-cloud-amd64\$" |
		cut -d' ' -f1 | sort -V | tail -n 1
}

# unpack puts the kernel of a series into a directory.
unpack() {
	local to=$2 package release file
	package=$(newest "$1")
	if [[ -z $package ]]; then
		echo "$0: the package lists have no linux-image-$1.*-cloud-amd64" >&2
		return 1
	fi
	(cd "$to" && apt-get download -q -o APT::Sandbox::User=root "$package" && dpkg -x ./*.deb x)
	release=${package#linux-image-}
	mkdir "$to/modules"
	mv "$to/x/boot/vmlinuz-$release" "$to/vmlinuz"
	for file in "${modules[@]}"; do
		mv "$to/x/lib/modules/$release/kernel/$file".ko* "$to/modules/"
		echo "${file##*/}.ko" >>"$to/modules/order"
	done
	find "$to/modules" -name '*.xz' -exec unxz {} +
	rm -r "$to/x" "$to"/*.deb
}

if [[ $(uname -m) != x86_64 ]]; then
	echo "$0: the kernels and the test binaries are for amd64, this is $(uname -m)" >&2
	exit 1
fi
tools=(qemu-system-x86 xz-utils busybox-static)
if ! dpkg -s "${tools[@]}" >/dev/null 2>&1; then
	updated
	DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${tools[@]}"
fi
for s in "${series[@]}"; do
	[[ -e $dir/$s ]] && continue
	updated
	mkdir -p "$dir"
	tmp=$(mktemp -d "$dir/.new.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	unpack "$s" "$tmp"
	chmod 755 "$tmp"
	mv "$tmp" "$dir/$s" # whole or not at all
done
