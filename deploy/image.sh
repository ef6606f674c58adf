#!/bin/bash
# Builds the image for one or more architectures into one file, an OCI archive with
# an index, which "ctr images import", "podman load" and "skopeo copy" take; the same
# bytes from the same sources. Needs buildah, but neither a network nor a registry.
# Arguments: name of the image, file, and for each architecture the directory with its
# programs and the directory licenses, such as amd64=bin/image/amd64.
set -euo pipefail
umask 022

name=$1 file=$2
shift 2
deploy=$(realpath "$(dirname "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Storage and networks of its own: the machine's images, and its /etc/cni/net.d, where
# buildah writes a lock, stay as they are.
storage=(--root "$work/storage" --runroot "$work/run" --storage-driver vfs)
export CONTAINERS_CONF=$work/containers.conf
echo "network.network_config_dir = \"$work/networks\"" >"$CONTAINERS_CONF"

# build adds the image of an architecture to the index. Arguments: architecture,
# directory.
build() {
	local context=$work/context/$1
	mkdir -p "$context"
	install -m 755 "$2/bpffs" "$2/bpffsctl" "$context"
	install -m 644 "$deploy/../LICENSE" "$context"
	cp -r "$2/licenses" "$context"
	buildah "${storage[@]}" build --quiet --isolation chroot --platform "linux/$1" --timestamp 0 \
		--label org.opencontainers.image.title=bpffs \
		--label org.opencontainers.image.description="CNI plugin that prepares the BPF file system for every container" \
		--label org.opencontainers.image.licenses=Apache-2.0 \
		--label org.opencontainers.image.source=https://github.com/cni-bpffs/cni-bpffs \
		--label org.opencontainers.image.version="${name##*:}" \
		--file "$deploy/Dockerfile" --manifest "$name" "$context" >/dev/null
}

for image in "$@"; do
	build "${image%%=*}" "${image#*=}"
done
buildah "${storage[@]}" manifest push --quiet --all --format oci "$name" "oci:$work/layout:$name"
"$deploy/tar.sh" "$work/layout" . >"$file"
echo "$file: $name for ${*%%=*}"
