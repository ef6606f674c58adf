package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/install"
)

// libcni is what the library in a runtime can do, which docs/runtimes.md has from
// trying them.
type libcni struct {
	runtime string // name and version
	known   bool
	newest  string // the newest cniVersion
	dropIns bool
}

// String returns the runtime as messages show it.
func (l libcni) String() string {
	if l.runtime == "" {
		return "no runtime answers"
	}
	return l.runtime
}

// libcniOf returns what is known of a runtime by the name and the version that it
// gives over the CRI.
func libcniOf(name, version string) libcni {
	l := libcni{runtime: strings.TrimSpace(name + " " + strings.TrimPrefix(version, "v"))}
	var major, minor int
	if _, err := fmt.Sscanf(strings.TrimPrefix(version, "v"), "%d.%d", &major, &minor); err != nil || name != "containerd" {
		return l
	}
	l.known = true
	l.newest = "1.0.0" // libcni 1.1
	if major >= 2 {    // libcni 1.2
		l.newest = "1.1.0"
	}
	l.dropIns = install.ReadsDropIns(name, version)
	return l
}

func checkCNIVersion(_ context.Context, n *node) []Finding {
	return decideCNIVersion(n.networks(), n.runtime().libcni(), n.plugin().supports)
}

// decideCNIVersion says whether the runtime and the plugin know the versions of
// the networks that have our plugin. What the plugin supports may be unknown.
func decideCNIVersion(n networks, r libcni, supports []string) []Finding {
	var found []Finding
	for _, one := range n.all {
		called, _ := one.uses()
		version := one.List.CNIVersion
		switch {
		case len(called) == 0:
		case len(supports) > 0 && !slices.Contains(supports, version):
			found = append(found, fail(one.Path, fmt.Sprintf("cniVersion %q is none that bpffs supports: every ADD fails; it has %s",
				version, strings.Join(supports, ", ")), setVersion(one.Path, version))...)
		case r.known && newer(version, r.newest):
			found = append(found, fail(one.Path, fmt.Sprintf("cniVersion %s is too new for %v, which knows %s: it calls the network ready, and every pod fails",
				version, r, r.newest), setVersion(one.Path, version))...)
		case !r.known && newer(version, "1.0.0"):
			found = append(found, well(one.Path, fmt.Sprintf("cniVersion %s needs a runtime with libcni 1.2 or newer; %v", version, r))...)
		default:
			found = append(found, well(one.Path, "cniVersion "+version)...)
		}
	}
	if found == nil {
		found = well(n.dir, "no network has bpffs")
	}
	return found
}

// setVersion returns a command that gives a network the version that every
// runtime knows.
func setVersion(path, version string) string {
	if version == "" {
		return `add "cniVersion": "1.0.0": ${EDITOR:-vi} ` + quote(path)
	}
	return command("sed", "-i", `/"cniVersion"/s/"`+version+`"/"1.0.0"/`, path) + ", then restart the runtime"
}

// newer compares two versions of CNI. What is none is not newer.
func newer(a, b string) bool {
	parse := func(s string) []int {
		v := make([]int, 3)
		if n, err := fmt.Sscanf(s, "%d.%d.%d", &v[0], &v[1], &v[2]); n < 3 || err != nil {
			return nil
		}
		return v
	}
	return slices.Compare(parse(a), parse(b)) > 0
}
