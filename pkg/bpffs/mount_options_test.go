package bpffs

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/sys/mountinfo"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func TestMountOptions(t *testing.T) {
	testns.Need(t)
	root := filepath.Join(t.TempDir(), "a", "b")
	testns.UnmountAll(t, root)
	if _, err := Mount(t.Context(), Roots{Root: root}); err != nil {
		t.Fatal(err)
	}
	found, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(root))
	if err != nil || len(found) != 1 {
		t.Fatalf("the mount table has %d entries of %s, %v; want 1", len(found), root, err)
	}
	for _, option := range []string{"rw", "nosuid", "nodev", "noexec"} {
		if !strings.Contains(","+found[0].Options+",", ","+option+",") {
			t.Errorf("%s is mounted with %s; want %s too", root, found[0].Options, option)
		}
	}
	if fi, err := os.Stat(root); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("%s: %v, %v; want mode 0700", root, fi.Mode(), err)
	}
}

func TestMountLeavesAnotherBPFFSAlone(t *testing.T) {
	root := t.TempDir()
	testns.Mount(t, "bpf", root, "mode=0755")
	mkdir(t, filepath.Join(root, "content"))
	expectMount(t, Roots{Root: root}, MountPoint{Path: root}, nil)
	if fi, err := os.Stat(root); err != nil || fi.Mode().Perm() != 0o755 || !isThere(t, filepath.Join(root, "content")) {
		t.Errorf("%s after Mount: %v, %v; want it as before", root, fi, err)
	}
}

func TestMountWithoutPrivilege(t *testing.T) {
	testns.Need(t)
	root := t.TempDir()
	chmod(t, filepath.Dir(root), 0o755)
	m := testns.Crowd(t, 1, "mount poorly", func(int) []string { return []string{envRoot + "=" + root} })[0]
	if m.Err != nil {
		t.Fatalf("%v: %s", m.Err, m.Stderr)
	}
	for i, call := range []string{"CheckMount", "Mount"} {
		if answer := strings.Split(m.Stdout, "\n")[i]; !strings.Contains(answer, "CAP_SYS_ADMIN") {
			t.Errorf("%s by user %d: %s; want CAP_SYS_ADMIN named", call, stranger, answer)
		}
	}
}

func TestWhyNotMounted(t *testing.T) {
	for _, row := range []struct {
		err  error
		want string
	}{
		{&os.PathError{Op: "mount", Err: syscall.EPERM}, "CAP_SYS_ADMIN"},
		{&os.PathError{Op: "mount", Err: syscall.ENODEV}, "CONFIG_BPF_SYSCALL"},
		{&os.PathError{Op: "mount", Err: syscall.EBUSY}, "kernel log"},
	} {
		if got := whyNotMounted(row.err); !strings.Contains(got, row.want) {
			t.Errorf("whyNotMounted(%v) = %q; want %q in it", row.err, got, row.want)
		}
	}
}

func TestInHostMountNamespace(t *testing.T) {
	testns.Need(t) // process 1 is then this process's own
	if in, err := InHostMountNamespace(); err != nil || !in {
		t.Errorf("InHostMountNamespace() = %v, %v in the namespace of process 1", in, err)
	}
}
