package kernels

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// writeArchive writes directories, each from its own directory on this machine,
// to the file name in the form in which the kernel takes its first file system:
// cpio "newc". It is not compressed, for emulated unpacking takes longer than
// reading. Links become what they point to.
func writeArchive(name string, dirs map[string]string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	a := &archive{Writer: bufio.NewWriter(f)}
	for to, from := range dirs {
		if err := a.addAll(strings.Trim(to, "/"), from); err != nil {
			return err
		}
	}
	if err := a.entry("TRAILER!!!", 0, nil); err != nil {
		return err
	}
	return a.Flush()
}

type archive struct {
	*bufio.Writer
	entries uint32
}

func (a *archive) addAll(to, from string) error {
	return filepath.WalkDir(from, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return a.add(filepath.Join(to, rel), path)
	})
}

func (a *archive) add(name, path string) error {
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	const regular, directory = 0o100000, 0o040000
	if fi.IsDir() {
		return a.entry(name, directory|uint32(fi.Mode().Perm()), nil)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return a.entry(name, regular|uint32(fi.Mode().Perm()), content)
}

func (a *archive) entry(name string, mode uint32, content []byte) error {
	a.entries++
	const owner, group, links, modified, device, sum = 0, 0, 1, 0, 0, 0
	head := "070701"
	for _, field := range []uint32{
		a.entries, mode, owner, group, links, modified, uint32(len(content)),
		device, device, device, device, uint32(len(name) + 1), sum,
	} {
		head += fmt.Sprintf("%08x", field)
	}
	_, err := io.WriteString(a, pad(head+name+"\x00")+pad(string(content)))
	return err
}

// pad fills s with zero bytes to a multiple of four.
func pad(s string) string {
	return s + "\x00\x00\x00"[:-len(s)&3]
}
