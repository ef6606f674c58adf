#!/bin/bash
# Writes a tar archive to standard output that says nothing of when, where and by
# whom it was made: the same bytes from the same files. Arguments: directory, what to
# take from there, with options of tar before it.
exec tar --create --directory "$1" --sort name --mtime @0 --owner 0 --group 0 --numeric-owner --mode go-w,a+rX "${@:2}"
