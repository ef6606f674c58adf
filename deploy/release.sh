#!/bin/bash
# Makes what a release consists of, for each architecture: an archive with the two
# static programs and the manifests for its image, a list of what is in them (SBOM,
# CycloneDX), and the image; and the checksums of all. The same bytes from the same
# sources and the same Go, wherever they lie. Needs what "make release" installs.
# Arguments: version, directory for the result, syft, architectures.
set -euo pipefail

version=$1 out=$2 syft=$3
shift 3
cd "$(dirname "$0")/.."
rm -rf "$out"
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# sbom lists the modules in a program of the directory, without what differs from
# run to run.
sbom() {
	(cd "$1" && SYFT_CHECK_FOR_APP_UPDATE=false "$syft" scan "file:$2" --quiet --source-name "$2" --source-version "$version" --output cyclonedx-json) |
		jq --sort-keys 'del(.serialNumber, .metadata.timestamp, .metadata.component."bom-ref") |
			(.components[] | select(.type == "file") | .name) |= (split("/") | last)'
}

for arch in "$@"; do
	name=bpffs-$version-linux-$arch
	mkdir "$work/$name"
	make --no-print-directory build VERSION="$version" BIN="$work/$name" GOARCH="$arch"
	for program in bpffs bpffsctl; do
		sbom "$work/$name" "$program" >"$out/$name-$program.cdx.json"
	done
	deploy/image.sh "$work/$name" "$arch" "ghcr.io/cni-bpffs/bpffs:$version" "$out/$name-image.tar"
	cp LICENSE README.md CHANGELOG.md "$work/$name"
	cp -r deploy "$work/$name"
	sed -i "s|newTag: \"latest\"|newTag: \"$version\"|" "$work/$name/deploy/base/kustomization.yaml"
	tar --create --directory "$work" --sort name --mtime @0 --owner 0 --group 0 --numeric-owner --mode go-w,a+rX "$name" |
		gzip --no-name --best >"$out/$name.tar.gz"
done
cd "$out"
sha256sum -- * >SHA256SUMS
ls -l
