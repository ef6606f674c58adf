package conflist

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/containernetworking/cni/pkg/version"
)

// listsVersions is the version of CNI with which libcni (1.2) began to read the key
// cniVersions.
const listsVersions = "1.1.0"

// Version returns the cniVersion that the plugins get from a libcni which knows
// versions up to the newest: the newest of both keys that it knows, and before
// libcni 1.2 that of cniVersion. It is empty if the list says none.
func (l List) Version(newest string) string {
	if Newer(listsVersions, newest) {
		return l.CNIVersion
	}
	known := slices.DeleteFunc(slices.Clone(l.CNIVersions), func(v string) bool { return Newer(v, newest) })
	if len(known) == 0 {
		return l.CNIVersion
	}
	best := slices.MaxFunc(known, compare)
	if l.CNIVersion != "" && !Newer(l.CNIVersion, newest) && Newer(l.CNIVersion, best) {
		return l.CNIVersion
	}
	return best
}

// SetVersion returns the list in data with this cniVersion; every other byte stays.
// A list without one gets it as its first key. The key cniVersions stays as it is.
// [ErrInvalid] if data is not a list.
func SetVersion(data []byte, to string) ([]byte, error) {
	list, err := Parse(data)
	if err != nil {
		return nil, err
	}
	if list.CNIVersion == to {
		return data, nil
	}
	now, there, err := valueOf(data, "cniVersion")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	text := fmt.Appendf(nil, "%q", to)
	if there {
		return splice(data, now.start, now.end, text), nil
	}
	brace := bytes.IndexByte(data, '{') + 1
	rest := data[brace:]
	gap := rest[:len(rest)-len(bytes.TrimLeft(rest, space))]
	return splice(data, brace, brace, slices.Concat(gap, []byte(`"cniVersion": `), text, []byte(","))), nil
}

// versions returns what a list that libcni takes says of versions.
func versions(data []byte) (one string, several []string) {
	keys := make(map[string]json.RawMessage) // a struct would take keys in other letters
	_ = json.Unmarshal(data, &keys)
	_ = json.Unmarshal(keys["cniVersion"], &one)
	_ = json.Unmarshal(keys["cniVersions"], &several)
	return one, several
}

// Newer compares two versions of CNI. What is none is not newer.
func Newer(a, b string) bool {
	is, err := version.GreaterThan(a, b)
	return is && err == nil
}

func compare(a, b string) int {
	switch {
	case Newer(a, b):
		return 1
	case Newer(b, a):
		return -1
	}
	return 0
}
