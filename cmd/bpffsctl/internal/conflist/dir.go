package conflist

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// A File is one file of a configuration directory.
type File struct {
	Path   string
	Data   []byte
	List   List  // for a single plugin a list of one
	Single bool  // a single plugin's file, .conf or .json, which is no list
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
	if !validName(network) {
		return nil, fmt.Errorf("the name of the network, %q, cannot be that of a directory", network)
	}
	return readFiles(filepath.Join(dir, network), ".conf")
}

func readFiles(dir string, extensions ...string) ([]File, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var files []File
	for _, e := range entries {
		if !e.IsDir() && slices.Contains(extensions, filepath.Ext(e.Name())) {
			files = append(files, readFile(filepath.Join(dir, e.Name())))
		}
	}
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	return files, nil
}

func readFile(path string) File {
	f := File{Path: path, Single: filepath.Ext(path) != ".conflist"}
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s: %w: nothing is there, or where it leads", path, ErrInvalid)
	}
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w: it is not a file", path, ErrInvalid)
	}
	if err == nil {
		f.Data, err = os.ReadFile(path)
	}
	if f.Err = err; err != nil {
		return f
	}
	if f.Single {
		f.List, err = parseSingle(f.Data)
	} else {
		f.List, err = Parse(f.Data)
	}
	if err != nil {
		f.Err = fmt.Errorf("%s: %w", path, err)
	}
	return f
}

// parseSingle reads the configuration of a single plugin as a list of one.
func parseSingle(data []byte) (List, error) {
	var conf struct {
		Name       string `json:"name"`
		CNIVersion string `json:"cniVersion"`
	}
	kind, err := typeOf(data)
	if err == nil {
		err = json.Unmarshal(data, &conf)
	}
	if err != nil {
		return List{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return List{Name: conf.Name, CNIVersion: conf.CNIVersion, Plugins: []Plugin{{Type: kind, Raw: data}}}, nil
}

// validName reports whether the name of a network is one by the specification,
// which makes it a file name that leads nowhere else.
func validName(name string) bool {
	for i, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '_' && c != '.' && c != '-') {
			return false
		}
	}
	return name != ""
}
