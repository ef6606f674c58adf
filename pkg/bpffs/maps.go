package bpffs

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/cni-bpffs/cni-bpffs/internal/bpf"
	"github.com/cni-bpffs/cni-bpffs/internal/errlist"
)

// Errors about maps.
var (
	// ErrMapRefused: the kernel did not create or pin a map.
	ErrMapRefused = errors.New("the kernel refused the map")
	// ErrNoMap: a map is not pinned, and was not created to be.
	ErrNoMap = errors.New("there is no map to pin")
	// ErrMapShape: what is pinned is not a map of the declared shape.
	ErrMapShape = errors.New("the pin does not match the declared map")
)

// A MapDecl declares a local map.
type MapDecl struct {
	Name string    // without the endpoint ID
	Spec MapSpec   // zero for a map that somebody else creates
	Pod  PodAccess // what the pod may do with it, see [PodVolume]
}

// Typed reports whether the map is created here.
func (d MapDecl) Typed() bool { return d.Spec.Type != 0 }

// Maps are maps that are created, but not pinned: they are gone when they are
// closed.
type Maps struct {
	files map[string]*os.File // by their declared names
	ids   map[string]uint32   // the kernel's, where it says them
}

// fewMaps are as many as any process can have open: each map is an open file until it
// is pinned, and there can be more maps than files. manyMaps are as many as need no
// more memory than the configuration that declares them.
const (
	fewMaps  = 256
	manyMaps = 1024
)

// NewMaps creates declared maps that have a type: all of them, or where there are
// more than 1,024, or half the files that this process can have open, the largest. A
// large one takes seconds: call it before the records are opened, so that nobody waits
// for it.
//
// [ErrMapRefused] with the reason of the kernel; then none is left. Needs CAP_BPF,
// for some types also CAP_NET_ADMIN.
func NewMaps(decls []MapDecl) (*Maps, error) {
	var typed []*MapDecl
	for i := range decls {
		if decls[i].Typed() {
			typed = append(typed, &decls[i])
		}
	}
	if len(typed) > fewMaps {
		slices.SortStableFunc(typed, func(a, b *MapDecl) int { return cmp.Compare(b.Spec.size(), a.Spec.size()) })
		typed = typed[:min(len(typed), max(fewMaps, min(manyMaps, maxFiles()/2)))]
	}
	m := &Maps{make(map[string]*os.File), make(map[string]uint32)}
	for _, d := range typed {
		f, err := d.create()
		if err != nil {
			return nil, errors.Join(err, m.Close())
		}
		m.files[d.Name] = f
		m.ids[d.Name], _ = bpf.ID(f) // that it is not known is no reason to fail
	}
	return m, nil
}

func (d MapDecl) create() (*os.File, error) {
	f, err := d.Spec.create(kernelName(d.Name))
	if err != nil {
		return nil, d.refused(err)
	}
	return f, nil
}

// refused says which map the kernel has refused with err, and why.
func (d MapDecl) refused(err error) error {
	return fmt.Errorf("creating the map %s (%v): %w: %w%s", d.Name, d.Spec, ErrMapRefused, err, whyRefused(err))
}

// Close closes the maps. Those that were pinned stay.
func (m *Maps) Close() error {
	var errs []error
	for _, f := range m.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// PinMaps makes sure that the declared maps of the endpoint id that have a type are
// pinned in the map directory prefix. Their names must have been given to
// [Endpoints.Allocate] with the same prefix. A map that is pinned already in the
// declared shape is kept with its contents; for one that is not, that of made is
// pinned: [ErrNoMap] if made is nil.
//
// It does all or nothing: after an error no map is pinned that was not before. It
// returns the declared names of those that it pinned, for [Endpoints.UnpinMaps].
// [ErrMapShape] if something else is pinned, [ErrMapRefused] with the reason of the
// kernel.
func (e *Endpoints) PinMaps(id uint16, prefix string, decls []MapDecl, made *Maps) (pinned []string, err error) {
	maps, err := NewMapDir(e.Root(), prefix)
	if err == nil {
		pinned, err = e.pinMaps(id, maps, decls, made)
	}
	return pinned, e.in(err)
}

func (e *Endpoints) pinMaps(id uint16, maps MapDir, decls []MapDecl, made *Maps) (pinned []string, err error) {
	var names []string
	var missing []*MapDecl
	ids := make(map[string]uint32)
	for i, d := range decls {
		if !d.Typed() {
			continue
		}
		names = append(names, d.Name)
		kept, err := e.checkPin(maps, id, d)
		if errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, &decls[i])
		} else if err != nil {
			return nil, err
		} else {
			ids[d.Name] = kept
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	if len(missing) > 0 && made == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoMap, missing[0].Name)
	}
	for _, d := range missing {
		ids[d.Name] = made.ids[d.Name]
	}
	r := e.record(id)
	if err := errlist.Join(r.setMaps(names, ids), r.nameMaps(maps.Prefix(), names)); err != nil {
		return nil, err
	}
	return e.pinAll(id, maps, missing, made)
}

func (e *Endpoints) pinAll(id uint16, maps MapDir, decls []*MapDecl, made *Maps) (pinned []string, err error) {
	for _, d := range decls {
		if err := made.pin(d, maps.LocalMapPath(d.Name, id)); err != nil {
			return nil, errlist.Join(err, e.unpin(pinGroup{maps.Prefix(), pinned}, id))
		}
		pinned = append(pinned, d.Name)
	}
	return pinned, nil
}

// UnpinMaps takes back what [Endpoints.PinMaps] pinned for the endpoint id in the map
// directory prefix, where what had to follow failed. The record keeps the names.
func (e *Endpoints) UnpinMaps(id uint16, prefix string, pinned []string) error {
	maps, err := NewMapDir(e.Root(), prefix)
	if err == nil && len(pinned) > 0 {
		err = e.unpin(pinGroup{maps.Prefix(), pinned}, id)
	}
	return e.in(err)
}

// pin pins the map that was created for the declaration, or creates it now.
func (m *Maps) pin(d *MapDecl, where string) error {
	f := m.files[d.Name]
	if f == nil {
		var err error
		if f, err = d.create(); err != nil {
			return err
		}
		defer f.Close()
	}
	if err := bpf.Pin(f, where); err != nil {
		return fmt.Errorf("pinning the map %s: %w: %w%s", where, ErrMapRefused, err, whyRefused(err))
	}
	return nil
}

// checkPin is CheckMap below a known map directory. It returns the kernel's ID of the map.
func (e *Endpoints) checkPin(maps MapDir, id uint16, d MapDecl) (uint32, error) {
	file := LocalMapName(d.Name, id)
	st, err := e.root.Stat(maps.Prefix() + "/" + file)
	if err != nil {
		return 0, err
	}
	where := maps.MapPath(file)
	if st.Mode&fs.ModeSymlink != 0 {
		return 0, fmt.Errorf("%s: %w: it is a symbolic link: remove it", where, ErrMapShape)
	}
	return d.check(where)
}

// CheckMap compares what is pinned for a declared map with a type, in the map
// directory prefix, with its declaration: [fs.ErrNotExist] if nothing is,
// [ErrMapShape] with both shapes if they differ, [ErrMapRefused] if the kernel does
// not say. The shape of the maps inside a map cannot be read back.
func (e *Endpoints) CheckMap(id uint16, prefix string, d MapDecl) error {
	maps, err := NewMapDir(e.Root(), prefix)
	if err != nil {
		return e.in(err)
	}
	_, err = e.checkPin(maps, id, d)
	return e.in(err)
}

// check compares what is pinned with the declaration, and returns the kernel's ID of it.
func (d MapDecl) check(where string) (uint32, error) {
	has, err := ReadMap(where)
	if err != nil {
		return 0, err
	}
	want, err := d.Spec.inKernel()
	if err == nil && has.Spec != want {
		err = fmt.Errorf("%s: %w: %v, declared %v: delete the pod to get the declared one", where, ErrMapShape, has.Spec, want)
	}
	return has.ID, err
}

// size says how large a map is beside others, in bytes. Those of one CPU count.
func (s MapSpec) size() uint64 {
	each := max(1, uint64(s.KeySize)+uint64(s.ValueSize))
	if s.Inner != nil {
		each += s.Inner.size()
	}
	return each * uint64(s.MaxEntries)
}

// create creates the map, not yet pinned.
func (s MapSpec) create(name string) (*os.File, error) {
	entries, err := s.entries()
	if err != nil {
		return nil, err
	}
	attr := bpf.MapAttr{
		Type: uint32(s.Type), KeySize: s.KeySize, ValueSize: s.ValueSize, MaxEntries: entries, Flags: s.Flags, Name: name,
	}
	if s.Inner != nil {
		if attr.Inner, err = s.Inner.create(name); err != nil {
			return nil, fmt.Errorf("inner: %w", err)
		}
		defer attr.Inner.Close()
	}
	m, err := bpf.CreateMap(attr)
	if err != nil || !s.Frozen {
		return m, err
	}
	if err := bpf.Freeze(m); err != nil {
		m.Close()
		return nil, fmt.Errorf("freezing: %w", err)
	}
	return m, nil
}

// kernelName returns the name that a map gets in the kernel, which bpftool shows:
// its declared name, cut to 15 bytes, with '_' for what the kernel does not take.
// The endpoint ID is not in it, for it is not known yet when the map is created.
func kernelName(name string) string {
	if len(name) > bpf.MaxName {
		name = name[:bpf.MaxName]
	}
	return strings.Map(func(r rune) rune {
		if r < 128 && (r == '_' || '0' <= r && r <= '9' || 'a' <= r|0x20 && r|0x20 <= 'z') {
			return r
		}
		return '_'
	}, name)
}

// MapInfo is what the kernel says of a map.
type MapInfo struct {
	ID     uint32  // the kernel's, as bpftool takes it
	Spec   MapSpec // the shape; that of the maps in it cannot be read back
	Memory uint64  // bytes; an estimate before Linux 6.4
}

// ReadMap returns what the kernel says of the map that is pinned at path:
// [fs.ErrNotExist] if nothing is there, [ErrMapShape] if it is no map,
// [ErrMapRefused] if the kernel does not say.
func ReadMap(path string) (MapInfo, error) {
	m, err := bpf.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return MapInfo{}, err
	}
	if err != nil {
		if st, serr := os.Stat(path); serr == nil && !st.Mode().IsRegular() { // no object of BPF
			return MapInfo{}, fmt.Errorf("%w: not a map: %w", ErrMapShape, err)
		}
		return MapInfo{}, fmt.Errorf("looking for the map: %w: %w%s", ErrMapRefused, err, whyRefused(err))
	}
	defer m.Close()
	i, err := bpf.Info(m)
	if errors.Is(err, bpf.ErrNotMap) {
		err = fmt.Errorf("%w: %w", ErrMapShape, err)
	}
	return MapInfo{i.ID, MapSpec{
		Type: MapType(i.Type), KeySize: i.KeySize, ValueSize: i.ValueSize, MaxEntries: i.MaxEntries,
		Flags: i.Flags, Frozen: i.Frozen,
	}, i.Memory}, err
}

// whyRefused explains the errors that the kernel gives for several reasons.
func whyRefused(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission) && (hasCapability(capBPF) || hasCapability(capSysAdmin)):
		return " (this process has CAP_BPF: check CAP_NET_ADMIN, which some types need, the seccomp profile, security modules, " +
			"and before Linux 5.11 RLIMIT_MEMLOCK)"
	case errors.Is(err, fs.ErrPermission):
		return " (it needs CAP_BPF, for some types CAP_NET_ADMIN, or before Linux 5.11 a higher RLIMIT_MEMLOCK)"
	case errors.Is(err, syscall.EINVAL):
		return " (this kernel lacks the type or one of the flags, or a size is wrong for the type)"
	case errors.Is(err, syscall.E2BIG):
		return " (the map would be too large, or has flags that this kernel lacks)"
	case errors.Is(err, syscall.ENOMEM):
		return " (no memory for it, on the node or in the memory cgroup of the container runtime)"
	}
	return ""
}
