package bpffs

import (
	"slices"
	"strings"
	"testing"
)

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
