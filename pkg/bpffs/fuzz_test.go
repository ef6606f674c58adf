package bpffs

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
	"testing"
)

func FuzzAppendPaths(f *testing.F) {
	for _, result := range []string{
		``, `null`, `[]`, `{}`, `{"cniVersion":"0.2.0"}`, `{"interfaces":null,"ips":null}`,
		`{"cniVersion":"1.0.0","interfaces":[null,{},{"name":"/b/m_00001"}],"ips":[{"address":"::1/128"},null]}`,
		`{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.0.0.1/8","interface":0}],"x":{"cniVersion":1}}`,
	} {
		for which := range versions() {
			f.Add([]byte(result), uint8(which))
		}
	}
	f.Fuzz(func(t *testing.T, result []byte, which uint8) {
		version := versions()[int(which)%len(versions())]
		paths := localPaths()
		got, err := AppendPaths(result, version, paths)
		if err != nil {
			return
		}
		if !json.Valid(got) {
			t.Fatalf("AppendPaths(%q, %q) = %q, which is no JSON", result, version, got)
		}
		maps, err := LocalMaps(got)
		if err != nil {
			t.Fatalf("LocalMaps(%q): %v", got, err)
		}
		var read []string
		for _, m := range maps {
			read = append(read, m.Path)
		}
		for _, p := range paths {
			if !slices.Contains(read, p) {
				t.Errorf("AppendPaths(%q, %q) = %q, in which LocalMaps finds %q", result, version, got, read)
			}
		}
		again, err := AppendPaths(got, version, paths)
		if err != nil || string(again) != string(got) {
			t.Errorf("AppendPaths a second time = %q, %v; wanted %q", again, err, got)
		}
	})
}

func FuzzLocalMaps(f *testing.F) {
	f.Add([]byte(`{"interfaces":[{"name":"/b/m_00001"},{"name":"eth0"},null]}`))
	f.Add([]byte(`{"interfaces":[{"name":"/00001"},{"name":"//m00001"},{"name":"/../m00001"},{"name":"/b/..00001"}]}`))
	f.Add([]byte(`{"interfaces":{}}`))
	f.Fuzz(func(t *testing.T, result []byte) {
		maps, err := LocalMaps(result)
		if err != nil && maps != nil {
			t.Errorf("LocalMaps(%q) = %v with the error %v", result, maps, err)
		}
		for _, m := range maps {
			if m.Name == "" || m.EndpointID == 0 || path.Base(m.Path) != LocalMapName(m.Name, m.EndpointID) ||
				!strings.HasPrefix(m.Path, "/") || path.Clean(m.Path) != m.Path {
				t.Errorf("LocalMaps(%q) gives %+v, which does not fit together", result, m)
			}
		}
	})
}

func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "eth0", "a.b/c%d", "%2E", "..", "%25", "\x00", "\xff%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name := escape(s)
		if strings.ContainsAny(name, "./") {
			t.Errorf("escape(%q) = %q, which bpffs does not take", s, name)
		}
		if back, err := unescape(name); err != nil || back != s {
			t.Errorf("unescape(escape(%q)) = %q, %v", s, back, err)
		}
	})
}

func FuzzUnescape(f *testing.F) {
	for _, name := range []string{"", "eth0", "a%2Eb", "%", "%2", "%2e", "%252E", "a.b"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if s, err := unescape(name); err == nil && escape(s) != name {
			t.Errorf("unescape(%q) = %q, which is written as %q", name, s, escape(s))
		}
	})
}

func FuzzParseID(f *testing.F) {
	for _, name := range []string{"", "00000", "00001", "65535", "65536", "+0001", "1", "000001"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if id, err := parseID(name); err == nil && (id == 0 || formatID(id) != name) {
			t.Errorf("parseID(%q) = %d, which is written as %q", name, id, formatID(id))
		}
	})
}

// What an attachment is called on disk leads to it alone.
func FuzzAttachmentPath(f *testing.F) {
	f.Add("net", "pod", "eth0")
	f.Add("a/b", "..", ".")
	f.Add("%2F", "a%", "\n")
	f.Fuzz(func(t *testing.T, network, container, ifName string) {
		a := Attachment{network, container, ifName}
		if a.Check() != nil {
			return
		}
		var parts []string
		for part := range strings.SplitSeq(a.path(), "/") {
			s, err := unescape(part)
			if err != nil || checkName(part) != nil {
				t.Fatalf("path of %q has the part %q: %v, %v", a, part, err, checkName(part))
			}
			parts = append(parts, s)
		}
		if want := []string{network, container, ifName}; !slices.Equal(parts, want) {
			t.Errorf("path of %q leads to %q", want, parts)
		}
	})
}
