package byhand

import (
	"os"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// TestRoots is the table of docs/design.md, "The root", row by row.
func TestRoots(t *testing.T) {
	const given = "/run/given"
	mount := func(t testing.TB, fsType, at string) {
		t.Helper()
		mkdir(t, at)
		testns.Mount(t, fsType, at, "")
	}
	for _, row := range []struct {
		name    string
		prepare func(testing.TB)
		bpfRoot string
		root    string // where the paths are, if ADD succeeds
		mounts  int    // of bpffs, afterwards
		code    uint   // if it does not
		says    string // in the error or the warnings
	}{
		{"nothing, given", func(testing.TB) {}, given, given, 1, 0, ""},
		{"nothing, default", func(testing.TB) {}, "", root, 1, 0, ""},
		{"bpffs, given", func(t testing.TB) { t.Helper(); mount(t, "bpf", given) }, given, given, 1, 0, ""},
		{"bpffs, default", func(t testing.TB) { t.Helper(); mount(t, "bpf", root) }, "", root, 1, 0, ""},
		{"other, given", func(t testing.TB) { t.Helper(); mount(t, "tmpfs", given) }, given, "", 0, 100, "tmpfs"},
		{"other, default", func(t testing.TB) { t.Helper(); mount(t, "tmpfs", root) }, "", bpffs.DefaultFallback, 1, 0, "using the bpffs at " + bpffs.DefaultFallback},
		{"other, default, bpffs at the fallback", func(t testing.TB) {
			t.Helper()
			mount(t, "tmpfs", root)
			mount(t, "bpf", bpffs.DefaultFallback)
		}, "", bpffs.DefaultFallback, 1, 0, "warning"},
		{"other, default and fallback", func(t testing.TB) {
			t.Helper()
			mount(t, "tmpfs", root)
			mount(t, "tmpfs", bpffs.DefaultFallback)
		}, "", "", 0, 100, bpffs.DefaultFallback},
		{"stacked, given", func(t testing.TB) { t.Helper(); mount(t, "bpf", given); mount(t, "bpf", given) }, given, "", 2, 100, "bpf (/) over bpf (/)"},
		{"stacked, default", func(t testing.TB) { t.Helper(); mount(t, "bpf", root); mount(t, "bpf", root) }, "", "", 2, 100, "umount"},
		{"stacked, default, other on top", func(t testing.TB) { t.Helper(); mount(t, "bpf", root); mount(t, "tmpfs", root) }, "", "", 1, 100, "tmpfs (/) over bpf (/)"},
		{"a link", func(t testing.TB) { t.Helper(); mkdir(t, given); link(t, given, "/run/link") }, "/run/link", given, 1, 0, ""},
		{"a part of another file system below", func(t testing.TB) {
			t.Helper()
			testns.Bind(t, "/sys/fs", root) // as "ip netns exec" leaves it
			mount(t, "bpf", root)
		}, "", root, 1, 0, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			emptyNode(t)
			testns.UnmountAll(t, given)
			row.prepare(t)
			add := call{verb: "ADD", config: newConfig(keys{"bpfRoot": row.bpfRoot})}
			if row.code != 0 {
				if e := add.refused(t, row.code); !strings.Contains(e.Msg, row.says) {
					t.Errorf("got the message %q, want one with %q", e.Msg, row.says)
				}
			} else {
				a := add.must(t)
				if got := localMaps(t, a)[0].Path; !strings.HasPrefix(got, row.root+"/tc/globals/policy_") {
					t.Errorf("got the path %s, want one below %s", got, row.root)
				}
				if !strings.Contains(a.stderr, row.says) {
					t.Errorf("got the warnings %q, want one with %q", a.stderr, row.says)
				}
			}
			if got := bpfMounts(t); got != row.mounts {
				t.Errorf("got %d bpffs, want %d", got, row.mounts)
			}
		})
	}
}

func link(t testing.TB, target, path string) {
	t.Helper()
	os.Remove(path)
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}
