package bpffs

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/containernetworking/cni/pkg/types/create"
)

// A LocalMap is one of a container's own maps, as a CNI result names it.
type LocalMap struct {
	Path       string // where it is pinned: <map directory>/<name><ID>
	Name       string // as declared, without the ID
	EndpointID uint16
}

// LocalMaps returns the local maps that AppendPaths put into a CNI result, in
// the order of their declaration. Use it on the prevResult of a plugin that
// comes later in the chain, or on the result that a runtime got. A result
// without any gives none.
func LocalMaps(result []byte) ([]LocalMap, error) {
	var r struct {
		Interfaces []struct {
			Name string `json:"name"`
		} `json:"interfaces"`
	}
	if err := json.Unmarshal(result, &r); err != nil {
		return nil, fmt.Errorf("reading the CNI result: %w", err)
	}
	var maps []LocalMap
	for _, i := range r.Interfaces {
		if m, ok := parseLocalMap(i.Name); ok {
			maps = append(maps, m)
		}
	}
	return maps, nil
}

// parseLocalMap takes the path of a local map apart. No network device can have
// such a name, for it would need a slash.
func parseLocalMap(p string) (LocalMap, bool) {
	file := path.Base(p)
	at := len(file) - len(idDigits)
	if !strings.HasPrefix(p, "/") || path.Clean(p) != p || at < 1 {
		return LocalMap{}, false
	}
	id, err := parseID(file[at:])
	return LocalMap{p, file[:at], id}, err == nil
}

// AppendPaths returns the CNI result with the paths appended to its interfaces,
// in the form of cniVersion (0.3.0 to 1.1.0). All else stays as it is, also keys
// that this package does not know, unless the result is of another version and
// must be converted. A path that the result has already is not added again.
//
// Each path travels as {"name": path} without sandbox, the only form that every
// version of the specification and every plugin built on libcni hands on.
func AppendPaths(result []byte, cniVersion string, paths []string) ([]byte, error) {
	keys, err := decodeResult(result, cniVersion)
	if err != nil {
		return nil, err
	}
	var interfaces []json.RawMessage
	if err := decodeIfSet(keys["interfaces"], &interfaces); err != nil {
		return nil, fmt.Errorf("reading the interfaces of the CNI result: %w", err)
	}
	has := make(map[string]bool)
	for _, raw := range interfaces {
		var i struct{ Name string }
		if err := json.Unmarshal(raw, &i); err != nil {
			return nil, fmt.Errorf("reading the interfaces of the CNI result: %w", err)
		}
		has[i.Name] = true
	}
	for _, p := range paths {
		if has[p] {
			continue
		}
		entry, err := json.Marshal(map[string]string{"name": p})
		if err != nil {
			return nil, err
		}
		interfaces = append(interfaces, entry)
	}
	if interfaces == nil {
		return json.Marshal(keys)
	}
	if keys["interfaces"], err = json.Marshal(interfaces); err != nil {
		return nil, err
	}
	return json.Marshal(keys)
}

// decodeResult returns the keys of the result in the form of cniVersion. A
// result without a version is taken to have that one.
func decodeResult(result []byte, cniVersion string) (map[string]json.RawMessage, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(result, &keys); err != nil {
		return nil, fmt.Errorf("reading the CNI result: %w", err)
	}
	if keys == nil {
		return nil, errors.New("reading the CNI result: it is null, wanted an object")
	}
	own := cniVersion
	if err := decodeIfSet(keys["cniVersion"], &own); err != nil {
		return nil, fmt.Errorf("reading the cniVersion of the CNI result: %w", err)
	}
	if own == cniVersion || own == "" {
		version, err := json.Marshal(cniVersion)
		keys["cniVersion"] = version
		return keys, err
	}
	r, err := create.Create(own, result)
	if err == nil {
		r, err = r.GetAsVersion(cniVersion)
	}
	if err != nil {
		return nil, fmt.Errorf("converting the CNI result from version %q to %q: %w", own, cniVersion, err)
	}
	converted, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	keys = nil
	err = json.Unmarshal(converted, &keys)
	return keys, err
}

// decodeIfSet decodes raw into v; a key that is missing or null leaves v alone.
func decodeIfSet(raw json.RawMessage, v any) error {
	if raw == nil {
		return nil
	}
	return json.Unmarshal(raw, v)
}
