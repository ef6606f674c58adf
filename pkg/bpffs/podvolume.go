package bpffs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/cni-bpffs/cni-bpffs/internal/bpf"
	"github.com/cni-bpffs/cni-bpffs/internal/errlist"
	"github.com/cni-bpffs/cni-bpffs/internal/podfs"
)

// Errors about what a pod sees of its maps.
var (
	// ErrPodVolume: the volume in which a pod wants to see them cannot be used.
	ErrPodVolume = errors.New("the pod's volume")
	// ErrPodView: the volume does not show what it should. It comes together with
	// ErrPodVolume.
	ErrPodView = errors.New("the pod's volume does not show what it should")
)

// A PodAccess says what a pod may do with a map of its own.
type PodAccess string

// What a pod may do. The zero value: it does not see the map.
const (
	PodReads  PodAccess = "ro"
	PodWrites PodAccess = "rw"
)

// The directories of an interface in the volume of a pod.
const (
	readDir  = "maps"    // a read-only bpffs with the maps that the pod may read
	writeDir = "maps-rw" // a bpffs with the maps that the pod may write
	tokenDir = "token"   // a bpffs of the pod's user namespace, which the pod fills
)

// A PodSpec says which volume a pod has declared to see its maps in.
type PodSpec struct {
	KubeletDir string // the root directory of kubelet, --root-dir
	Volume     string // the name of the emptyDir
	UID        string // of the pod
	IfName     string // the interface, below whose name the maps come
}

// A PodVolume is the open volume of a pod, and what is prepared for it.
type PodVolume struct {
	dir      *os.File
	uid      string
	ifName   string
	prepared map[string]*podfs.FS // by the directory's name
	// Token says that the pod gets a bpffs in which it can make BPF tokens. It sees no
	// maps to read then: a program that it loads could write to them.
	Token bool
}

// OpenPodVolume opens the volume: [fs.ErrNotExist] if the pod does not have it, which
// takes one system call. [ErrPodVolume] with the reason if it cannot be used.
func OpenPodVolume(s PodSpec) (*PodVolume, error) {
	if !isUID(s.UID) {
		return nil, fmt.Errorf("%w: %q cannot be the UID of a pod", ErrPodVolume, s.UID)
	}
	for _, name := range []string{s.Volume, s.IfName} {
		if !isFileName(name) {
			return nil, fmt.Errorf("%w: %q cannot be the name of a volume or an interface", ErrPodVolume, name)
		}
	}
	dir, err := podfs.OpenVolume(s.KubeletDir, s.UID, s.Volume)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPodVolume, err)
	}
	return &PodVolume{dir: dir, uid: s.UID, ifName: s.IfName, prepared: make(map[string]*podfs.FS)}, nil
}

// isUID reports whether the text can be the UID of a pod: a UUID, or of a static pod
// a hash.
func isUID(text string) bool {
	const limit = 253
	return text != "" && len(text) <= limit && !strings.ContainsFunc(text, func(r rune) bool {
		return r != '-' && (r < '0' || '9' < r) && (r < 'A' || 'Z' < r) && (r < 'a' || 'z' < r)
	})
}

// isFileName reports whether the text names something in a directory, and nothing
// above or below it.
func isFileName(text string) bool {
	return filepath.IsLocal(text) && filepath.Base(text) == text && text != "."
}

// Close closes the volume. What was prepared and not shown is gone.
func (v *PodVolume) Close() error {
	errs := []error{v.dir.Close()}
	for _, f := range v.prepared {
		errs = append(errs, f.Close())
	}
	return errlist.Join(errs...)
}

// place returns the path of a directory of the interface.
func (v *PodVolume) place(name string) string {
	return filepath.Join(v.dir.Name(), v.ifName, name)
}

// A view is what one directory of the interface is to show.
type view struct {
	name     string
	readOnly bool
	ofPod    bool // the pod fills it
	maps     []MapDecl
}

// mode returns the rights on the pins. Nobody else than the pod gets to the volume.
func (w view) mode() fs.FileMode {
	if w.readOnly {
		return 0o444
	}
	return 0o666
}

// views returns what the pod is to see of the declared maps.
func (v *PodVolume) views(decls []MapDecl) (all []view) {
	read, write := view{name: readDir, readOnly: true}, view{name: writeDir}
	for _, d := range decls {
		switch d.Pod {
		case PodReads:
			read.maps = append(read.maps, d)
		case PodWrites:
			write.maps = append(write.maps, d)
		}
	}
	if len(read.maps) > 0 && !v.Token {
		all = append(all, read)
	}
	if len(write.maps) > 0 {
		all = append(all, write)
	}
	if v.Token {
		all = append(all, view{name: tokenDir, ofPod: true})
	}
	return all
}

// PrepareToken makes the bpffs of the pod from the open context of a file system
// (fsopen(2)) that belongs to the pod's user namespace, not attached to a path, and closes
// the context after an error.
func (v *PodVolume) PrepareToken(context *os.File) error {
	f, err := podfs.NewFrom(context)
	if err != nil {
		return fmt.Errorf("%w: making a bpffs for %s: %w", ErrPodVolume, tokenDir, err)
	}
	v.Token, v.prepared[tokenDir] = true, f
	return nil
}

// Prepare makes the file systems of the pod with the maps that were created for it,
// not attached to a path. That takes the larger part of the time: call it before the records are
// opened. Where not all maps were created it prepares nothing.
func (v *PodVolume) Prepare(decls []MapDecl, made *Maps) error {
	for _, w := range v.views(decls) {
		if w.ofPod || !made.has(w.maps) {
			continue
		}
		f, err := w.build(func(d MapDecl, pin func(*os.File) error) error { return pin(made.files[d.Name]) })
		if err != nil {
			return fmt.Errorf("%w: %w", ErrPodVolume, err)
		}
		v.prepared[w.name] = f
	}
	return nil
}

// has reports whether all of the maps were created.
func (m *Maps) has(decls []MapDecl) bool {
	for _, d := range decls {
		if m.files[d.Name] == nil {
			return false
		}
	}
	return true
}

// build makes the file system, in which open pins each map.
func (w view) build(open func(d MapDecl, pin func(*os.File) error) error) (*podfs.FS, error) {
	f, err := podfs.New()
	if err != nil {
		return nil, fmt.Errorf("making a bpffs for %s: %w", w.name, err)
	}
	for _, d := range w.maps {
		if err == nil {
			err = open(d, func(m *os.File) error { return f.Pin(m, d.Name, w.mode()) })
		}
	}
	if err == nil && w.readOnly {
		err = f.SetReadOnly()
	}
	if err == nil {
		err = f.Seal()
	}
	if err != nil {
		return nil, errlist.Join(fmt.Errorf("filling a bpffs for %s: %w", w.name, err), f.Close())
	}
	return f, nil
}

// fromPins makes the file system with the maps that are pinned for the endpoint.
func (w view) fromPins(maps MapDir, id uint16) (*podfs.FS, error) {
	return w.build(func(d MapDecl, pin func(*os.File) error) error {
		m, err := bpf.Open(maps.LocalMapPath(d.Name, id))
		if err != nil {
			return err
		}
		defer m.Close()
		return pin(m)
	})
}

// isShown reports whether the file system at dir shows what it should: the maps that
// are pinned for the endpoint, to read or to write, and nothing else. It asks what a
// pod would ask, for the mount is read-only in any case.
func (w view) isShown(dir *os.File, maps MapDir, id uint16) (bool, error) {
	if w.ofPod {
		return true, nil
	}
	names, err := dir.Readdirnames(-1)
	names = slices.DeleteFunc(names, func(name string) bool { return checkName(name) != nil }) // the kernel's own
	if err != nil || len(names) != len(w.maps) {
		return false, err
	}
	for _, d := range w.maps {
		shown, writable, err := look(filepath.Join(dir.Name(), d.Name))
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		pinned, err := bpf.MapID(maps.LocalMapPath(d.Name, id))
		if err != nil || shown != pinned || writable == w.readOnly {
			return false, err
		}
	}
	return true, nil
}

// look returns the ID of a pinned map, and whether it can be opened for writing.
func look(pin string) (id uint32, writable bool, err error) {
	m, err := bpf.Open(pin)
	if errors.Is(err, syscall.EROFS) {
		id, err = bpf.MapID(pin)
		return id, false, err
	}
	if err != nil {
		return 0, false, err
	}
	defer m.Close()
	info, err := bpf.Info(m)
	return info.ID, true, err
}
