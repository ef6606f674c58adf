package bpffs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// An endpoint's record is a directory of symbolic links that nobody follows:
// bpffs holds no files, and a link is a string in a single inode, made in one
// step. docs/design.md says what each holds.
const (
	ownerLink = "owner" // <attachment>
	pinsLink  = "pins"  // and a number: <directory below the root>//<name>/<name>...
	mapsLink  = "maps"  // <name>/<name>...: those of the pins that CreateMaps makes
	podLink   = "pod"   // <namespace>/<name>
	netNSLink = "netns" // <path>
)

// setLink makes name a link to target, whatever link was there before.
func (e *Endpoints) setLink(name, target string) error {
	err := e.cni.symlink(target, name)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if has, err := e.cni.readlink(name); err != nil || has == target {
		return err
	}
	if err := e.cni.remove(name); err != nil {
		return err
	}
	return e.cni.symlink(target, name)
}

// writePins adds the local maps names, in the map directory, to a record. A
// target cannot be longer than a path, so it may take several links.
func (e *Endpoints) writePins(record string, names []string) error {
	n := 0
	for len(names) > 0 {
		target := e.dir.Prefix() + "/"
		for len(names) > 0 && len(target)+1+len(names[0]) < maxPath {
			target += "/" + names[0]
			names = names[1:]
		}
		err := fs.ErrExist
		for ; errors.Is(err, fs.ErrExist); n++ {
			err = e.cni.symlink(target, path.Join(record, pinsLink+strconv.Itoa(n)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readPins returns the local maps that the record of the endpoint id names, by
// their directories below the root.
func (e *Endpoints) readPins(id uint16) (pins map[string][]string, err error) {
	pins = make(map[string][]string)
	for n := 0; ; n++ {
		target, err := e.cni.readlink(path.Join(endpointsDir, formatID(id), pinsLink+strconv.Itoa(n)))
		if errors.Is(err, fs.ErrNotExist) {
			return pins, nil
		}
		if err != nil {
			return nil, err
		}
		dir, list, _ := strings.Cut(target, "//")
		names := strings.Split(list, "/")
		for _, name := range append(strings.Split(dir, "/"), names...) {
			if err := checkName(name); err != nil {
				return nil, fmt.Errorf("record of endpoint %d: %q: %w", id, target, err)
			}
		}
		pins[dir] = append(pins[dir], names...)
	}
}

// writeMaps records which pins of the endpoint id are for CreateMaps to make, for
// people who look: as many names as fit into a link.
func (e *Endpoints) writeMaps(id uint16, names []string) error {
	target := strings.Join(names, "/")
	for len(target) >= maxPath {
		target = target[:strings.LastIndexByte(target, '/')]
	}
	return e.setLink(path.Join(endpointsDir, formatID(id), mapsLink), target)
}

// readMaps returns those of the pins that CreateMaps made or was to make.
func (e *Endpoints) readMaps(id uint16, pins []string) (made []string, err error) {
	target, err := e.cni.readlink(path.Join(endpointsDir, formatID(id), mapsLink))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	files := localMapNames(strings.Split(target, "/"), id)
	for _, pin := range pins {
		if slices.Contains(files, path.Base(pin)) {
			made = append(made, pin)
		}
	}
	return made, err
}
