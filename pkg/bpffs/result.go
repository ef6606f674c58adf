package bpffs

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
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
// without any gives none, an empty one is an error.
//
// On DEL prevResult can be out of date, and the ID in it another container's by
// then: do not remove what is at these paths. Whatever is there goes with the
// DEL of bpffs, which knows what the container owns.
func LocalMaps(result []byte) ([]LocalMap, error) {
	if len(result) == 0 {
		return nil, errors.New("there is no CNI result: is bpffs before this plugin in the chain?")
	}
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
// that this package does not know. A path that the result has already is not
// added again.
//
// Each path travels as {"name": path} without sandbox, the only form that every
// version of the specification and every plugin built on libcni hands on.
func AppendPaths(result []byte, cniVersion string, paths []string) ([]byte, error) {
	r, err := ParseResult(result, cniVersion)
	if err != nil {
		return nil, err
	}
	return r.AppendPaths(paths)
}

// A Result is a CNI result to which paths can be appended.
type Result struct {
	keys       map[string]json.RawMessage
	interfaces []json.RawMessage
	names      map[string]bool // of the interfaces
}

// ParseResult reads a CNI result and gives it the form of cniVersion, for a
// caller that wants to know of a wrong one before it does anything. See
// [AppendPaths].
func ParseResult(result []byte, cniVersion string) (*Result, error) {
	r := &Result{names: make(map[string]bool)}
	if err := json.Unmarshal(result, &r.keys); err != nil {
		return nil, fmt.Errorf("reading the CNI result: %w", err)
	}
	if r.keys == nil {
		return nil, errors.New("reading the CNI result: it is null, wanted an object")
	}
	if err := convert(r.keys, cniVersion); err != nil {
		return nil, err
	}
	if err := r.parseInterfaces(); err != nil {
		return nil, fmt.Errorf("reading the interfaces of the CNI result: %w", err)
	}
	return r, nil
}

func (r *Result) parseInterfaces() error {
	if err := decodeIfSet(r.keys["interfaces"], &r.interfaces); err != nil {
		return err
	}
	for _, raw := range r.interfaces {
		var i struct{ Name string }
		if err := json.Unmarshal(raw, &i); err != nil {
			return err
		}
		r.names[i.Name] = true
	}
	return nil
}

// AppendPaths returns the result with the paths, like the function of that name.
func (r *Result) AppendPaths(paths []string) ([]byte, error) {
	for _, p := range paths {
		if r.names[p] {
			continue
		}
		r.names[p] = true
		name, err := json.Marshal(p)
		if err != nil {
			return nil, err
		}
		r.interfaces = append(r.interfaces, json.RawMessage(`{"name":`+string(name)+`}`))
	}
	if r.interfaces != nil {
		var err error
		if r.keys["interfaces"], err = json.Marshal(r.interfaces); err != nil {
			return nil, err
		}
	}
	return json.Marshal(r.keys)
}

// convert gives a result the form of cniVersion. Between 0.3.0 and 1.1.0 the
// only key that one form needs and another does not have is the IP version of an
// address, which 1.0.0 dropped; later versions only added keys.
func convert(keys map[string]json.RawMessage, cniVersion string) error {
	var own string
	if err := decodeIfSet(keys["cniVersion"], &own); err != nil {
		return fmt.Errorf("reading the cniVersion of the CNI result: %w", err)
	}
	if own == cniVersion {
		return nil
	}
	if strings.HasPrefix(own, "0.1") || strings.HasPrefix(own, "0.2") {
		return fmt.Errorf("the CNI result is of version %q, which has no interfaces: wanted 0.3.0 or later", own)
	}
	var err error
	if keys["cniVersion"], err = json.Marshal(cniVersion); err != nil {
		return err
	}
	if own == "" || keys["ips"] == nil {
		return nil
	}
	var ips []map[string]json.RawMessage
	if err := json.Unmarshal(keys["ips"], &ips); err != nil {
		return fmt.Errorf("reading the ips of the CNI result: %w", err)
	}
	for _, ip := range ips {
		setIPVersion(ip, strings.HasPrefix(cniVersion, "0."))
	}
	keys["ips"], err = json.Marshal(ips)
	return err
}

// setIPVersion says of an address whether it is IPv4 or IPv6, or nothing.
func setIPVersion(ip map[string]json.RawMessage, wanted bool) {
	switch {
	case ip == nil:
	case !wanted:
		delete(ip, "version")
	case strings.Contains(string(ip["address"]), ":"):
		ip["version"] = json.RawMessage(`"6"`)
	default:
		ip["version"] = json.RawMessage(`"4"`)
	}
}

// decodeIfSet decodes raw into v; a key that is missing or null leaves v alone.
func decodeIfSet(raw json.RawMessage, v any) error {
	if raw == nil {
		return nil
	}
	return json.Unmarshal(raw, v)
}
