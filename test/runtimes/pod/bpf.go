package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Where a container sees the volume, and what is in it.
const (
	volume   = "/run/bpffs"
	readDir  = volume + "/eth0/maps"
	writeDir = volume + "/eth0/maps-rw"
	tokenDir = volume + "/eth0/token"
	toRead   = readDir + "/limits_"
	toWrite  = writeDir + "/stats_"
)

// An attempt is what a container does; said is what it finds.
type attempt struct {
	what string
	do   func() (said string, err error)
}

// only is an attempt that finds nothing.
func only(what string, do func() error) attempt {
	return attempt{what, func() (string, error) { return "done", do() }}
}

// useBPF prints how each attempt ends: what it finds, or the name of the errno. The
// map with the ID is somebody else's.
func useBPF(id string) error {
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return err
	}
	outcomes := make(map[string]string)
	for _, attempts := range [][]attempt{withMaps(ebpf.MapID(n)), withVolume(), withToken()} {
		for _, a := range attempts {
			outcomes[a.what] = outcome(a.do())
		}
	}
	return json.NewEncoder(os.Stdout).Encode(outcomes)
}

func outcome(said string, err error) string {
	if err == nil {
		return said
	}
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

func withMaps(others ebpf.MapID) []attempt {
	return []attempt{
		{"see", see},
		{"read in maps", func() (string, error) { return limit(toRead, true) }},
		only("open in maps for writing", func() error { return open(toRead, false) }),
		only("read in maps-rw", func() error { return open(toWrite, true) }),
		only("write in maps-rw", reset),
		only("a map of another pod by its ID", func() error {
			m, err := ebpf.NewMapFromID(others)
			if err == nil {
				err = m.Close()
			}
			return err
		}),
		only("the IDs of maps", func() error { _, err := ebpf.MapGetNextID(0); return err }),
	}
}

// see lists what is in the volume, but for what the kernel puts there.
func see() (string, error) {
	var all []string
	for _, pattern := range []string{"/*", "/*/*", "/*/*/*"} {
		found, err := filepath.Glob(volume + pattern)
		if err != nil {
			return "", err
		}
		for _, path := range found {
			if filepath.Ext(path) != ".debug" {
				all = append(all, strings.TrimPrefix(path, volume+"/"))
			}
		}
	}
	return strings.Join(all, " "), nil
}

func open(pin string, readOnly bool) error {
	m, err := ebpf.LoadPinnedMap(pin, &ebpf.LoadPinOptions{ReadOnly: readOnly})
	if err == nil {
		err = m.Close()
	}
	return err
}

// limit returns what is in the map under 0; 0 if nothing is.
func limit(pin string, readOnly bool) (string, error) {
	m, err := ebpf.LoadPinnedMap(pin, &ebpf.LoadPinOptions{ReadOnly: readOnly})
	if err != nil {
		return "", err
	}
	defer m.Close()
	var value uint64
	if err := m.Lookup(uint32(0), &value); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return "", err
	}
	return fmt.Sprint(value), nil
}

// reset writes to the counters of what the pod has received.
func reset() error {
	m, err := ebpf.LoadPinnedMap(toWrite, nil)
	if err != nil {
		return err
	}
	defer m.Close()
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	return m.Put(uint32(0), make([][2]uint64, cpus))
}

// withVolume does to the file systems of the node what a pod must not.
func withVolume() []attempt {
	return []attempt{
		only("remount maps-rw", func() error { return unix.Mount("", writeDir, "", unix.MS_REMOUNT|unix.MS_BIND, "") }),
		only("make maps writable", func() error { return unix.Mount("", readDir, "", unix.MS_REMOUNT, "") }),
		only("unlink in maps", func() error { return os.Remove(toRead) }),
		only("unlink in maps-rw", func() error { return os.Remove(toWrite) }),
		only("make a directory in maps-rw", func() error { return os.Mkdir(writeDir+"/more", 0o700) }),
		only("change the mode in maps-rw", func() error { return os.Chmod(toWrite, 0o600) }),
		only("pin in maps-rw", func() error {
			m, err := ebpf.LoadPinnedMap(toWrite, nil)
			if err != nil {
				return err
			}
			defer m.Close()
			return m.Pin(writeDir + "/more")
		}),
		only("unmount maps-rw", func() error { return unix.Unmount(writeDir, unix.MNT_DETACH) }),
	}
}
