package bpffs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
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

// CreateMaps creates and pins the declared maps of the endpoint id that have a
// type. Their names must have been given to [Endpoints.Allocate]. A map that is
// pinned already in the declared shape is kept with its contents.
//
// It does all or nothing: after an error the maps that this call made are gone.
// [ErrMapShape] if something else is pinned, [ErrMapRefused] with the reason of
// the kernel. Needs CAP_BPF, for some types also CAP_NET_ADMIN.
func (e *Endpoints) CreateMaps(id uint16, decls []MapDecl) error {
	var typed []MapDecl
	var names, made []string
	for _, d := range decls {
		if d.Spec.Type != "" {
			typed = append(typed, d)
			names = append(names, d.Name)
		}
	}
	if len(typed) == 0 {
		return nil
	}
	if err := e.writeMaps(id, names); err != nil {
		return e.in(err)
	}
	for _, d := range typed {
		isNew, err := e.createMap(id, d)
		if err != nil {
			return errors.Join(err, e.unpin(e.dir.Prefix(), made))
		}
		if isNew {
			made = append(made, LocalMapName(d.Name, id))
		}
	}
	return nil
}

// createMap makes sure that the map is pinned, and reports whether it was not.
func (e *Endpoints) createMap(id uint16, d MapDecl) (isNew bool, err error) {
	err = e.CheckMap(id, d)
	if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	where := path.Join(e.dir.Root(), e.pin(d.Name, id))
	m, err := d.Spec.create(kernelName(d.Name, id))
	if err == nil {
		defer m.Close()
		err = bpfPin(m, where)
	}
	if err != nil {
		return false, fmt.Errorf("creating the map %s (%v): %w: %w%s", where, d.Spec, ErrMapRefused, err, whyRefused(err))
	}
	return true, nil
}

// CheckMap compares what is pinned for a declared map with a type with its
// declaration: [fs.ErrNotExist] if nothing is, [ErrMapShape] with both shapes if
// they differ, [ErrMapRefused] if the kernel does not say. The shape of the maps
// inside a map cannot be read back.
func (e *Endpoints) CheckMap(id uint16, d MapDecl) error {
	t, err := findMapType(d.Spec.Type)
	if err != nil {
		return err
	}
	where := path.Join(e.dir.Root(), e.pin(d.Name, id))
	has, err := ReadMap(where)
	if err != nil {
		return err
	}
	want, err := d.Spec.shape(t)
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
	t, err := findMapType(s.Type)
	if err != nil {
		return nil, err
	}
	inner := 0
	if s.Inner != nil {
		m, err := s.Inner.create(name)
		if err != nil {
			return nil, fmt.Errorf("inner: %w", err)
		}
		defer m.Close()
		inner = int(m.Fd())
	}
	if s.MaxEntries, err = s.entriesOf(t); err != nil {
		return nil, err
	}
	m, err := bpfMapCreate(t.kernel, s, inner, name)
	if err != nil || !s.Frozen {
		return m, err
	}
	if err := bpfMapFreeze(m); err != nil {
		m.Close()
		return nil, fmt.Errorf("freezing: %w", err)
	}
	return m, nil
}

// kernelName returns the name that the map of the endpoint id gets in the
// kernel, which bpftool shows: the file name where that fits into 15 bytes, else
// the start of it and the ID, with '_' for what the kernel does not take.
func kernelName(name string, id uint16) string {
	if most := bpfMapName - 1 - len(idDigits); len(name) > most {
		name = name[:most]
	}
	return strings.Map(func(r rune) rune {
		if r < 128 && (r == '_' || '0' <= r && r <= '9' || 'a' <= r|0x20 && r|0x20 <= 'z') {
			return r
		}
		return '_'
	}, LocalMapName(name, id))
}

// possibleCPUs returns how many CPUs the kernel could ever bring up.
func possibleCPUs() (uint32, error) {
	const file = "/sys/devices/system/cpu/possible"
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	list := strings.TrimSpace(string(text))
	last := list[strings.LastIndexAny(list, ",-")+1:]
	n, err := strconv.ParseUint(last, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	return uint32(n) + 1, nil
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
