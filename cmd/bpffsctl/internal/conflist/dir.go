package conflist

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/utils"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/input"
	"github.com/cni-bpffs/cni-bpffs/internal/owned"
)

// A File is one file of a configuration directory.
type File struct {
	Path   string
	Data   []byte
	List   List  // for a single plugin a list of one
	Single bool  // a single plugin's file, .conf or .json, which is not a list
	Err    error // why it cannot be used: [ErrInvalid], or that it cannot be read
}

// Unclear reports whether it is not known which plugins the file names: it cannot be
// read, or is not JSON. JSON that is no configuration names none.
func (f File) Unclear() bool { return f.Err != nil && !json.Valid(f.Data) }

// A Network is one file of a configuration directory with its drop-in files.
type Network struct {
	File           // without a path there is none; then its List has the name only
	DropIns []File // in the order of the calls

	DropInsErr error // why the drop-in files cannot be read; a network without a valid name has none
}

// A Dir is what there is in a configuration directory.
type Dir struct {
	Networks []Network // in the order in which runtimes consider them
	Chains   []Network // auxiliary chains of Multus that have a directory
	Others   []Network // directories that are called like no network: nobody reads their files
}

// Read returns what there is in the directory. A missing one has nothing. Whatever is
// wrong with a part is in that part; the error is about all.
func Read(path string) (Dir, error) {
	files, err := readDir(path)
	names, nerr := directories(path)
	d, read := Dir{}, make(map[string]bool)
	for _, f := range files {
		one := Network{File: f}
		if f.Err == nil && !f.Single && utils.ValidateNetworkName(f.List.Name) == nil {
			one.DropIns, one.DropInsErr = dropIns(path, f.List.Name)
			read[f.List.Name] = true
		}
		d.Networks = append(d.Networks, one)
	}
	chains := d.chains()
	for _, name := range names {
		one := Network{File: File{List: List{Name: name}}}
		one.DropIns, one.DropInsErr = dropIns(path, name)
		switch {
		case read[name]:
		case slices.Contains(chains, name):
			d.Chains = append(d.Chains, one)
		default:
			d.Others = append(d.Others, one)
		}
	}
	return d, errors.Join(err, nerr)
}

// All returns the networks, the chains and the other directories.
func (d Dir) All() []Network { return slices.Concat(d.Networks, d.Chains, d.Others) }

// Plugins returns all plugins of the network, as far as they can be read, in the order
// in which a runtime that reads drop-in files calls them.
func (n Network) Plugins() List {
	all := List{Plugins: slices.Clone(n.List.Plugins)}
	for _, f := range n.DropIns {
		all.Plugins = append(all.Plugins, f.List.Plugins...)
	}
	return all
}

// Broken returns the files because of which a runtime cannot use the network: its own,
// or drop-in files.
func (n Network) Broken() []File {
	all := append([]File{n.File}, n.DropIns...)
	return slices.DeleteFunc(all, func(f File) bool { return f.Err == nil })
}

// readDir returns the network configurations in dir in the order in which runtimes
// consider them. A missing directory has none. Whatever is wrong with a file is in
// its Err.
func readDir(dir string) ([]File, error) {
	paths, err := libcni.ConfFiles(dir, []string{".conf", ".conflist", ".json"})
	if owned.IsAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the networks: %w", err)
	}
	slices.Sort(paths)
	return readFiles(paths), nil
}

// dropIns returns the drop-in files of the network, which libcni from 1.3 on adds
// to its list in this order. A list may forbid that: [List.OnlyInlined]. Whatever is
// called like one and cannot be read is among them, with its Err.
func dropIns(dir, network string) ([]File, error) {
	if err := utils.ValidateNetworkName(network); err != nil { // a valid one is a file name of this directory
		return nil, fmt.Errorf("the network %q: %s", network, err.Msg)
	}
	dir = filepath.Join(dir, network)
	entries, err := os.ReadDir(dir)
	if owned.IsAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the drop-in files of the network %s: %w", network, err)
	}
	var paths []string
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".conf" && !e.IsDir() { // which libcni passes by
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return readFiles(paths), nil
}

// directories returns the names of the directories in dir that can hold drop-in files.
// Links count as what they lead to. The error names what could not be looked at.
func directories(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if owned.IsAbsent(err) {
		return nil, nil
	}
	for _, e := range entries {
		fi, looked := os.Stat(filepath.Join(dir, e.Name()))
		switch {
		case utils.ValidateNetworkName(e.Name()) != nil, owned.IsAbsent(looked):
		case looked != nil:
			err = errors.Join(err, fmt.Errorf("looking for drop-in files: %w", looked))
		case fi.IsDir():
			names = append(names, e.Name())
		}
	}
	return names, err
}

func readFiles(paths []string) []File {
	files := make([]File, len(paths))
	for i, path := range paths {
		files[i] = readFile(path)
	}
	return files
}

// readFile reads one file. libcni's own functions that read would wait for a pipe,
// give up all files because of one, and not say which.
func readFile(path string) File {
	f := File{Path: path, Single: filepath.Ext(path) != ".conflist"}
	f.Data, f.Err = readBytes(path)
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

func readBytes(path string) ([]byte, error) {
	data, err := input.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("%s: %w: it does not exist, or its target does not", path, ErrInvalid)
	case errors.Is(err, input.ErrNotRegular):
		err = fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	return data, err
}
