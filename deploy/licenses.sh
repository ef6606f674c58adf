#!/bin/bash
# Copies the licences of what others wrote of the two programs: of Go itself, and of
# each module the files in the directories of the linked packages and above. Reads
# the module cache, which "make build" fills; a module without a licence is an error.
# Arguments: architecture, directory for the result.
set -euo pipefail
shopt -s nocaseglob nullglob

arch=$1 out=$(realpath -m "$2")
cd "$(dirname "$0")/.."

# linked lists the packages in a program of a directory: module@version, directory
# of the module, directory of the package.
linked() {
	GOOS=linux GOARCH=$arch CGO_ENABLED=0 go list -C "$1" -deps \
		-f '{{with .Module}}{{if not (or .Main .Replace)}}{{.Path}}@{{.Version}} {{.Dir}} {{$.Dir}}{{end}}{{end}}' "$2"
}

# copy copies the licences of a directory. Arguments: name of the result, directory.
copy() {
	local file
	for file in "$2"/{licen[cs]e,copying,notice,patents}*; do
		[[ -d $file || $file == *.go ]] || install -D -m 644 "$file" "$out/$1/${file##*/}"
	done
}

copy go "$(go env GOROOT)"
packages=$( (linked . ./plugins/bpffs && linked cmd/bpffsctl .) | sort -u)
while read -r module top dir; do
	for (( ; ; )); do
		copy "$module${dir#"$top"}" "$dir"
		[[ $dir != "$top" ]] || break
		dir=${dir%/*}
	done
done <<<"$packages"
for module in go $(cut -d ' ' -f 1 <<<"$packages" | sort -u); do
	licence=("$out/$module"/{licen[cs]e,copying}*)
	[[ ${#licence[@]} -gt 0 ]] || { echo "licences of $module: found none in the module cache: add it to deploy/licenses.sh" >&2; exit 1; }
done
