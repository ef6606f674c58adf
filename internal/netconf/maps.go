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
	c.Maps = nil
	err := eachElement("maps", c.keys["maps"], func(key string, raw json.RawMessage) error {
		d, err := parseMap(key, raw)
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
func parseMap(key string, raw json.RawMessage) (bpffs.MapDecl, error) {
	var d bpffs.MapDecl
	var kind string
	var inner json.RawMessage
	dst := shapeKeys(&d.Spec, &kind)
	var access string
	dst["name"], dst["frozen"], dst["inner"], dst["pod"] = &d.Name, &d.Spec.Frozen, &inner, &access
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
		d.Spec.Inner = &bpffs.MapSpec{}
		var kind string
		innerKeys, err := decodeStrict(key+".inner", inner, shapeKeys(d.Spec.Inner, &kind))
		if err == nil {
			err = setType(d.Spec.Inner, key+".inner", kind, innerKeys)
		}
		if err != nil {
			return d, err
		}
	}
	if bad, ok := errors.AsType[*bpffs.SpecError](d.Spec.Check()); ok {
		return d, badValue(key+"."+bad.Field, keys[bad.Field], fmt.Errorf("map %s: %w", d.Name, bad.Reason))
	}
	if d.Pod, err = podAccess(access, d.Typed()); err != nil {
		err = badValue(key+".pod", keys["pod"], fmt.Errorf("map %s: %w", d.Name, err))
	}
	return d, err
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
