// Package netconf reads the plugin's network configuration, which a runtime gives
// to the plugin and an operator writes.
package netconf

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// Why a configuration cannot be used.
var (
	// ErrDecoding: it is not a JSON object.
	ErrDecoding = errors.New("decoding the network configuration")
	// ErrInvalid: a key has a wrong value. The error names both.
	ErrInvalid = errors.New("invalid network configuration")
)

// A Config is the configuration of the plugin in a network. Its keys are
// case-sensitive: one that differs from those of docs/configuration.md, if only in
// its case, does nothing.
type Config struct {
	types.PluginConf

	Roots     bpffs.Roots
	MapPrefix string
	Maps      []bpffs.MapDecl
	// RawPrevResult is what the plugins before this one returned, as it came.
	RawPrevResult json.RawMessage

	keys map[string]json.RawMessage
}

// Parse reads the keys that every verb needs: cniVersion and name. The other ones
// are read when they are asked for, so that a wrong one hinders only who needs it.
func Parse(data []byte) (*Config, error) {
	c := &Config{}
	if err := json.Unmarshal(data, &c.keys); err != nil {
		return c, fmt.Errorf("%w: %w", ErrDecoding, err)
	}
	c.RawPrevResult = c.keys["prevResult"]
	return c, errors.Join(c.decode("cniVersion", &c.CNIVersion), c.decode("name", &c.Name))
}

// ParseAll reads every key of the plugin, and refuses what is wrong in them.
func (c *Config) ParseAll() error {
	if err := c.ParseRoots(); err != nil {
		return err
	}
	if err := c.decode("mapPrefix", &c.MapPrefix); err != nil {
		return err
	}
	if _, err := bpffs.NewMapDir("", c.MapPrefix); err != nil {
		return c.bad("mapPrefix", err)
	}
	return c.parseMaps()
}

// ParseRoots reads where the bpffs is, into Roots, which stays as it was if a key
// is wrong.
func (c *Config) ParseRoots() error {
	var r bpffs.Roots
	for _, k := range []struct {
		key string
		dst *string
	}{{"bpfRoot", &r.Root}, {"bpfFallback", &r.Fallback}} {
		if err := c.decode(k.key, k.dst); err != nil {
			return err
		}
		if *k.dst != "" && !filepath.IsAbs(*k.dst) {
			return c.bad(k.key, errors.New("it is not an absolute path"))
		}
		if strings.ContainsRune(*k.dst, 0) {
			return c.bad(k.key, errors.New("no path has a zero byte"))
		}
	}
	c.Roots = r
	return nil
}

// ParseValidAttachments reads the attachments that GC must keep, and reports
// whether the runtime sent the list at all: null and [] are lists without
// elements.
func (c *Config) ParseValidAttachments() (sent bool, err error) {
	const key = "cni.dev/valid-attachments"
	var elements []json.RawMessage
	if err := c.decode(key, &elements); err != nil {
		return true, err
	}
	c.ValidAttachments = make([]types.GCAttachment, len(elements))
	for i, raw := range elements {
		element, a := fmt.Sprintf("%s[%d]", key, i), &c.ValidAttachments[i]
		if err := decode(element, raw, a); err != nil {
			return true, err
		}
		switch {
		case a.ContainerID == "":
			return true, badValue(element, raw, errors.New("containerID is missing"))
		case a.IfName == "":
			return true, badValue(element, raw, errors.New("ifname is missing"))
		}
	}
	_, sent = c.keys[key]
	return sent, nil
}

// Names returns the declared names of the maps.
func (c *Config) Names() []string {
	names := make([]string, len(c.Maps))
	for i, m := range c.Maps {
		names[i] = m.Name
	}
	return names
}

// UnknownKeys returns the keys that neither this plugin nor the CNI specification
// knows.
func (c *Config) UnknownKeys() []string {
	var unknown []string
	for key := range c.keys {
		if !strings.HasPrefix(key, "cni.dev/") && !slices.Contains(knownKeys[:], key) {
			unknown = append(unknown, key)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// knownKeys are those of the plugin, then those of the specification and of
// runtimes.
var knownKeys = [...]string{
	"bpfRoot", "bpfFallback", "mapPrefix", "maps",
	"cniVersion", "name", "type", "args", "capabilities", "dns", "ipam", "ipMasq", "prevResult", "runtimeConfig",
}

// decode reads the value of key into v. Missing or null, it leaves v alone.
func (c *Config) decode(key string, v any) error {
	raw, ok := c.keys[key]
	if !ok {
		return nil
	}
	return decode(key, raw, v)
}

// bad says what is wrong with the value of a top-level key.
func (c *Config) bad(key string, err error) error {
	return badValue(key, c.keys[key], err)
}

// PrevResultError says what is wrong with the key prevResult.
func (c *Config) PrevResultError(err error) error {
	return c.bad("prevResult", err)
}

func decode(key string, raw json.RawMessage, v any) error {
	if err := json.Unmarshal(raw, v); err != nil {
		return badValue(key, raw, inWords(err, v))
	}
	return nil
}

// inWords says of a value of the wrong type what was wanted, without naming types
// of Go.
func inWords(err error, v any) error {
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err
	}
	want := "an object"
	switch v.(type) {
	case *string:
		want = "a string"
	case *bool:
		want = "true or false"
	case *uint32:
		want = "a whole number from 0 to 4294967295"
	case *[]json.RawMessage:
		want = "an array"
	}
	if wrong.Field != "" {
		return fmt.Errorf("%s is %s, which is wrong there", wrong.Field, article(wrong.Value))
	}
	return fmt.Errorf("it is %s, wanted %s", article(wrong.Value), want)
}

func article(kind string) string {
	switch {
	case kind == "bool":
		return "true or false"
	case strings.HasPrefix(kind, "number "):
		return "the " + kind
	case kind == "array" || kind == "object":
		return "an " + kind
	}
	return "a " + kind
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
	return fmt.Errorf("%w: %s: %s: %w", ErrInvalid, key, shown, err)
}
