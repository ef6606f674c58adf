package bpffs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func TestMapDir(t *testing.T) {
	for _, row := range []struct {
		name, root, prefix string
		want               []string // Root, Prefix, Path, MapPath, LocalMapPath
	}{
		{"zero", "", "", []string{
			"/sys/fs/bpf", "tc/globals", "/sys/fs/bpf/tc/globals",
			"/sys/fs/bpf/tc/globals/m", "/sys/fs/bpf/tc/globals/m_00042",
		}},
		{"both", "/run/bpf", "a/b/c", []string{
			"/run/bpf", "a/b/c", "/run/bpf/a/b/c", "/run/bpf/a/b/c/m", "/run/bpf/a/b/c/m_00042",
		}},
		{"unclean root", "/run//./bpf/", "maps", []string{
			"/run/bpf", "maps", "/run/bpf/maps", "/run/bpf/maps/m", "/run/bpf/maps/m_00042",
		}},
		{"cni further down", "/b", "maps/cni", []string{
			"/b", "maps/cni", "/b/maps/cni", "/b/maps/cni/m", "/b/maps/cni/m_00042",
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			d, err := NewMapDir(row.root, row.prefix)
			if err != nil {
				t.Fatalf("NewMapDir(%q, %q): %v", row.root, row.prefix, err)
			}
			got := []string{d.Root(), d.Prefix(), d.Path(), d.MapPath("m"), d.LocalMapPath("m_", 42)}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("NewMapDir(%q, %q) (-want +got):\n%s", row.root, row.prefix, diff)
			}
		})
	}
}

func TestMapDirZeroValue(t *testing.T) {
	d, err := NewMapDir("", "")
	if err != nil || d != (MapDir{}) {
		t.Errorf("NewMapDir with empty parts = %+v, %v; want the zero value", d, err)
	}
}

func TestNewMapDirErrors(t *testing.T) {
	for _, row := range []struct{ name, root, prefix, want string }{
		{"relative root", "run/bpf", "", `"run/bpf" is not an absolute path`},
		{"dot root", ".", "", "not an absolute path"},
		{"root with ..", "/run/../b", "", "contains .."},
		{"root that ends in ..", "/run/..", "", "contains .."},
		{"root of the process that looks", "/proc/self/root/run/b", "", "differs for each process"},
		{"root of another process", "/proc//1/root/run/b", "", "differs for each process"},
		{"what a thread has open", "/proc/thread-self/fd/3", "", "differs for each process"},
		{"root with a zero byte", "/r\x00", "", "zero byte"},
		{"root with a newline", "/run/b\n", "", "control character"},
		{"root with an escape sequence", "/run/\x1b[31mb", "", "control character"},
		{"root with a delete", "/run/b\x7f", "", "control character"},
		{"root with a control character of two bytes", "/run/b\u009b", "", "control character"},
		{"root that is not UTF-8", "/run/b\xff", "", "not UTF-8"},
		{"prefix with a tab", "/b", "tc/a\tb", "control character"},
		{"prefix with a newline", "/b", "tc\n/a", "control character"},
		{"prefix that is not UTF-8", "/b", "tc/\xc3", "not UTF-8"},
		{"root too long", "/" + strings.Repeat("x", 3072), "", "3073 bytes is too long"},
		{"prefix too long", "/b", strings.Repeat("x/", 400) + "x", "801 bytes is too long"},
		{"absolute prefix", "/b", "/tc", "it contains an empty name"},
		{"trailing slash", "/b", "tc/", "it contains an empty name"},
		{"doubled slash", "/b", "tc//globals", "it contains an empty name"},
		{"upwards", "/b", "../etc", "has a dot"},
		{"upwards inside", "/b", "tc/../../etc", "has a dot"},
		{"here", "/b", ".", "has a dot"},
		{"dot in a name", "/b", "tc/v1.2", `"v1.2" has a dot`},
		{"zero byte", "/b", "t\x00c", "zero byte"},
		{"too long", "/b", "tc/" + strings.Repeat("n", 256), "256 bytes is too long"},
		{"the records", "/b", "cni", "reserved for the records"},
		{"below the records", "/b", "cni/maps", "reserved for the records"},
	} {
		t.Run(row.name, func(t *testing.T) {
			d, err := NewMapDir(row.root, row.prefix)
			if err == nil || !strings.Contains(err.Error(), row.want) || d != (MapDir{}) {
				t.Errorf("NewMapDir(%q, %.60q) = %+v, %v; want an error with %q", row.root, row.prefix, d, err, row.want)
			}
		})
	}
}

func TestLocalMapName(t *testing.T) {
	for _, row := range []struct {
		name string
		id   uint16
		want string
	}{
		{"policy_", 42, "policy_00042"},
		{"policy", 65535, "policy65535"},
		{"", 1, "00001"},
		{"m0", 0, "m000000"},
	} {
		if got := LocalMapName(row.name, row.id); got != row.want {
			t.Errorf("LocalMapName(%q, %d) = %q; want %q", row.name, row.id, got, row.want)
		}
	}
}

func TestCheckMapName(t *testing.T) {
	for _, row := range []struct {
		name, arg string
		ok        bool
	}{
		{"plain", "policy_", true},
		{"odd but possible", "a%=ü", true},
		{"white space", "a b", false},
		{"newline", "a\n", false},
		{"control character", "a\x01", false},
		{"delete", "a\x7f", false},
		{"not UTF-8", "a\xff", false},
		{"250 bytes", strings.Repeat("n", 250), true},
		{"251 bytes", strings.Repeat("n", 251), false},
		{"256 bytes", strings.Repeat("n", 256), false},
		{"empty", "", false},
		{"dot", "a.b", false},
		{"slash", "a/b", false},
		{"upwards", "..", false},
		{"zero byte", "a\x00", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if err := CheckMapName(row.arg); (err == nil) != row.ok {
				t.Errorf("CheckMapName(%.60q): %v; want ok: %v", row.arg, err, row.ok)
			}
		})
	}
}

func TestEnviron(t *testing.T) {
	m := testns.Crowd(t, 1, "environ", func(int) []string {
		return []string{envRoot + "=/run/bpf", EnvCiliumRoot + "=/old", EnvTCRoot + "=/old", "OTHER=kept"}
	})[0]
	if m.Err != nil {
		t.Fatalf("%v: %s", m.Err, m.Stderr)
	}
	last := make(map[string]string) // as exec.Cmd takes it
	for line := range strings.Lines(m.Stdout) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		last[name] = value
	}
	for name, want := range map[string]string{EnvCiliumRoot: "/run/bpf", EnvTCRoot: "/run/bpf", "OTHER": "kept"} {
		if last[name] != want {
			t.Errorf("Environ sets %s=%q; want %q", name, last[name], want)
		}
	}
}

func TestEscape(t *testing.T) {
	for _, row := range []struct{ plain, escaped string }{
		{"eth0", "eth0"},
		{"", ""},
		{"a.b", "a%2Eb"},
		{"..", "%2E%2E"},
		{"a/b", "a%2Fb"},
		{"50%", "50%25"},
		{"%2E", "%252E"},
		{"%252E", "%25252E"},
	} {
		if got := escape(row.plain); got != row.escaped {
			t.Errorf("escape(%q) = %q; want %q", row.plain, got, row.escaped)
		}
		if got, err := unescape(row.escaped); err != nil || got != row.plain {
			t.Errorf("unescape(%q) = %q, %v; want %q", row.escaped, got, err, row.plain)
		}
	}
}

func TestUnescapeRefuses(t *testing.T) {
	for _, name := range []string{"%", "%2", "%2e", "%2f", "%41", "a.b", "a/b", "100%x", "%%", "%25%"} {
		if got, err := unescape(name); err == nil {
			t.Errorf("unescape(%q) = %q; want an error, for escape does not write it", name, got)
		}
	}
}

func TestParseID(t *testing.T) {
	for _, id := range []uint16{1, 42, 9999, 10000, 65535} {
		if got, err := parseID(formatID(id)); err != nil || got != id {
			t.Errorf("parseID(%q) = %d, %v; want %d", formatID(id), got, err, id)
		}
	}
	for _, name := range []string{"", "0", "00000", "1", "0001", "000001", "65536", "99999", "+0001", "-0001", "0x001", "1e004", " 0001", "0_001", "٠٠٠٠١"} {
		if got, err := parseID(name); err == nil {
			t.Errorf("parseID(%q) = %d; want an error", name, got)
		}
	}
}
