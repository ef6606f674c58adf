#!/bin/bash
# Gives a copy of the Helm chart the version of a release, as its own and as the tag of
# the image, and packs it into an archive that Helm takes: the same bytes from the same
# sources, which "helm package" does not give.
# Arguments: version, directory with the copy, file.
set -euo pipefail

version=$1 chart=$2 file=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Helm wants a semantic version, which that of an untagged commit is not.
semantic=${version#v}
[[ $semantic =~ ^[0-9]+\.[0-9]+\.[0-9]+ ]] || semantic=0.0.0-g$version
sed -i "s|^version: .*|version: $semantic|; s|^appVersion: .*|appVersion: \"$version\"|" "$chart/Chart.yaml"

cp -r "$chart" "$work/bpffs"
find "$work/bpffs" \( -name kustomization.yaml -o -name .helmignore \) -delete
"$(dirname "$0")/tar.sh" "$work" bpffs | gzip --no-name --best >"$file"
