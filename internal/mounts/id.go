package mounts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/moby/sys/mountinfo"
)

// An ID names a mount, also one that is not attached to a path yet, and stays the same
// when it is attached or moved. No later mount gets it. From Linux 6.8 on it is the
// kernel's unique ID, before that the source of the mount. It is no device number,
// for the next file system can get that. After it comes the mount namespace, for from
// another one the mount cannot be seen.
type ID string

const (
	uniquePrefix = "mount-"
	sourcePrefix = "source-"
	separator    = ":" // before the number of the mount namespace
)

// IDOf returns the ID of the mount that holds the open file. source is what was
// mounted: no other mount has the same, and only letters, digits and dashes are in it.
func IDOf(f *os.File, source string) (ID, error) {
	unique, err := idOf(f, uniqueIDs)
	if err != nil {
		return "", err
	}
	id := sourcePrefix + source
	if unique != 0 && HasStatmount() {
		id = uniquePrefix + strconv.FormatUint(unique, 10)
	}
	if ns, err := os.Readlink(ownNamespace); err == nil {
		id += separator + namespaceNumber(ns)
	}
	return ID(id), nil
}

// mostMoves is how often a mount may have been moved between a look for it and the
// attempt to open it: the pod can rename the directory above it.
const mostMoves = 1000

// ErrCovered says that another mount hides the one that is looked for.
var ErrCovered = errors.New("something is mounted over")

// Find opens the root of the mount wherever it is visible in this mount namespace:
// at the path where it was attached, or where it was moved to. [fs.ErrNotExist] if it
// is unmounted, [ErrCovered] if something hides it. It is another error that it was
// attached in another mount namespace, unless that is gone.
func (id ID) Find(attached string) (*os.File, error) {
	if _, namespace, ok := strings.Cut(string(id), separator); ok {
		if err := checkNamespace(namespace); err != nil {
			return nil, fmt.Errorf("%s: %w", attached, err)
		}
	}
	last := ""
	for range mostMoves {
		at, err := id.locate(attached)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: no longer mounted: %w", attached, fs.ErrNotExist)
		}
		if err != nil {
			return nil, fmt.Errorf("looking for the mount at %s: %w", attached, err)
		}
		if f, err := at.open(); f != nil || err != nil {
			return f, err
		}
		if at.point == last {
			return nil, fmt.Errorf("%w %s, or over a directory above it: umount it", ErrCovered, at.point)
		}
		last = at.point
	}
	return nil, fmt.Errorf("the mount at %s keeps moving: stop the pod's processes", attached)
}

// A location is where a mount was a moment ago, and what it is called there.
type location struct {
	point   string
	unique  uint64
	tableID int // where there is no unique ID
}

func (id ID) locate(attached string) (location, error) {
	mount, _, _ := strings.Cut(string(id), separator)
	if number, ok := strings.CutPrefix(mount, uniquePrefix); ok {
		unique, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			return location{}, err
		}
		m, err := statmount(unique)
		return location{point: m.point, unique: unique}, err
	}
	if source, ok := strings.CutPrefix(mount, sourcePrefix); ok && source != "" {
		return locateInTable(source, attached)
	}
	return location{}, fmt.Errorf("%q is not the ID of a mount", id)
}

// locateInTable is for kernels before 6.8: it reads the whole mount table. Of several
// mounts with the source it returns that which is where it was attached.
func locateInTable(source, attached string) (location, error) {
	all, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) { return m.Source != source, false })
	if err != nil {
		return location{}, err
	}
	if len(all) == 0 {
		return location{}, fs.ErrNotExist
	}
	m := all[max(0, slices.IndexFunc(all, func(m *mountinfo.Info) bool { return m.Mountpoint == attached }))]
	return location{point: m.Mountpoint, tableID: m.ID}, nil
}

// open opens the root of the mount; nil if it is not visible there.
func (l location) open() (*os.File, error) {
	f, err := OpenDir(l.point)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	is, err := l.holds(f)
	if is && err == nil {
		return f, nil
	}
	return nil, errors.Join(err, f.Close())
}

// holds reports whether it is the mount that holds the open file.
func (l location) holds(f *os.File) (bool, error) {
	if l.unique != 0 {
		unique, err := idOf(f, uniqueIDs)
		return unique == l.unique, err
	}
	id, err := tableIDOf(f)
	return id == l.tableID, err
}
