package cnidirs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// A spot is where a path leads: to what of it is there, and how it goes on from
// there.
type spot struct {
	there fs.FileInfo
	rest  string
}

// spotOf follows an absolute path, links too, with a function that looks.
func spotOf(path string, stat func(string) (fs.FileInfo, error)) (spot, error) {
	fi, err := stat(path)
	if err == nil {
		return spot{fi, ""}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
		return spot{}, err
	}
	parent, err := spotOf(filepath.Dir(path), stat)
	return spot{parent.there, filepath.Join(parent.rest, filepath.Base(path))}, err
}

func (s spot) is(other spot) bool {
	return s.rest == other.rest && os.SameFile(s.there, other.there)
}

// isRuntimes reports whether a path leads here where one of the paths leads for the
// runtime. It is not known in a container that does not see the runtime's process.
func (r Runtime) isRuntimes(path string, paths []string) (is, known bool) {
	path, err := filepath.Abs(path)
	if err != nil {
		return false, false
	}
	here, err := spotOf(path, os.Stat)
	if err != nil {
		return false, false
	}
	for _, p := range paths {
		there, err := spotOf(p, r.Stat)
		if err != nil {
			return false, false
		}
		if here.is(there) {
			return true, true
		}
	}
	return false, len(paths) > 0
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// isSame reports whether two paths lead to one directory here.
func isSame(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}
