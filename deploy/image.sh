#!/bin/bash
# Builds the image into a file that "ctr images import", "podman load" and
# "skopeo copy" take; the same bytes from the same sources. Needs buildah, but
# neither a network nor a registry.
# Arguments: directory with the programs, architecture, name of the image, file.
set -euo pipefail

programs=$1 arch=$2 name=$3 file=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir "$work/context"
install -m 755 "$programs/bpffs" "$programs/bpffsctl" "$work/context"
install -m 644 "$(dirname "$0")/../LICENSE" "$work/context"

# Storage and networks of its own: the machine's images, and its /etc/cni/net.d, where
# buildah writes a lock, stay as they are.
storage=(--root "$work/storage" --runroot "$work/run" --storage-driver vfs)
export CONTAINERS_CONF=$work/containers.conf
echo "network.network_config_dir = \"$work/networks\"" >"$CONTAINERS_CONF"
buildah "${storage[@]}" build --quiet --isolation chroot --platform "linux/$arch" --timestamp 0 \
	--label org.opencontainers.image.title=bpffs \
	--label org.opencontainers.image.description="CNI plugin that prepares the BPF file system for every container" \
	--label org.opencontainers.image.licenses=Apache-2.0 \
	--label org.opencontainers.image.source=https://github.com/cni-bpffs/cni-bpffs \
	--label org.opencontainers.image.version="${name##*:}" \
	--file "$(dirname "$0")/Dockerfile" --tag "$name" "$work/context" >/dev/null
rm -f "$file"
buildah "${storage[@]}" push --quiet "$name" "docker-archive:$file:$name"
echo "$file: $name for $arch"
