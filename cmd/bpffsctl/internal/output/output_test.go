package output

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"sigs.k8s.io/yaml"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// hostile are names that do something to a terminal, or look like other values.
func hostile() []string {
	return []string{
		"", "plain", "a b", "42", "true", "null", "~", "- x", "a: b", "#c", "&a", "'", `"`, `\`, `\x1b`, "a\\nb",
		"\x1b[2J\x1b]0;title\a", "line\nbreak\r\ttab", "\u009b31m", "\u202ereversed", "\x7f", "\x00",
		"\U000e0041tag", "\u2028", "\ufeffbom", "日本語", "é", "😀", "0x10", "1e3", "2026-01-01", "yes", "=", "<<",
	}
}

func TestClean(t *testing.T) {
	for _, tt := range []struct{ s, want string }{
		{"eth0 é 日本", "eth0 é 日本"},
		{"\x1b[31m", `\x1b[31m`},
		{"a\nb\tc\x7f", `a\x0ab\x09c\x7f`},
		{"\u009b31m", `\u009b31m`},
		{"\u202e", `\u202e`},
		{"\xff\xc3", `\xff\xc3`},
		{"\U000e0041", `\U000e0041`},
	} {
		if got := Clean(tt.s); got != tt.want {
			t.Errorf("Clean(%q): got %q, want %q", tt.s, got, tt.want)
		}
	}
	if got, want := cleanLines("a\nb\x1b\n"), "a\nb\\x1b\n"; got != want {
		t.Errorf("cleanLines: got %q, want %q", got, want)
	}
}

// A new line in a name does not make one in a message.
func TestMessages(t *testing.T) {
	evil := &fs.PathError{Op: "open", Path: "/a\nbpffsctl: removed everything\x1b[2J", Err: syscall.ENOENT}
	const clean = `open /a\x0abpffsctl: removed everything\x1b[2J: no such file or directory`
	for _, tt := range []struct {
		name, want, format string
		args               []any
	}{
		{"a string", `copied a\x0ab to c`, "copied %s to %s", []any{"a\nb", "c"}},
		{"strings", `[a\x0ab c] in 2s`, "%s in %v", []any{[]string{"a\nb", "c"}, 2 * time.Second}},
		{"a number and no argument", "3 changes", "%d changes", []any{3}},
		{"an error", "waiting: " + clean, "waiting: %v", []any{evil}},
		{"a wrapped one", `x\x0ay: ` + clean, "%v", []any{fmt.Errorf("x\ny: %w", evil)}},
		{"joined ones", clean + "\n" + clean, "%v", []any{errors.Join(evil, evil)}},
		{
			"joined and wrapped", `z\x0a: ` + clean + "\n" + clean + `; \x0ay: end`, "%v",
			[]any{fmt.Errorf("z\n: %w; \ny: %w", errors.Join(evil, evil), errors.New("end"))},
		},
	} {
		if got := Sprintf(tt.format, tt.args...); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// wantPrintable reports what a terminal would obey in text.
func wantPrintable(t *testing.T, text string) {
	t.Helper()
	for line := range strings.SplitSeq(text, "\n") {
		for _, r := range line {
			if !unicode.IsPrint(r) {
				t.Errorf("%U is printed as it is: %q", r, line)
			}
		}
	}
}

// roundTrip prints s for machines and reports if they read something else.
func roundTrip(t *testing.T, s string) {
	t.Helper()
	type named struct {
		Name  string   `json:"name"`
		Names []string `json:"names"`
		Empty []string `json:"empty"`
		N     uint64   `json:"n"`
	}
	for _, f := range []struct {
		format Format
		decode func([]byte, any) error
	}{{JSON, json.Unmarshal}, {YAML, func(b []byte, v any) error { return yaml.Unmarshal(b, v) }}} {
		var b strings.Builder
		in := named{s, []string{s, "x"}, []string{}, 1 << 60}
		if err := Write(&b, f.format, in, nil); err != nil {
			t.Errorf("%s of %q: %v", f.format, s, err)
			continue
		}
		wantPrintable(t, b.String())
		var out named
		if err := f.decode([]byte(b.String()), &out); err != nil {
			t.Errorf("%s of %q cannot be read: %v\n%s", f.format, s, err, b.String())
		}
		if out.Name != s || len(out.Names) != 2 || out.Names[0] != s || out.N != in.N || out.Empty == nil {
			t.Errorf("%s of %q is read as %+v\n%s", f.format, s, out, b.String())
		}
	}
}

func TestMachinesReadWhatWasThere(t *testing.T) {
	for _, s := range hostile() {
		roundTrip(t, s)
	}
}

func FuzzMachines(f *testing.F) {
	for _, s := range hostile() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if utf8.ValidString(s) {
			roundTrip(t, s)
		}
		wantPrintable(t, Clean(s))
	})
}

func TestWriteYAML(t *testing.T) {
	v := struct {
		Version int              `json:"version"`
		List    []map[string]any `json:"list"`
		None    []string         `json:"none"`
	}{1, []map[string]any{{"id": 42, "name": "a: b"}}, []string{}}
	var b strings.Builder
	testns.Must(t, Write(&b, YAML, v, nil))
	const want = "list:\n- id: 42\n  name: 'a: b'\nnone: []\nversion: 1\n"
	if b.String() != want {
		t.Errorf("YAML: got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestFormat(t *testing.T) {
	var f Format
	if f.String() != "table" {
		t.Errorf("the format without a flag is %q", f.String())
	}
	if err := f.Set("xml"); err == nil || !strings.Contains(err.Error(), "yaml") {
		t.Errorf("setting xml: got %v, want an error that lists what there is", err)
	}
	if err := f.Set("json"); err != nil || f != JSON {
		t.Errorf("setting json: %v, %q", err, f)
	}
	shown := false
	if err := Write(nil, "", nil, func(io.Writer) error { shown = true; return nil }); err != nil || !shown {
		t.Errorf("Write without a format shows the table: %t, %v", shown, err)
	}
}

func TestColumns(t *testing.T) {
	var b strings.Builder
	c := NewColumns("ID", "NAME")
	if err := c.Print(&b, ""); err != nil || b.String() != "" {
		t.Errorf("a table without rows: got %q, %v, want nothing", b.String(), err)
	}
	c.Row(ID(42), "a\x1b")
	c.Row(ID(0), "é")
	testns.Must(t, c.Print(&b, "  "))
	const want = "  ID     NAME\n  00042  a\\x1b\n  -      é\n"
	if b.String() != want {
		t.Errorf("table: got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestUnits(t *testing.T) {
	for _, tt := range []struct {
		n    uint64
		want string
	}{
		{0, "0B"}, {1023, "1023B"}, {1024, "1.0KiB"}, {10 << 10, "10KiB"}, {5<<20 + 300<<10, "5.3MiB"}, {1 << 63, "8.0EiB"},
	} {
		if got := Bytes(tt.n); got != tt.want {
			t.Errorf("Bytes(%d): got %s, want %s", tt.n, got, tt.want)
		}
	}
	for _, tt := range []struct {
		d    time.Duration
		want string
	}{
		{-time.Hour, "0s"},
		{0, "0s"},
		{119 * time.Second, "119s"},
		{2 * time.Minute, "2m"},
		{119 * time.Minute, "119m"},
		{2 * time.Hour, "2h"},
		{47 * time.Hour, "47h"},
		{48 * time.Hour, "2d"},
		{400 * 24 * time.Hour, "400d"},
	} {
		if got := Age(tt.d); got != tt.want {
			t.Errorf("Age(%v): got %s, want %s", tt.d, got, tt.want)
		}
	}
	for n, want := range map[int]string{0: "0 pins", 1: "1 pin", 2: "2 pins"} {
		if got := Count(n, "pin", "pins"); got != want {
			t.Errorf("Count(%d): got %q, want %q", n, got, want)
		}
	}
}
