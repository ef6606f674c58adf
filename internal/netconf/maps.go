package netconf

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

func (c *Config) parseMaps() error {
	seen := make(map[string]bool)
	c.Maps, c.Limits = nil, make(map[string]uint32)
	err := eachElement("maps", c.keys["maps"], func(key string, raw json.RawMessage) error {
		d, err := c.parseMap(key, raw)
		if err != nil {
			return err
		}
		if seen[d.Name] {
			return badValue(key+".name", raw, fmt.Errorf("the name %q is declared twice", d.Name))
		}
		seen[d.Name] = true
		c.Maps = append(c.Maps, d)
		return nil
	})
	c.Maps = slices.Clip(c.Maps)
	return err
}

// parseMap reads one element of the key "maps"; key says which for errors.
func (c *Config) parseMap(key string, raw json.RawMessage) (bpffs.MapDecl, error) {
	var d bpffs.MapDecl
	var kind, access string
	var inner, optional json.RawMessage
	dst := shapeKeys(&d.Spec, &kind)
	dst["name"], dst["frozen"], dst["inner"], dst["pod"], dst["optional"] = &d.Name, &d.Spec.Frozen, &inner, &access, &optional
	keys, err := decodeStrict(key, raw, dst)
	if err != nil {
		return d, err
	}
	if err := bpffs.CheckMapName(d.Name); err != nil {
		return d, badValue(key+".name", keys["name"], err)
	}
	if err := setType(&d.Spec, key, kind, keys); err != nil {
		return d, err
	}
	if inner != nil {
		if d.Spec.Inner, err = parseInner(key+".inner", inner); err != nil {
			return d, err
		}
	}
	if bad, ok := errors.AsType[*bpffs.SpecError](d.Spec.Check()); ok {
		return d, badValue(key+"."+bad.Field, keys[bad.Field], fmt.Errorf("map %s: %w", d.Name, bad.Reason))
	}
	if d.Pod, err = podAccess(access, d.Typed()); err != nil {
		return d, badValue(key+".pod", keys["pod"], fmt.Errorf("map %s: %w", d.Name, err))
	}
	if optional != nil && string(optional) != "null" {
		c.Limits[d.Name], err = parseOptional(key+".optional", optional, d)
	}
	return d, err
}

// parseInner reads the shape of the maps in a map, the value of key.
func parseInner(key string, raw json.RawMessage) (*bpffs.MapSpec, error) {
	var kind string
	s := &bpffs.MapSpec{}
	keys, err := decodeStrict(key, raw, shapeKeys(s, &kind))
	if err != nil {
		return nil, err
	}
	return s, setType(s, key, kind, keys)
}

func setType(s *bpffs.MapSpec, key, kind string, keys map[string]json.RawMessage) (err error) {
	if kind == "" {
		return nil
	}
	if s.Type, err = bpffs.ParseMapType(kind); err != nil {
		return badValue(key+".type", keys["type"], err)
	}
	return nil
}

// shapeKeys says where the keys of a map's shape are read to.
func shapeKeys(s *bpffs.MapSpec, kind *string) map[string]any {
	return map[string]any{
		"type": kind, "keySize": &s.KeySize, "valueSize": &s.ValueSize, "maxEntries": &s.MaxEntries, "flags": &s.Flags,
	}
}

// decodeStrict reads the object raw into dst and refuses keys that are not in
// it, in the order of the alphabet, so that the same object gives the same error.
func decodeStrict(key string, raw json.RawMessage, dst map[string]any) (map[string]json.RawMessage, error) {
	var keys map[string]json.RawMessage
	if err := decode(key, raw, &keys); err != nil {
		return nil, err
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		v, known := dst[k]
		if !known {
			return nil, badValue(key+"."+k, keys[k], errors.New("there is no such key"))
		}
		if err := decode(key+"."+k, keys[k], v); err != nil {
			return nil, err
		}
	}
	return keys, nil
}
