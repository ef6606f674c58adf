package bpffs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
)

// setNetNSIn records in which directory the network namespace is. Where that cannot be
// said or recorded it is not known.
func (r record) setNetNSIn(netns string) error {
	fi, err := os.Stat(path.Dir(netns))
	target := ""
	if err == nil {
		target = string(DirIDOf(fi)) + netns
	}
	if err != nil || !path.IsAbs(netns) || len(target) >= maxPath {
		err = r.cni.Remove(r.link(netNSIn))
	} else {
		err = r.cni.SetLink(target, r.link(netNSIn))
	}
	if errors.Is(err, syscall.EROFS) {
		err = nil
	}
	return err
}

// netNSIn returns in which directory the network namespace with the path was at ADD. Of
// another path, which a kill can leave, or an older version, nothing is said.
func (r record) netNSIn(netns string) (DirID, error) {
	target, err := r.cni.Readlink(r.link(netNSIn))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	id, ok := strings.CutSuffix(target, netns)
	if !ok || strings.Contains(id, "/") {
		id = ""
	}
	return DirID(id), err
}

// A DirID tells a directory from all others of this machine, whatever path leads to it
// in whichever mount namespace, as long as its file system is mounted: the kernel can
// give the numbers to a later one. The zero value is none.
type DirID string

// DirIDOf returns the ID of the directory that fi, of [os.Stat], describes.
func DirIDOf(fi fs.FileInfo) DirID {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return DirID(fmt.Sprintf("%d:%d", st.Dev, st.Ino))
}
