// Package netconf reads the plugin's network configuration, which a runtime gives
// to the plugin and an operator writes.
package netconf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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
	// Maps are the declared maps, the optional ones with their own number of entries.
	Maps []bpffs.MapDecl
	// Limits has, by its name, for each map that only pods get that ask for it, the
	// largest number of entries that they can ask for. See [Config.ForPod].
	Limits map[string]uint32
	// PodVolume is the name of the volume in which pods see their own maps; empty if
	// they cannot. KubeletDir is where kubelet keeps the volumes.
	PodVolume, KubeletDir string
	// Delegate says which pods get tokens, and for what; nil for none.
	Delegate *Delegate
	// RawPrevResult is what the plugins before this one returned, as it came.
	RawPrevResult json.RawMessage

	keys    map[string]json.RawMessage // those that are known
	unknown []string                   // the first of the others
	version error                      // what is wrong with cniVersion
}

// Parse reads the keys that every verb needs: cniVersion and name. The other ones
// are read when they are asked for, so that a wrong one hinders only who needs it.
// A cniVersion that cannot be read is as if it were missing, until [Config.ParseAll].
func Parse(data []byte) (*Config, error) {
	c := &Config{keys: make(map[string]json.RawMessage)}
	if err := json.Unmarshal(data, &struct{}{}); err != nil {
		return c, fmt.Errorf("%w: %w", ErrDecoding, err)
	}
	if err := c.readKeys(data); err != nil {
		return c, fmt.Errorf("%w: %w", ErrDecoding, err)
	}
	c.RawPrevResult = c.keys["prevResult"]
	c.version = c.decode("cniVersion", &c.CNIVersion)
	return c, c.decode("name", &c.Name)
}

// readKeys reads the values of the known keys as they are.
func (c *Config) readKeys(data []byte) error {
	return eachKey(data, func(key string, value json.RawMessage) (kept bool) {
		if slices.Contains(knownKeys[:], key) {
			c.keys[key] = value
			return true
		}
		if len(c.unknown) < maxUnknown && !strings.HasPrefix(key, runtimeKeys) && !slices.Contains(c.unknown, key) {
			c.unknown = append(c.unknown, key)
		}
		return false
	})
}

// eachKey calls keep with every key of a JSON object, or null, and its value, which is
// overwritten unless keep returns true: what nobody asks for must not cost memory,
// however much of it there is.
func eachKey(object []byte, keep func(key string, value json.RawMessage) (kept bool)) error {
	d := json.NewDecoder(bytes.NewReader(object))
	if start, err := d.Token(); start == nil || err != nil { // null
		return err
	}
	var raw json.RawMessage
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return err
		}
		if err := d.Decode(&raw); err != nil {
			return err
		}
		key, _ := token.(string)
		if keep(key, raw) {
			raw = nil
		}
	}
	return nil
}

// valueOf returns the value of a name in the object raw, which is the value of key: nil
// if there is none. Names are case-sensitive.
func valueOf(key string, raw json.RawMessage, name string) (value json.RawMessage, err error) {
	if raw == nil {
		return nil, nil
	}
	if err := decode(key, raw, &struct{}{}); err != nil {
		return nil, err
	}
	err = eachKey(raw, func(k string, v json.RawMessage) (kept bool) {
		if k == name {
			value = v
		}
		return k == name
	})
	return value, err
}

// Raw returns the value of a key as it came: nil if it is missing, or neither the
// plugin nor the CNI specification knows it.
func (c *Config) Raw(key string) json.RawMessage { return c.keys[key] }

// ParseAll reads every key of the plugin, and refuses what is wrong in them.
func (c *Config) ParseAll() error {
	if c.version != nil {
		return c.version
	}
	if err := bpffs.CheckNetwork(c.Name); err != nil {
		return c.bad("name", err)
	}
	if err := c.ParseRoots(); err != nil {
		return err
	}
	if err := c.decode("mapPrefix", &c.MapPrefix); err != nil {
		return err
	}
	if _, err := bpffs.NewMapDir("", c.MapPrefix); err != nil {
		return c.bad("mapPrefix", err)
	}
	if err := c.parseMaps(); err != nil {
		return err
	}
	if err := c.checkCapability(); err != nil {
		return err
	}
	if err := c.parseDelegate(); err != nil {
		return err
	}
	return c.parsePod()
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
		if *k.dst == "" {
			continue
		}
		err := bpffs.CheckRoot(*k.dst)
		if err == nil {
			err = bpffs.CheckLinks(*k.dst)
		}
		if err != nil {
			return c.bad(k.key, err)
		}
	}
	c.Roots = r
	return nil
}

// ParseValidAttachments reads the attachments that GC must keep, and reports
// whether the runtime sent the list at all: null and [] are lists without
// elements.
func (c *Config) ParseValidAttachments() (valid map[types.GCAttachment]bool, sent bool, err error) {
	_, sent = c.keys[validKey]
	valid = make(map[types.GCAttachment]bool)
	err = eachElement(validKey, c.keys[validKey], func(element string, raw json.RawMessage) error {
		var a types.GCAttachment
		if err := decode(element, raw, &a); err != nil {
			return err
		}
		switch {
		case a.ContainerID == "":
			return badValue(element, raw, errors.New("containerID is missing"))
		case a.IfName == "":
			return badValue(element, raw, errors.New("ifname is missing"))
		}
		valid[a] = true
		return nil
	})
	return valid, sent, err
}

// eachElement calls do with every element of the array raw, the value of key, and with
// what errors call it, until one fails. Missing or null, it has none.
func eachElement(key string, raw json.RawMessage, do func(element string, raw json.RawMessage) error) error {
	err := EachElement(raw, func(i int, raw json.RawMessage) error {
		return do(fmt.Sprintf("%s[%d]", key, i), raw)
	})
	if !errors.Is(err, errNoArray) {
		return err
	}
	if raw == nil {
		return nil
	}
	var none []json.RawMessage
	return decode(key, raw, &none)
}

// errNoArray says that a value is not an array.
var errNoArray = errors.New("not an array")

// EachElement calls do with every element of a JSON array, until one fails. It holds
// one at a time, which do must not keep: an array that is taken apart is many times
// as large.
func EachElement(array json.RawMessage, do func(i int, element json.RawMessage) error) error {
	d := json.NewDecoder(bytes.NewReader(array))
	if start, err := d.Token(); start != json.Delim('[') || err != nil {
		return errNoArray
	}
	var element json.RawMessage
	for i := 0; d.More(); i++ {
		if err := d.Decode(&element); err != nil {
			return err
		}
		if err := do(i, element); err != nil {
			return err
		}
	}
	return nil
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
// knows, sorted: the first hundred of them.
func (c *Config) UnknownKeys() []string {
	return slices.Sorted(slices.Values(c.unknown))
}

// maxUnknown is how many unknown keys are remembered.
const maxUnknown = 100

// Keys of runtimes.
const (
	runtimeKeys = "cni.dev/" // in front of them
	validKey    = "cni.dev/valid-attachments"
)

// knownKeys are those of the plugin, then those of the specification and of
// runtimes.
var knownKeys = [...]string{
	"bpfRoot", "bpfFallback", "mapPrefix", "maps", "podVolume", "kubeletDir", "delegate",
	"cniVersion", "name", "type", "args", "capabilities", "dns", "ipam", "ipMasq", "prevResult", "runtimeConfig", validKey,
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
		return fmt.Errorf("%s is %s, which is not allowed there", wrong.Field, article(wrong.Value))
	}
	return fmt.Errorf("it is %s but must be %s", article(wrong.Value), want)
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
	const limit = 80
	shown := string(value[:min(len(value), limit)])
	if len(value) > limit {
		shown += "…"
	}
	if value == nil {
		shown = "missing"
	}
	return fmt.Errorf("%w: %s: %s: %w", ErrInvalid, key, shown, err)
}
