package doctor

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// A check that hangs must not keep the others from being printed.
func TestPatience(t *testing.T) {
	forever := check{"hangs", func(context.Context, *node) []Finding { select {} }}
	start := time.Now()
	found := forever.within(t.Context(), &node{limit: 10 * time.Millisecond})
	if len(found) != 1 || found[0].Status != Failure || found[0].Check != "hangs" || found[0].Fix == "" {
		t.Errorf("a check that hangs: got %+v, want a failure with a fix", found)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("it took %v", took)
	}
}

// Whatever is found, every check has its say, once in one place.
func TestEveryCheckSpeaks(t *testing.T) {
	for _, row := range []struct {
		name string
		make func(r *rig)
	}{
		{"healthy", func(*rig) {}},
		{"stacked", func(r *rig) { testns.Mount(r.t, "tmpfs", r.Root, "") }},
		{"unsafe", func(r *rig) { chmod(r.t, r.Root, 0o777) }},
		{"locked", func(r *rig) { r.hurry(); testns.Start(r.t, "hold records", envPath+"="+r.Root) }},
		{"nothing mounted", func(r *rig) { r.Root = filepath.Join(r.t.TempDir(), "missing") }},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			row.make(r)
			var names []string
			for _, f := range r.run(t) {
				names = append(names, f.Check)
				if f.Looked == "" || f.Detail == "" || !slices.Contains([]Status{OK, Warning, Failure, Skipped}, f.Status) {
					t.Errorf("it says too little: %+v", f)
				}
			}
			if !slices.Equal(names, checkNames()) {
				t.Errorf("got findings of %q, want one of each of %q", names, checkNames())
			}
		})
	}
}

func TestFailed(t *testing.T) {
	if Failed([]Finding{{Status: OK}, {Status: Warning}}) {
		t.Error("a warning is taken for a failure")
	}
	if !Failed([]Finding{{Status: OK}, {Status: Failure}, {Status: Warning}}) {
		t.Error("a failure is not seen")
	}
}

func TestList(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e", "f", "g"}
	for n, want := range map[int]string{0: "", 1: "a", 5: "a, b, c, d, e", 6: "a, b, c, d, e and 1 more", 7: "a, b, c, d, e and 2 more"} {
		if got := list(names[:n]); got != want {
			t.Errorf("list of %d: got %q, want %q", n, got, want)
		}
	}
}

// What cannot look because of one fault is one line, and no fault of its own.
func TestSkipped(t *testing.T) {
	for _, row := range []struct {
		name    string
		make    func(r *rig)
		because string
	}{
		{"a second bpffs", func(r *rig) { testns.Mount(r.t, "bpf", r.Root, "") }, "root"},
		{"a tmpfs", func(r *rig) { testns.Mount(r.t, "tmpfs", r.Root, "") }, "root"},
		{"an unsafe root", func(r *rig) { chmod(r.t, r.Root, 0o777) }, "directories"},
		{"locked records", func(r *rig) { testns.Start(r.t, "hold records", envPath+"="+r.Root) }, "lock"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			row.make(r)
			found := r.run(t)
			var text strings.Builder
			testns.Must(t, Print(&text, found))
			skipped := slices.DeleteFunc(slices.Clone(found), func(f Finding) bool { return f.Status != Skipped })
			if len(skipped) < 3 || strings.Count(text.String(), "skipped") != 2 {
				t.Errorf("got %d checks skipped, and\n%s\nwant several on one line", len(skipped), text.String())
			}
			want := fmt.Sprintf("skipped  %d checks were skipped because of %s: ", len(skipped), row.because)
			if !strings.Contains(text.String(), want) {
				t.Errorf("got\n%s\nwant %q", text.String(), want)
			}
			if sum := Sum(found); sum != "1 failure, 0 warnings\n" {
				t.Errorf("got the sum %q, want one failure", sum)
			}
		})
	}
}
