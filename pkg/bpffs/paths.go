package bpffs

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Where the maps are unless something else is configured. The values are those
// that Cilium and iproute2 use.
const (
	DefaultRoot      = "/sys/fs/bpf"
	DefaultFallback  = "/run/cilium/bpffs"
	DefaultMapPrefix = "tc/globals"
)

// The variables that tell child processes the root: the first is Cilium's, the
// second iproute2's.
const (
	EnvCiliumRoot = "CILIUM_BPF_MNT"
	EnvTCRoot     = "TC_BPF_MNT"
)

// MapDir is the directory that holds pinned maps: a prefix below the root of a
// bpffs. It is an immutable value; its zero value is /sys/fs/bpf/tc/globals.
type MapDir struct {
	root, prefix string
}

// NewMapDir returns the map directory prefix below the bpffs mounted at root,
// an absolute path. An empty root or prefix means the default. The error says
// which part cannot be one: a root that is relative, a prefix that is absolute,
// leads upwards or has a dot in it (bpffs reserves dots in names). It does not
// look at the file system.
func NewMapDir(root, prefix string) (MapDir, error) {
	if root != "" {
		if err := CheckRoot(root); err != nil {
			return MapDir{}, err
		}
	}
	if prefix != "" {
		if err := checkPrefix(prefix); err != nil {
			return MapDir{}, err
		}
	}
	return MapDir{root, prefix}, nil
}

// The longest root and map prefix, in bytes: together with the longest name they
// are a path.
const (
	maxRoot   = 3072
	maxPrefix = maxPath - maxRoot - maxName - 3
)

// CheckRoot reports why the path cannot be the root of a bpffs, as far as can be
// said without looking at the file system: it is not absolute, it has ".." in it,
// which means one thing before links are followed and another after, it has a zero
// byte, a control character or something that is not UTF-8, it is longer than 3,072
// bytes, or it begins in a process's directory of /proc, whose links lead to that
// process's root and files.
func CheckRoot(root string) error {
	err := checkRootPath(root)
	if err == nil && !isPlain(root) {
		err = fmt.Errorf("bpffs root %.300q %s", root, notPlain)
	}
	return err
}

// checkRootPath is CheckRoot of what is used, not configured, for pods can be there
// from before.
func checkRootPath(root string) error {
	switch {
	case !filepath.IsAbs(root):
		return fmt.Errorf("bpffs root %.300q is not an absolute path", root)
	case slices.Contains(strings.Split(root, "/"), ".."):
		return fmt.Errorf("bpffs root %.300q contains ..: write the path without it", root)
	case isOfProcess(root):
		return fmt.Errorf("bpffs root %.300q differs for each process: write the path that it stands for", root)
	case strings.ContainsRune(root, 0):
		return fmt.Errorf("bpffs root %.300q has a zero byte", root)
	case len(root) > maxRoot:
		return fmt.Errorf("bpffs root %.100q… of %d bytes is too long, the limit is %d", root, len(root), maxRoot)
	}
	return nil
}

// isPlain reports whether the text can be shown, and read back from JSON.
func isPlain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// notPlain says what is wrong with a text that is not plain.
const notPlain = "contains a control character, or is not UTF-8"

// isOfProcess reports whether the path begins in the directory of a process.
func isOfProcess(root string) bool {
	of, found := strings.CutPrefix(path.Clean(root), "/proc/")
	name, _, _ := strings.Cut(of, "/")
	_, err := strconv.Atoi(name)
	return found && (err == nil || name == "self" || name == "thread-self")
}

func checkPrefix(prefix string) error {
	for name := range strings.SplitSeq(prefix, "/") {
		if err := checkName(name); err != nil {
			return fmt.Errorf("map prefix %q: %w", prefix, err)
		}
	}
	if !isPlain(prefix) {
		return fmt.Errorf("map prefix %q %s", prefix, notPlain)
	}
	if len(prefix) > maxPrefix {
		return fmt.Errorf("map prefix of %d bytes is too long, the limit is %d", len(prefix), maxPrefix)
	}
	if top, _, _ := strings.Cut(prefix, "/"); top == recordsDir {
		return fmt.Errorf("map prefix %q: %q below the root is reserved for the records of endpoints", prefix, recordsDir)
	}
	return nil
}

// Root returns the mount point of the bpffs.
func (d MapDir) Root() string {
	if d.root == "" {
		return DefaultRoot
	}
	return filepath.Clean(d.root)
}

// Prefix returns the path of the map directory below the root.
func (d MapDir) Prefix() string {
	if d.prefix == "" {
		return DefaultMapPrefix
	}
	return d.prefix
}

// Path returns the path of the map directory itself.
func (d MapDir) Path() string {
	return path.Join(d.Root(), d.Prefix())
}

// MapPath returns the path of the map name.
func (d MapDir) MapPath(name string) string {
	return path.Join(d.Path(), name)
}

// LocalMapPath returns the path of the map name that belongs to the endpoint id.
func (d MapDir) LocalMapPath(name string, id uint16) string {
	return d.MapPath(LocalMapName(name, id))
}

// Environ returns the environment of this process with CILIUM_BPF_MNT and
// TC_BPF_MNT set to the root, for child processes such as tc.
func (d MapDir) Environ() []string {
	return append(os.Environ(), EnvCiliumRoot+"="+d.Root(), EnvTCRoot+"="+d.Root())
}

// LocalMapName returns the file name of the map name that belongs to the
// endpoint id: the name followed by exactly five digits.
func LocalMapName(name string, id uint16) string {
	const sixDigits = 100_000 // so that there are zeros in front
	return name + strconv.Itoa(sixDigits + int(id))[1:]
}

// CheckMapName reports why name cannot be declared as the name of a local map:
// it is empty, has a dot, a slash, white space or a control character in it, is not
// UTF-8, or is too long to be a file name once the digits of the endpoint ID follow it.
func CheckMapName(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if strings.ContainsFunc(name, unicode.IsSpace) {
		return fmt.Errorf("%q has white space in it", name)
	}
	if !isPlain(name) {
		return fmt.Errorf("%q %s", name, notPlain)
	}
	if limit := maxName - len(idDigits); len(name) > limit {
		return fmt.Errorf("%d bytes are too long, the limit is %d", len(name), limit)
	}
	return nil
}
