#!/bin/bash
# Installs what makes, checks and copies images and releases, for Debian 12 as root; the
# rest is built from source. Does nothing for what is there.
set -euo pipefail

missing=()
for p in buildah jq skopeo; do
	[[ $(dpkg-query -Wf '${db:Status-Status}' "$p" 2>/dev/null) == installed ]] || missing+=("$p")
done
[[ ${#missing[@]} -eq 0 ]] && exit
apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends --no-remove "${missing[@]}"
