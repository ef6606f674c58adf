package conflist

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/utils"
)

// A File is one file of a configuration directory.
type File struct {
	Path   string
	Data   []byte
	List   List  // for a single plugin a list of one
	Single bool  // a single plugin's file, .conf or .json, which is not a list
	Err    error // why it cannot be used: [ErrInvalid], or that it cannot be read
}

// ReadDir returns the network configurations in dir in the order in which runtimes
// consider them. A missing directory has none. Whatever is wrong with a file is in
// its Err.
func ReadDir(dir string) ([]File, error) {
	return readFiles(dir, ".conf", ".conflist", ".json")
}

// DropIns returns the drop-in files of the network, which libcni from 1.3 on adds
// to its list in this order. A list may forbid that: [List.OnlyInlined].
func DropIns(dir, network string) ([]File, error) {
	if err := utils.ValidateNetworkName(network); err != nil { // a valid one is a file name of this directory
		return nil, fmt.Errorf("the network %q: %s", network, err.Msg)
	}
	return readFiles(filepath.Join(dir, network), ".conf")
}

func readFiles(dir string, extensions ...string) ([]File, error) {
	paths, err := libcni.ConfFiles(dir, extensions)
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	files := make([]File, len(paths))
	for i, path := range paths {
		files[i] = readFile(path)
	}
	return files, nil
}

// readFile reads one file. libcni's own functions that read would wait for a pipe,
// give up all files because of one, and not say which.
func readFile(path string) File {
	f := File{Path: path, Single: filepath.Ext(path) != ".conflist"}
	f.Data, f.Err = readRegular(path)
	if f.Err != nil {
		return f
	}
	parse := Parse
	if f.Single {
		parse = parseOne
	}
	var err error
	if f.List, err = parse(f.Data); err != nil {
		f.Err = fmt.Errorf("%s: %w", path, err)
	}
	return f
}

func readRegular(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w: nothing is there, or where it leads", path, ErrInvalid)
	}
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: it is not a file", path, ErrInvalid)
	}
	return os.ReadFile(path)
}
