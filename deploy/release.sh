#!/bin/bash
# Makes what a release consists of: for each architecture an archive with the two
# static programs, the licences of what is linked into them, the manifests, the
# documents and what these lead to, and for each program a list of what is in it
# (SBOM, CycloneDX); one image and one Helm chart for all architectures; and the
# checksums of all. The same bytes from the same sources and the same Go, wherever
# they lie. Needs what "make release" installs. Arguments: version, directory for the
# result, syft, architectures.
set -euo pipefail
umask 022

version=$1 out=$(realpath -m "$2") syft=$3
shift 3
cd "$(dirname "$0")/.."
rm -rf "$out"
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# sbom lists the modules in a program of the directory with their licences, without
# what differs from run to run. The licence of our own code is no module's in the
# cache: it is added. Whatever else has none is an error.
sbom() {
	(cd "$1" && SYFT_CHECK_FOR_APP_UPDATE=false SYFT_GOLANG_SEARCH_LOCAL_MOD_CACHE_LICENSES=true \
		SYFT_GOLANG_LOCAL_MOD_CACHE_DIR="$(go env GOMODCACHE)" \
		"$syft" scan "file:$2" --quiet --source-name "$2" --source-version "$version" --output cyclonedx-json) |
		jq --sort-keys --from-file deploy/sbom.jq
}

images=()
for arch in "$@"; do
	name=bpffs-$version-linux-$arch
	archive=$work/$name
	mkdir -p "$archive/deploy"
	make --no-print-directory build VERSION="$version" BIN="$archive" GOARCH="$arch"
	for program in bpffs bpffsctl; do
		sbom "$archive" "$program" >"$out/$name-$program.cdx.json"
	done
	images+=("$arch=$archive")
	deploy/licenses.sh "$arch" "$archive/licenses"
	cp -r LICENSE ./*.md conf docs examples "$archive"
	cp -r deploy/*/ "$archive/deploy"
	sed -i "s|newTag: \"latest\"|newTag: \"$version\"|" "$archive/deploy/base/kustomization.yaml"
	deploy/chart.sh "$version" "$archive/deploy/chart" "$out/bpffs-$version-chart.tgz"
	deploy/tar.sh "$work" "$name" | gzip --no-name --best >"$out/$name.tar.gz"
done
deploy/image.sh "ghcr.io/cni-bpffs/bpffs:$version" "$out/bpffs-$version-image.tar" "${images[@]}"
cd "$out"
sha256sum -- * >SHA256SUMS
ls -l
