package conflist

import (
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/version"
)

// What a runtime takes depends on its libcni: this one is the oracle for the newest.
func TestVersion(t *testing.T) {
	const rest = `"name": "net", "plugins": [{"type": "bridge"}]}`
	for keys, want := range map[string]struct{ old, now string }{
		``:                       {"", ""},
		`"cniVersion": "1.0.0",`: {"1.0.0", "1.0.0"},
		`"cniVersions": ["0.4.0", "1.1.0", "1.0.0"],`:                {"", "1.1.0"},
		`"cniVersions": ["0.4.0", "1.0.0", "1.1.0", "1.2.0"],`:       {"", "1.1.0"}, // newer than libcni knows
		`"cniVersions": ["0.4.0"], "cniVersion": "1.0.0",`:           {"1.0.0", "1.0.0"},
		`"cniVersion": "0.3.1", "cniVersions": ["1.0.0", "0.4.0"], `: {"0.3.1", "1.0.0"},
		`"cniVersion": "9.0.0", "cniVersions": ["8.0.0"], `:          {"9.0.0", "9.0.0"},
		`"CNIVERSION": "1.0.0",`:                                     {"", ""},
	} {
		data := []byte("{" + keys + rest)
		list, err := Parse(data)
		if err != nil {
			t.Errorf("Parse with %s: %v", keys, err)
		}
		oracle, err := libcni.NetworkConfFromBytes(data)
		if err != nil || oracle.CNIVersion != want.now {
			t.Errorf("libcni with %s: version %q, %v; want %q", keys, oracle.CNIVersion, err, want.now)
		}
		if old, now := list.Version("1.0.0"), list.Version(version.Current()); old != want.old || now != want.now {
			t.Errorf("with %s: got %q with an old libcni, %q with this one; want %q, %q", keys, old, now, want.old, want.now)
		}
	}
	for _, keys := range []string{`"cniVersion": 1,`, `"cniVersions": "1.0.0",`, `"cniVersions": [1],`} {
		if list, err := Parse([]byte("{" + keys + rest)); err == nil {
			t.Errorf("Parse with %s: version %q; want an error", keys, list.CNIVersion)
		}
	}
}

// Only the version changes, wherever it stands, and only that of the list itself.
func TestSetVersion(t *testing.T) {
	for _, tt := range []struct{ name, data, want string }{
		{"another", `{"cniVersion": "0.2.0", "name": "n", "plugins": [{"type":"a","cniVersion":"0.2.0"}]}`, `{"cniVersion": "1.0.0", "name": "n", "plugins": [{"type":"a","cniVersion":"0.2.0"}]}`},
		{"the same", `{"cniVersion" :"1.0.0", "name": "n", "plugins": [{"type":"a"}]}`, `{"cniVersion" :"1.0.0", "name": "n", "plugins": [{"type":"a"}]}`},
		{"behind the plugins", "{\"name\": \"n\", \"plugins\": [{\"type\":\"a\"}],\r\n\"cniVersion\":\"0.1.0\"}\n", "{\"name\": \"n\", \"plugins\": [{\"type\":\"a\"}],\r\n\"cniVersion\":\"1.0.0\"}\n"},
		{"none, one line", `{"name":"n","plugins":[{"type":"a"}]}`, `{"cniVersion": "1.0.0","name":"n","plugins":[{"type":"a"}]}`},
		{"none, indented", "{\n\t\"name\": \"n\",\n\t\"plugins\": [{\"type\":\"a\"}]\n}", "{\n\t\"cniVersion\": \"1.0.0\",\n\t\"name\": \"n\",\n\t\"plugins\": [{\"type\":\"a\"}]\n}"},
		{"a list of versions", `{"cniVersions": ["1.1.0"], "name": "n", "plugins": [{"type":"a"}]}`, `{"cniVersion": "1.0.0","cniVersions": ["1.1.0"], "name": "n", "plugins": [{"type":"a"}]}`},
		{"escapes in the old one", `{"cniVersion": "0.\u0032.0", "name": "n", "plugins": [{"type":"a"}]}`, `{"cniVersion": "1.0.0", "name": "n", "plugins": [{"type":"a"}]}`},
	} {
		got, err := SetVersion([]byte(tt.data), "1.0.0")
		if err != nil || string(got) != tt.want {
			t.Errorf("%s:\n got %q, %v\nwant %q", tt.name, got, err, tt.want)
		}
	}
	for _, data := range []string{``, `{`, `{"cniVersion": "0.1.0", "cniVersion": "0.2.0", "name": "n", "plugins": [{"type":"a"}]}`} {
		if got, err := SetVersion([]byte(data), "1.0.0"); err == nil {
			t.Errorf("%s: got %q, want an error", data, got)
		}
	}
}

func TestNewer(t *testing.T) {
	for _, row := range []struct {
		a, b string
		want bool
	}{
		{"1.1.0", "1.0.0", true},
		{"1.0.0", "1.0.0", false},
		{"0.4.0", "1.0.0", false},
		{"1.10.0", "1.9.0", true},
		{"", "1.0.0", false},
		{"latest", "1.0.0", false},
	} {
		if got := Newer(row.a, row.b); got != row.want {
			t.Errorf("newer(%q, %q): got %v, want %v", row.a, row.b, got, row.want)
		}
	}
}
