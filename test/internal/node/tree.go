package node

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// Globals is the map directory, below a root.
const Globals = "tc/globals"

// LinkTo begins the kind of a symbolic link; its target follows.
const LinkTo = "-> "

// A Tree is what is below a directory, by path.
type Tree map[string]string

// ReadTree describes the directory, as ".", and all that is below it; nothing if it
// is missing. What the kernel puts into every bpffs is left out.
func ReadTree(dir string, describe func(path string, fi fs.FileInfo) (string, error)) (Tree, error) {
	t := make(Tree)
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && !strings.HasSuffix(path, ".debug") {
			err = t.add(dir, path, describe)
		}
		if errors.Is(err, fs.ErrNotExist) { // it was removed meanwhile
			return nil
		}
		return err
	})
	return t, err
}

func (t Tree) add(dir, path string, describe func(path string, fi fs.FileInfo) (string, error)) error {
	fi, err := os.Lstat(path)
	if err != nil {
		return err
	}
	is, err := describe(path, fi)
	if err != nil {
		return err
	}
	name, err := filepath.Rel(dir, path)
	t[name] = is
	return err
}

// Kinds returns of all below dir what kind it is, and where links lead.
func Kinds(dir string) (Tree, error) {
	t, err := ReadTree(dir, func(path string, fi fs.FileInfo) (string, error) {
		if fi.Mode().Type() != fs.ModeSymlink {
			return fi.Mode().Type().String(), nil
		}
		target, err := os.Readlink(path)
		return LinkTo + target, err
	})
	delete(t, ".")
	return t, err
}

// Identities returns of the directory and all below it what changes whenever it is
// touched.
func Identities(tb testing.TB, dir string) Tree {
	tb.Helper()
	t, err := ReadTree(dir, func(_ string, fi fs.FileInfo) (string, error) {
		st := fi.Sys().(*syscall.Stat_t)
		return fmt.Sprintf("%v user %d inode %d changed %v", fi.Mode(), st.Uid, st.Ino, fi.ModTime()), nil
	})
	testns.Must(tb, err)
	return t
}

// stays are the directories in a bpffs that ADD makes and nothing removes.
func stays() []string {
	return []string{"cni", "cni/layout-1", "cni/endpoints", "cni/attachments", "tc", Globals}
}

// Stays reports whether the path below a root is one that nothing removes.
func Stays(name string) bool {
	return slices.Contains(stays(), name)
}

// Left returns the tree without the directories that stay.
func (t Tree) Left() Tree {
	less := maps.Clone(t)
	maps.DeleteFunc(less, func(name, _ string) bool { return Stays(name) })
	return less
}

// Below returns the paths below dir, without dir in front.
func (t Tree) Below(dir string) []string {
	var names []string
	for name := range t {
		if rest, ok := strings.CutPrefix(name, dir+"/"); ok {
			names = append(names, rest)
		}
	}
	slices.Sort(names)
	return names
}

// NothingLeft wants the bpffs at root to be as one where there never was an
// endpoint but the directories stayed.
func NothingLeft(tb testing.TB, root string) {
	tb.Helper()
	got, err := Kinds(root)
	testns.Must(tb, err)
	want := make(Tree)
	for _, name := range stays() {
		want[name] = fs.ModeDir.String()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		tb.Errorf("left at %s (-want +got):\n%s", root, diff)
	}
}
