package bpffs

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func TestRootsAll(t *testing.T) {
	for _, row := range []struct {
		name  string
		roots Roots
		want  []string
	}{
		{"default", Roots{}, []string{DefaultRoot, DefaultFallback}},
		{"fallback", Roots{Fallback: "/f"}, []string{DefaultRoot, "/f"}},
		{"root", Roots{Root: "/r"}, []string{"/r", DefaultRoot, DefaultFallback}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if diff := cmp.Diff(row.want, row.roots.All()); diff != "" {
				t.Errorf("%+v.All() (-want +got):\n%s", row.roots, diff)
			}
		})
	}
}

func TestRelativeRoot(t *testing.T) {
	t.Chdir(t.TempDir())
	if m, err := Mount(t.Context(), Roots{Root: "some/root"}); err == nil {
		t.Errorf("Mount at a relative root = %+v; want an error", m)
	}
	if m, err := CheckMount(Roots{Root: "some/root"}); err == nil {
		t.Errorf("CheckMount at a relative root = %+v; want an error, as of Mount", m)
	}
	if isThere(t, "some") {
		t.Error("a relative root was made")
	}
}

func TestMountBehindALink(t *testing.T) {
	testns.Need(t)
	top := t.TempDir()
	root := filepath.Join(top, "run", "bpf")
	mkdir(t, filepath.Dir(root))
	symlink(t, "run", filepath.Join(top, "var"))
	testns.UnmountAll(t, root)
	r := Roots{Root: filepath.Join(top, "var", "bpf")}
	mkdir(t, root)
	expectMount(t, r, MountPoint{Path: root, New: true}, nil)
}

// The link is there already, the directory is not.
func TestCheckMountBehindALinkToNothing(t *testing.T) {
	testns.Need(t)
	top := t.TempDir()
	mkdir(t, filepath.Join(top, "run"))
	symlink(t, "run", filepath.Join(top, "var"))
	root := filepath.Join(top, "run", "bpf")
	testns.UnmountAll(t, root)
	r := Roots{Root: filepath.Join(top, "var", "bpf")}
	checked, err := CheckMount(r)
	if err != nil {
		t.Fatalf("CheckMount(%+v): %v", r, err)
	}
	if isThere(t, root) {
		t.Errorf("CheckMount(%+v) made %s", r, root)
	}
	m, err := Mount(t.Context(), r)
	if err != nil || m.Path != root {
		t.Errorf("Mount(%+v) = %+v, %v; want %s", r, m, err, root)
	}
	if checked != m {
		t.Errorf("CheckMount(%+v) = %+v, but Mount %+v", r, checked, m)
	}
}

func TestRootIsALinkToNothing(t *testing.T) {
	testns.Need(t)
	root := filepath.Join(t.TempDir(), "root")
	symlink(t, "nothing", root)
	if m, err := Mount(t.Context(), Roots{Root: root}); err == nil {
		t.Errorf("Mount at a link to nothing = %+v; want an error", m)
	}
	if m, err := CheckMount(Roots{Root: root}); err == nil {
		t.Errorf("CheckMount at a link to nothing = %+v; want an error, as of Mount", m)
	}
}
