package install

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// Who has not looked for long is neither live nor known to have installed.
func TestStatus(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		name            string
		status          Status
		live, installed string
	}{
		{"installed", Status{Looked: now, Ready: true}, "", ""},
		{"installed, a minute ago", Status{Looked: now.Add(-always), Ready: true}, "", ""},
		{"the clock was put back", Status{Looked: now.Add(time.Hour), Ready: true}, "", ""},
		{"it waits", Status{Looked: now}.after(errors.New("no network"), false), "", "waiting: no network"},
		{"it waits for two", Status{Looked: now}.after(errors.Join(errors.New("one"), errors.New("two")), false), "", "waiting: one; two"},
		{"it hangs", Status{Looked: now.Add(-lookedWithin - time.Second), Ready: true}, "has not looked at the node for 3m1s", "has not looked"},
		{"an empty object", Status{}, "has not looked", "has not looked"},
	} {
		for what, got := range map[string]error{tt.live: tt.status.Live(now), tt.installed: tt.status.Installed(now)} {
			if (got == nil) != (what == "") || got != nil && !strings.Contains(got.Error(), what) {
				t.Errorf("%s: got %v, want %q", tt.name, got, what)
			}
		}
	}
}

// What is saved is read, also over an older file; what is no status is refused.
func TestSaveStatus(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status")
	for _, want := range []Status{{Looked: time.Now().UTC(), Reason: "waiting\x1b"}, {Ready: true, Restored: 3}} {
		testns.Must(t, want.Save(path))
		got, err := ReadStatus(path)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("got %v, (-want +got):\n%s", err, diff)
		}
	}
	for _, content := range []string{"", "{", "[]"} {
		testns.Must(t, os.WriteFile(path, []byte(content), 0o644))
		if s, err := ReadStatus(path); err == nil {
			t.Errorf("%q: got %+v, want an error", content, s)
		}
	}
}
