package bpffs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cni-bpffs/cni-bpffs/internal/bpf"
	"github.com/cni-bpffs/cni-bpffs/internal/errlist"
	"github.com/cni-bpffs/cni-bpffs/internal/podfs"
)

// ErrPodVolume: the volume in which a pod wants to see its maps cannot be used.
var ErrPodVolume = errors.New("preparing the pod's volume")

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
}

// OpenPodVolume opens the volume: [fs.ErrNotExist] if the pod does not have it, which
// takes one system call. [ErrPodVolume] with the reason if it cannot be used.
func OpenPodVolume(s PodSpec) (*PodVolume, error) {
	if checkName(s.UID) != nil {
		return nil, fmt.Errorf("%w: %q cannot be the UID of a pod", ErrPodVolume, s.UID)
	}
	dir, err := podfs.OpenVolume(s.KubeletDir, s.UID, s.Volume)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPodVolume, err)
	}
	return &PodVolume{dir, s.UID, s.IfName, make(map[string]*podfs.FS)}, nil
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
	for _, w := range []view{read, write} {
		if len(w.maps) > 0 {
			all = append(all, w)
		}
	}
	return all
}

// Prepare makes the file systems of the pod with the maps that were created for it,
// attached nowhere. That takes most of the time: call it before the records are
// opened. Where not all maps were created it prepares nothing.
func (v *PodVolume) Prepare(decls []MapDecl, made *Maps) error {
	for _, w := range v.views(decls) {
		if !made.has(w.maps) {
			continue
		}
		f, err := w.build(func(d MapDecl) (*os.File, error) { return made.files[d.Name], nil })
		if err != nil {
			return err
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

// build makes the file system, with the maps that open returns.
func (w view) build(open func(MapDecl) (*os.File, error)) (*podfs.FS, error) {
	f, err := podfs.New()
	if err != nil {
		return nil, fmt.Errorf("%w: making a bpffs for %s: %w", ErrPodVolume, w.name, err)
	}
	for _, d := range w.maps {
		var m *os.File
		if m, err = open(d); err == nil {
			err = f.Pin(m, d.Name, w.mode())
		}
		if err != nil {
			break
		}
	}
	if err == nil && w.readOnly {
		err = f.SetReadOnly()
	}
	if err != nil {
		return nil, errlist.Join(fmt.Errorf("%w: filling a bpffs for %s: %w", ErrPodVolume, w.name, err), f.Close())
	}
	return f, nil
}

// fromPins makes the file system with the maps that are pinned for the endpoint.
func (w view) fromPins(maps MapDir, id uint16) (*podfs.FS, error) {
	var opened []*os.File
	defer func() {
		for _, m := range opened {
			m.Close()
		}
	}()
	return w.build(func(d MapDecl) (*os.File, error) {
		m, err := bpf.Open(maps.LocalMapPath(d.Name, id))
		if err == nil {
			opened = append(opened, m)
		}
		return m, err
	})
}

// isShown reports whether the file system at dir, whose root is open, shows what it
// should: the maps that are pinned for the endpoint, and nothing else.
func (w view) isShown(root *os.File, maps MapDir, id uint16) (bool, error) {
	readOnly, err := podfs.IsReadOnly(root)
	if err != nil || readOnly != w.readOnly {
		return false, err
	}
	names, err := root.Readdirnames(-1)
	if err != nil || len(names) != len(w.maps) {
		return false, err
	}
	for _, d := range w.maps {
		shown, err := bpf.MapID(filepath.Join(root.Name(), d.Name))
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		pinned, err := bpf.MapID(maps.LocalMapPath(d.Name, id))
		if err != nil || shown != pinned {
			return false, err
		}
	}
	return true, nil
}
