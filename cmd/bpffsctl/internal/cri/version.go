package cri

import (
	"fmt"
	"strings"

	cni "github.com/containernetworking/cni/pkg/version"
)

// A Version says what a runtime is. It is zero if none answers.
type Version struct {
	Runtime string // "containerd", "cri-o"
	Version string // its own
}

// String returns the runtime as messages show it.
func (v Version) String() string {
	if v == (Version{}) {
		return "no runtime answers"
	}
	return strings.TrimSpace(v.Runtime + " " + strings.TrimPrefix(v.Version, "v"))
}

// A Libcni is what the library in a runtime can do.
type Libcni struct {
	Known   bool
	Newest  string // the newest cniVersion; of one that is not known that of CNI
	DropIns bool   // it reads the files in directories of networks
}

// Libcni returns what is known of the runtime's library, which docs/runtimes.md has
// from trying it: of containerd all, of other runtimes nothing.
func (v Version) Libcni() Libcni {
	var major, minor int
	if _, err := fmt.Sscanf(strings.TrimPrefix(v.Version, "v"), "%d.%d", &major, &minor); err != nil || v.Runtime != "containerd" {
		return Libcni{Newest: cni.Current()}
	}
	if major < 2 { // libcni 1.1
		return Libcni{Known: true, Newest: "1.0.0"}
	}
	return Libcni{Known: true, Newest: "1.1.0", DropIns: major > 2 || minor >= 1} // libcni 1.2, from 2.1 on 1.3
}
