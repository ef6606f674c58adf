package netconf

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/internal/token"
)

// A Delegate says which pods get a bpffs of their user namespace, in which they can
// make BPF tokens, and what these allow.
type Delegate struct {
	token.Delegation

	// Namespaces of Kubernetes whose pods get it: at least one.
	Namespaces []string
}

// parseDelegate reads the key "delegate", whose keys are lists of names. Without
// attach types nothing but cgroup_inet_ingress is allowed.
func (c *Config) parseDelegate() error {
	const key = "delegate"
	c.Delegate = nil
	raw := c.keys[key]
	if raw == nil || string(raw) == "null" {
		return nil
	}
	d := &Delegate{}
	dst := make(map[string]any)
	for _, l := range d.lists() {
		dst[l.key] = new(json.RawMessage)
	}
	keys, err := decodeStrict(key, raw, dst)
	if err != nil {
		return err
	}
	for _, l := range d.lists() {
		if err := eachName(key+"."+l.key, keys[l.key], l.add); err != nil {
			return err
		}
	}
	switch err := d.Check(); {
	case len(d.Namespaces) == 0:
		return badValue(key+".namespaces", keys["namespaces"], errors.New("name each namespace of Kubernetes whose pods get a token"))
	case d.Maps == 0 && d.Programs == 0:
		return badValue(key, raw, errors.New("neither maps nor programs are delegated: name the types in maps and programs"))
	case err != nil:
		return badValue(key+".programs", keys["programs"], err)
	}
	c.Delegate = d
	return nil
}

// A nameList is a key whose value is a list of names.
type nameList struct {
	key string
	add func(name string) error
}

// lists are the keys of a Delegate. Attach types come after the programs that they
// are for.
func (d *Delegate) lists() []nameList {
	return []nameList{
		{"namespaces", d.addNamespace}, {"maps", d.AddMap}, {"programs", d.AddProgram}, {"attachTypes", d.AddAttachType},
	}
}

func (d *Delegate) addNamespace(name string) error {
	if strings.ContainsAny(name, "*?[") {
		return errors.New("patterns are not supported: name each namespace")
	}
	if !isLabel(name) {
		return errors.New("not a valid name of a Kubernetes namespace: use 1 to 63 lower-case letters, digits and hyphens, with no hyphen at either end")
	}
	d.Namespaces = append(d.Namespaces, name)
	return nil
}

// isLabel reports whether Kubernetes takes the text for the name of a namespace or a
// volume (RFC 1123, label).
func isLabel(text string) bool {
	const limit = 63
	other := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }
	return text != "" && len(text) <= limit && !strings.ContainsFunc(text, other) && strings.Trim(text, "-") == text
}

// eachName calls add with each name of the list, the value of key. A name is in it once.
func eachName(key string, list json.RawMessage, add func(name string) error) error {
	seen := make(map[string]bool)
	return eachElement(key, list, func(element string, raw json.RawMessage) error {
		var name string
		if err := decode(element, raw, &name); err != nil {
			return err
		}
		if seen[name] {
			return badValue(element, raw, errors.New("it is listed twice"))
		}
		seen[name] = true
		if err := add(name); err != nil {
			return badValue(element, raw, err)
		}
		return nil
	})
}
