package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// TestGuards: every guard is where the table says.
func TestGuards(t *testing.T) {
	for _, m := range mutants() {
		s, err := readSource(filepath.Join("../..", m.dir))
		testns.Must(t, err)
		if files, err := s.changed(m.changes); err != nil || len(files) != 1 {
			t.Errorf("mutant %q: got changes to %d files (%v), want one", m.name, len(files), err)
		}
	}
}

// TestChanges: the lines of a guard do not matter, what it calls and mentions does.
func TestChanges(t *testing.T) {
	const f = "func f() error {\n\tif ok, err := look(p); ok || err != nil {\n\t\treturn err\n\t} else if taken {\n\t\treturn nil\n\t}\n\tx.undo()\n\treturn g(p)\n}"
	for _, tt := range []struct {
		name   string
		change change
		from   string
		want   string // from becomes this; empty for an error
	}{
		{"condition", never("f", "taken"), "if taken", "if false && (taken)"},
		{"condition after a call", always("f", "look"), "ok || err != nil", "true || (ok || err != nil)"},
		{"call", instead("f", "g", "wrap($0)"), "g(p)", "wrap(g(p))"},
		{"statement out", drop("f", "undo"), "x.undo()", ""},
		{"statement before", move("f", "g", "undo"), "x.undo()\n\treturn g(p)", "return g(p)\nx.undo()\n\t"},
		{"every identifier", renamed("f", "p", "q"), "p)", "q)"},
		{"no such function", never("h", "taken"), "", "functions in"},
		{"no such condition", never("f", "given"), "", "conditions in f"},
		{"two of them", never("f"), "", "got 2, want one"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSource("p")
			testns.Must(t, s.add("a.go", []byte("package p\n\n"+f+"\n")))
			files, err := s.changed([]change{tt.change})
			if tt.from == "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got the error %v, want one with %q", err, tt.want)
				}
				return
			}
			got, want := string(files["a.go"]), "package p\n\n"+strings.ReplaceAll(f, tt.from, tt.want)+"\n"
			if err != nil || got != want {
				t.Errorf("got %q (%v), want %q", got, err, want)
			}
		})
	}
}
