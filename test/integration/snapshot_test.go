package integration

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// snapshot describes all that the plugin could change on a node: the mount table
// and what is below the roots.
func snapshot(t *testing.T) []string {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	lines := strings.Split(string(table), "\n")
	for _, root := range []string{filepath.Dir(defaultRoot), filepath.Dir(fallback), customDir} {
		for _, path := range tree(t, root) {
			fi, err := os.Lstat(path)
			must(t, err)
			st := fi.Sys().(*syscall.Stat_t)
			lines = append(lines, fmt.Sprintf("%s %v user %d inode %d changed %v",
				path, fi.Mode(), st.Uid, st.Ino, fi.ModTime()))
		}
	}
	return lines
}

// unchanged wants the node to be as it was at the time of the snapshot.
func unchanged(t *testing.T, before []string) {
	t.Helper()
	if diff := cmp.Diff(before, snapshot(t)); diff != "" {
		t.Errorf("the node changed (-before +after):\n%s", diff)
	}
}

// tree returns root and every path below it; none if there is no root.
func tree(t *testing.T, root string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		all = append(all, path)
		return err
	})
	if _, missing := os.Lstat(root); missing != nil {
		return nil
	}
	must(t, err)
	return all
}

// left returns what is below the root of a bpffs beside the directories that
// stay, and what the kernel puts into every bpffs.
func left(t *testing.T, root string) []string {
	t.Helper()
	stays := []string{
		"cni", "cni/layout-1", "cni/endpoints", "cni/attachments", "tc", "tc/globals", "maps.debug", "progs.debug",
	}
	var more []string
	for _, path := range tree(t, root) {
		name := strings.TrimPrefix(path, root+"/")
		if name != root && !slices.Contains(stays, name) {
			more = append(more, name)
		}
	}
	return more
}

// nothingLeft wants a bpffs at the root without any endpoint.
func nothingLeft(t *testing.T, root string) {
	t.Helper()
	if more := left(t, root); more != nil {
		t.Errorf("left at %s: %q, want nothing", root, more)
	}
}
