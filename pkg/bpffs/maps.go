package bpffs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/cni-bpffs/cni-bpffs/internal/bpf"
)

// Errors about maps.
var (
	// ErrMapRefused: the kernel did not create or pin a map.
	ErrMapRefused = errors.New("the kernel refused the map")
	// ErrMapShape: what is pinned is not a map of the declared shape.
	ErrMapShape = errors.New("what is pinned there has another shape")
)

// A MapDecl declares a local map.
type MapDecl struct {
	Name string  // without the endpoint ID
	Spec MapSpec // zero for a map that somebody else creates
}

// Typed reports whether the map is created here.
func (d MapDecl) Typed() bool { return d.Spec.Type != 0 }

// CreateMaps creates and pins the declared maps of the endpoint id that have a
// type, in the map directory prefix. Their names must have been given to
// [Endpoints.Allocate] with the same prefix. A map that is pinned already in the
// declared shape is kept with its contents.
//
// It does all or nothing: after an error the maps that this call made are gone.
// [ErrMapShape] if something else is pinned, [ErrMapRefused] with the reason of
// the kernel. Needs CAP_BPF, for some types also CAP_NET_ADMIN.
func (e *Endpoints) CreateMaps(id uint16, prefix string, decls []MapDecl) error {
	maps, err := NewMapDir(e.Root(), prefix)
	if err != nil {
		return e.in(err)
	}
	var typed []MapDecl
	var names []string
	for _, d := range decls {
		if d.Typed() {
			typed = append(typed, d)
			names = append(names, d.Name)
		}
	}
	if len(typed) == 0 {
		return nil
	}
	if err := e.record(id).setMaps(names); err != nil {
		return e.in(err)
	}
	return e.in(e.createAll(id, maps, typed))
}

func (e *Endpoints) createAll(id uint16, maps MapDir, typed []MapDecl) error {
	var made []string
	for _, d := range typed {
		isNew, err := d.createAt(maps, id)
		if err != nil {
			return errors.Join(err, e.unpin(maps.Prefix(), made))
		}
		if isNew {
			made = append(made, LocalMapName(d.Name, id))
		}
	}
	return nil
}

// createAt makes sure that the map is pinned, and reports whether it was not.
func (d MapDecl) createAt(maps MapDir, id uint16) (isNew bool, err error) {
	where := maps.LocalMapPath(d.Name, id)
	err = d.check(where)
	if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	m, err := d.Spec.create(kernelName(d.Name, id))
	if err == nil {
		defer m.Close()
		err = bpf.Pin(m, where)
	}
	if err != nil {
		return false, fmt.Errorf("creating the map %s (%v): %w: %w%s", where, d.Spec, ErrMapRefused, err, whyRefused(err))
	}
	return true, nil
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
	return e.in(d.check(maps.LocalMapPath(d.Name, id)))
}

func (d MapDecl) check(where string) error {
	has, err := ReadMap(where)
	if err != nil {
		return err
	}
	want, err := d.Spec.inKernel()
	if err != nil {
		return err
	}
	if has.Spec != want {
		return fmt.Errorf("%s: %w: %v, declared %v: delete the pod to get the declared one", where, ErrMapShape, has.Spec, want)
	}
	return nil
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

// kernelName returns the name that the map of the endpoint id gets in the
// kernel, which bpftool shows: the file name where that fits into 15 bytes, else
// the start of it and the ID, with '_' for what the kernel does not take.
func kernelName(name string, id uint16) string {
	if most := bpf.MaxName - len(idDigits); len(name) > most {
		name = name[:most]
	}
	return strings.Map(func(r rune) rune {
		if r < 128 && (r == '_' || '0' <= r && r <= '9' || 'a' <= r|0x20 && r|0x20 <= 'z') {
			return r
		}
		return '_'
	}, LocalMapName(name, id))
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
	if errors.Is(err, syscall.EACCES) { // neither a map nor another object of BPF
		return MapInfo{}, fmt.Errorf("%w: it is no map: %w", ErrMapShape, err)
	}
	if err != nil {
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
