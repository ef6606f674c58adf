package main

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/internal/rawjson"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// config is a network configuration, taken from standard input.
type config struct {
	keys       rawjson.Object
	cniVersion string
	network    string
	roots      bpffs.Roots
	mapPrefix  string
	maps       []bpffs.MapDecl
	prevResult *bpffs.Result // for ADD and CHECK
}

// names returns the declared names of the maps.
func (c *config) names() []string {
	names := make([]string, len(c.maps))
	for i, m := range c.maps {
		names[i] = m.Name
	}
	return names
}

// parseIdentity reads what every verb needs: the keys, the version and the name
// of the network.
func (c *config) parseIdentity(stdin []byte) error {
	if err := rawjson.Decode(stdin, &c.keys); err != nil {
		return fmt.Errorf("%w: %w", errDecoding, err)
	}
	c.cniVersion = ""
	if err := errors.Join(c.decode("cniVersion", &c.cniVersion), c.decode("name", &c.network)); err != nil {
		return err
	}
	if !isIdentifier(c.network) {
		return badValue("name", c.keys["name"], errors.New(
			"the name of the network must be letters, digits, '_', '.' and '-' after a letter or digit"))
	}
	return nil
}

// parse reads everything else that ADD, CHECK and STATUS need, and refuses what
// is wrong in it.
func (c *config) parse() error {
	if err := c.parseRoots(); err != nil {
		return err
	}
	if err := c.decode("mapPrefix", &c.mapPrefix); err != nil {
		return err
	}
	if _, err := bpffs.NewMapDir("", c.mapPrefix); err != nil {
		return badValue("mapPrefix", c.keys["mapPrefix"], err)
	}
	return c.parseMaps()
}

func (c *config) parseRoots() error {
	for _, k := range []struct {
		key string
		dst *string
	}{{"bpfRoot", &c.roots.Root}, {"bpfFallback", &c.roots.Fallback}} {
		if err := c.decode(k.key, k.dst); err != nil {
			return err
		}
		if *k.dst != "" && !filepath.IsAbs(*k.dst) {
			return badValue(k.key, c.keys[k.key], errors.New("it is not an absolute path"))
		}
	}
	return nil
}

func (c *config) parseMaps() error {
	var raw []rawjson.Value
	if err := c.decode("maps", &raw); err != nil {
		return err
	}
	for i, r := range raw {
		key := "maps[" + strconv.Itoa(i) + "]"
		m, err := parseMap(key, r)
		if err != nil {
			return err
		}
		if slices.Contains(c.names(), m.Name) {
			return badValue(key+".name", r, fmt.Errorf("the name %q is declared twice", m.Name))
		}
		c.maps = append(c.maps, m)
	}
	return nil
}

// parseMap reads one element of the key "maps"; key says which for errors.
func parseMap(key string, raw rawjson.Value) (bpffs.MapDecl, error) {
	var d bpffs.MapDecl
	var inner rawjson.Value
	dst := specKeys(&d.Spec)
	dst["name"], dst["frozen"], dst["inner"] = &d.Name, &d.Spec.Frozen, &inner
	keys, err := decodeStrict(key, raw, dst)
	if err != nil {
		return d, err
	}
	if err := bpffs.CheckMapName(d.Name); err != nil {
		return d, badValue(key+".name", keys["name"], err)
	}
	if inner != nil {
		d.Spec.Inner = &bpffs.MapSpec{}
		if _, err := decodeStrict(key+".inner", inner, specKeys(d.Spec.Inner)); err != nil {
			return d, err
		}
	}
	if bad, ok := errors.AsType[*bpffs.SpecError](d.Spec.Check()); ok {
		return d, badValue(key+"."+bad.Field, keys[bad.Field], fmt.Errorf("map %s: %w", d.Name, bad.Reason))
	}
	return d, nil
}

// specKeys says where the keys of a map's shape are read to.
func specKeys(s *bpffs.MapSpec) map[string]any {
	return map[string]any{
		"type": &s.Type, "keySize": &s.KeySize, "valueSize": &s.ValueSize,
		"maxEntries": &s.MaxEntries, "flags": &s.Flags,
	}
}

// decodeStrict reads the object raw into dst and refuses keys that are not in
// it, in the order of the alphabet, so that the same object gives the same error.
func decodeStrict(key string, raw rawjson.Value, dst map[string]any) (rawjson.Object, error) {
	var keys rawjson.Object
	if err := rawjson.Decode(raw, &keys); err != nil {
		return nil, badValue(key, raw, err)
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		err := errors.New("there is no such key")
		if v, known := dst[k]; known {
			err = rawjson.Decode(keys[k], v)
		}
		if err != nil {
			return nil, badValue(key+"."+k, keys[k], err)
		}
	}
	return keys, nil
}

// decode reads the value of key into v. Missing or null, it leaves v alone.
func (c *config) decode(key string, v any) error {
	raw, ok := c.keys[key]
	if !ok {
		return nil
	}
	if err := rawjson.Decode(raw, v); err != nil {
		return badValue(key, raw, err)
	}
	return nil
}

// unknownKeys returns the top-level keys that neither this plugin nor the CNI
// specification knows.
func (c *config) unknownKeys() []string {
	var unknown []string
	for key := range c.keys {
		switch key {
		case "bpfRoot", "bpfFallback", "mapPrefix", "maps",
			"cniVersion", "name", "type", "args", "capabilities", "dns", "ipam", "ipMasq", "prevResult", "runtimeConfig":
		default:
			if !strings.HasPrefix(key, "cni.dev/") {
				unknown = append(unknown, key)
			}
		}
	}
	slices.Sort(unknown)
	return unknown
}

// gcAttachment is an element of the list that a runtime sends with GC.
type gcAttachment struct {
	containerID, ifName string
}

// validAttachments returns the attachments that GC must keep, and whether the
// runtime sent the list at all: null and [] are lists without elements.
func (c *config) validAttachments() (valid []gcAttachment, sent bool, err error) {
	const key = "cni.dev/valid-attachments"
	_, sent = c.keys[key]
	var raw []rawjson.Value
	if err := c.decode(key, &raw); err != nil {
		return nil, sent, err
	}
	for i, r := range raw {
		a, err := parseValid(r)
		if err != nil {
			return nil, sent, badValue(fmt.Sprintf("%s[%d]", key, i), r, err)
		}
		valid = append(valid, a)
	}
	return valid, sent, nil
}

func parseValid(raw rawjson.Value) (a gcAttachment, err error) {
	var keys rawjson.Object
	if err := rawjson.Decode(raw, &keys); err != nil {
		return a, err
	}
	for _, k := range []struct {
		key string
		dst *string
	}{{"containerID", &a.containerID}, {"ifname", &a.ifName}} {
		if v, set := keys[k.key]; set {
			if err := rawjson.Decode(v, k.dst); err != nil {
				return a, fmt.Errorf("%s: %w", k.key, err)
			}
		}
		if *k.dst == "" {
			return a, fmt.Errorf("%s is missing", k.key)
		}
	}
	return a, nil
}

// badValue says what is wrong with the value of a key.
func badValue(key string, value rawjson.Value, err error) error {
	const most = 80
	shown := string(value)
	if len(shown) > most {
		shown = shown[:most] + "…"
	}
	if value == nil {
		shown = "missing"
	}
	return fmt.Errorf("%w: %s: %s: %w", errConfig, key, shown, err)
}
