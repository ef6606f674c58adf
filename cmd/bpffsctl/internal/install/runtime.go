package install

import (
	"strconv"
	"strings"
)

// ReadsDropIns reports whether a container runtime, by the name and version that
// it gives over CRI, is known to read the files in directories of networks: those
// with libcni from 1.3 on, which containerd has from 2.1 on. Of other runtimes it
// is not known.
func ReadsDropIns(name, version string) bool {
	if name != "containerd" {
		return false
	}
	major, rest, ok := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	if !ok {
		return false
	}
	minor, _, _ := strings.Cut(rest, ".")
	x, xerr := strconv.Atoi(major)
	y, yerr := strconv.Atoi(minor)
	return xerr == nil && yerr == nil && (x > 2 || x == 2 && y >= 1)
}
