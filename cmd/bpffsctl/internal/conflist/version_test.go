package conflist

import "testing"

// libcni from 1.3 on takes the newest version of both keys.
func TestVersions(t *testing.T) {
	const rest = `"name": "net", "plugins": [{"type": "bridge"}]}`
	for keys, want := range map[string]string{
		``:                       "",
		`"cniVersion": "1.0.0",`: "1.0.0",
		`"cniVersions": ["0.4.0", "1.1.0", "1.0.0"],`:                "1.1.0",
		`"cniVersions": ["1.0.0", "99.0.0"],`:                        "1.0.0", // newer than libcni knows
		`"cniVersions": ["0.4.0"], "cniVersion": "1.0.0",`:           "1.0.0",
		`"cniVersion": "0.3.1", "cniVersions": ["1.0.0", "0.4.0"], `: "1.0.0",
	} {
		list, err := Parse([]byte("{" + keys + rest))
		if err != nil || list.CNIVersion != want {
			t.Errorf("Parse with %s: version %q, %v; want %q", keys, list.CNIVersion, err, want)
		}
	}
	for _, keys := range []string{`"cniVersion": 1,`, `"cniVersions": "1.0.0",`, `"cniVersions": [1],`} {
		if list, err := Parse([]byte("{" + keys + rest)); err == nil {
			t.Errorf("Parse with %s: version %q; want an error", keys, list.CNIVersion)
		}
	}
}
