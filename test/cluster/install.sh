#!/bin/bash
# Puts Debian's etcd into bin/cluster, where only the tests find it: installed as a
# package it would run on the host. Does nothing if it is there. Needs root, Debian 12
# and its mirror.
set -euo pipefail

dir=$(realpath -m "${BASH_SOURCE[0]}/../../../bin/cluster")
[[ -e $dir/etcd ]] && exit
mkdir -p "$dir"
tmp=$(mktemp -d "$dir/.new.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
apt-get update -q
(cd "$tmp" && apt-get -o APT::Sandbox::User=root download etcd-server)
dpkg-deb -x "$tmp"/etcd-server_*.deb "$tmp/files"
mv "$tmp/files/usr/bin/etcd" "$dir/etcd"
