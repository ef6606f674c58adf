package bpffs

import (
	"path"
	"slices"
	"strings"

	types100 "github.com/containernetworking/cni/pkg/types/100"
)

// A LocalMap is one of a container's own maps, as a CNI result names it.
type LocalMap struct {
	Path       string // where it is pinned: <map directory>/<name><ID>
	Name       string // as declared, without the ID
	EndpointID uint16
}

// LocalMaps returns the local maps that AppendPaths put into a CNI result, in
// the order of their declaration. Use it on the prevResult of a plugin that
// comes later in the chain, or on the result that a runtime got. There are none
// in nil, nor in the result of a chain that bpffs is not in.
//
// On DEL prevResult can be out of date, and the ID in it another container's by
// then: do not remove what is at these paths. Whatever is there goes with the
// DEL of bpffs, which knows what the container owns.
func LocalMaps(result *types100.Result) []LocalMap {
	if result == nil {
		return nil
	}
	var maps []LocalMap
	for _, i := range result.Interfaces {
		if i == nil {
			continue
		}
		if m, ok := ParseLocalMap(i.Name); ok {
			maps = append(maps, m)
		}
	}
	return maps
}

// ParseLocalMap takes the path of a local map apart. The name of an interface is
// none, for it would need a slash.
func ParseLocalMap(p string) (m LocalMap, ok bool) {
	file := path.Base(p)
	at := len(file) - len(idDigits)
	if !strings.HasPrefix(p, "/") || path.Clean(p) != p || strings.Contains(p, "\x00") || at < 1 {
		return LocalMap{}, false
	}
	id, err := parseID(file[at:])
	return LocalMap{p, file[:at], id}, err == nil
}

// AppendPaths returns the CNI result with the paths appended to its interfaces. A
// path that the result has already is not added again. The given result stays as
// it is.
//
// Each path travels as {"name": path} without sandbox, the only form that every
// version of the specification and every plugin built on libcni hands on.
func AppendPaths(result *types100.Result, paths []string) *types100.Result {
	appended := *result
	appended.Interfaces = slices.Grow(slices.Clip(result.Interfaces), len(paths))
	has := make(map[string]bool)
	for _, i := range result.Interfaces {
		if i != nil {
			has[i.Name] = true
		}
	}
	for _, p := range paths {
		if !has[p] {
			has[p] = true
			appended.Interfaces = append(appended.Interfaces, &types100.Interface{Name: p})
		}
	}
	return &appended
}
