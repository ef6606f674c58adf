package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// config is a network configuration, taken from standard input.
type config struct {
	keys       map[string]json.RawMessage
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
	if err := json.Unmarshal(stdin, &c.keys); err != nil {
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
	var raw []json.RawMessage
	if err := c.decode("maps", &raw); err != nil {
		return err
	}
	for i, r := range raw {
		key := fmt.Sprintf("maps[%d]", i)
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
func parseMap(key string, raw json.RawMessage) (bpffs.MapDecl, error) {
	var d bpffs.MapDecl
	var inner json.RawMessage
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
	var bad *bpffs.SpecError
	if errors.As(d.Spec.Check(), &bad) {
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
func decodeStrict(key string, raw json.RawMessage, dst map[string]any) (map[string]json.RawMessage, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(raw, &keys); err != nil {
		return nil, badValue(key, raw, err)
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		err := errors.New("there is no such key")
		if v, known := dst[k]; known {
			err = json.Unmarshal(keys[k], v)
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
	if err := json.Unmarshal(raw, v); err != nil {
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
	ContainerID string `json:"containerID"`
	IfName      string `json:"ifname"`
}

// validAttachments returns the attachments that GC must keep, and whether the
// runtime sent the list at all: null and [] are lists without elements.
func (c *config) validAttachments() (valid []gcAttachment, sent bool, err error) {
	const key = "cni.dev/valid-attachments"
	_, sent = c.keys[key]
	if err := c.decode(key, &valid); err != nil {
		return nil, sent, err
	}
	for i, v := range valid {
		if v.ContainerID == "" || v.IfName == "" {
			return nil, sent, badValue(fmt.Sprintf("%s[%d]", key, i), c.keys[key], errors.New("containerID or ifname is missing"))
		}
	}
	return valid, sent, nil
}

// badValue says what is wrong with the value of a key.
func badValue(key string, value json.RawMessage, err error) error {
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
