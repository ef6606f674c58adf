package bpffs

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/internal/rawjson"
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
	r, err := readResult(result)
	if err != nil {
		return nil, err
	}
	var maps []LocalMap
	for _, name := range r.names {
		if m, ok := parseLocalMap(name); ok {
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
	return r.AppendPaths(paths), nil
}

// A Result is a CNI result to which paths can be appended.
type Result struct {
	keys       rawjson.Object
	interfaces []rawjson.Value
	names      []string // of the interfaces
}

// ParseResult reads a CNI result and gives it the form of cniVersion, for a
// caller that wants to know of a wrong one before it does anything. See
// [AppendPaths].
func ParseResult(result []byte, cniVersion string) (*Result, error) {
	r, err := readResult(result)
	if err != nil {
		return nil, err
	}
	return r, convert(r.keys, cniVersion)
}

func readResult(result []byte) (*Result, error) {
	r := &Result{}
	if err := rawjson.Decode(result, &r.keys); err != nil {
		return nil, fmt.Errorf("reading the CNI result: %w", err)
	}
	if r.keys == nil {
		return nil, errors.New("reading the CNI result: it is null, wanted an object")
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
		var i rawjson.Object
		if err := rawjson.Decode(raw, &i); err != nil {
			return err
		}
		var name string
		if err := decodeIfSet(i["name"], &name); err != nil {
			return err
		}
		r.names = append(r.names, name)
	}
	return nil
}

// AppendPaths returns the result with the paths, like the function of that name.
func (r *Result) AppendPaths(paths []string) []byte {
	for _, p := range paths {
		if slices.Contains(r.names, p) {
			continue
		}
		r.names = append(r.names, p)
		r.interfaces = append(r.interfaces, rawjson.Encode(rawjson.Object{"name": rawjson.String(p)}))
	}
	if r.interfaces != nil {
		r.keys["interfaces"] = rawjson.Array(r.interfaces)
	}
	return rawjson.Encode(r.keys)
}

// convert gives a result the form of cniVersion. Between 0.3.0 and 1.1.0 the
// only key that one form needs and another does not have is the IP version of an
// address, which 1.0.0 dropped; later versions only added keys.
func convert(keys rawjson.Object, cniVersion string) error {
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
	keys["cniVersion"] = rawjson.String(cniVersion)
	if own == "" || keys["ips"] == nil {
		return nil
	}
	var ips []rawjson.Value
	if err := rawjson.Decode(keys["ips"], &ips); err != nil {
		return fmt.Errorf("reading the ips of the CNI result: %w", err)
	}
	for i, raw := range ips {
		var ip rawjson.Object
		if err := rawjson.Decode(raw, &ip); err != nil {
			return fmt.Errorf("reading the ips of the CNI result: %w", err)
		}
		if ip != nil {
			setIPVersion(ip, strings.HasPrefix(cniVersion, "0."))
			ips[i] = rawjson.Encode(ip)
		}
	}
	if ips != nil {
		keys["ips"] = rawjson.Array(ips)
	}
	return nil
}

// setIPVersion says of an address whether it is IPv4 or IPv6, or nothing.
func setIPVersion(ip rawjson.Object, wanted bool) {
	switch {
	case !wanted:
		delete(ip, "version")
	case strings.Contains(string(ip["address"]), ":"):
		ip["version"] = rawjson.String("6")
	default:
		ip["version"] = rawjson.String("4")
	}
}

// decodeIfSet decodes raw into v; a key that is missing or null leaves v alone.
func decodeIfSet(raw rawjson.Value, v any) error {
	if raw == nil {
		return nil
	}
	return rawjson.Decode(raw, v)
}
