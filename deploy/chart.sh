#!/bin/bash
# Packs the Helm chart into an archive that Helm takes, with the version of a release
# as its own and as the tag of the image; the same bytes from the same sources, which
# "helm package" does not give.
# Arguments: version, file.
set -euo pipefail

version=$1 file=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Helm wants a semantic version, which that of an untagged commit is not.
chart=${version#v}
[[ $chart =~ ^[0-9]+\.[0-9]+\.[0-9]+ ]] || chart=0.0.0-g$version

cp -r "$(dirname "$0")/chart" "$work/bpffs"
sed -i "s|^version: .*|version: $chart|; s|^appVersion: .*|appVersion: \"$version\"|" "$work/bpffs/Chart.yaml"
"$(dirname "$0")/tar.sh" "$work" --exclude kustomization.yaml --exclude .helmignore bpffs | gzip --no-name --best >"$file"
