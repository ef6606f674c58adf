package conflist

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// ErrInvalid says that a file is not a configuration that a runtime could use, perhaps
// because it is just being written.
var ErrInvalid = errors.New("not a valid network configuration")

// A List is a network configuration list.
type List struct {
	Name       string
	CNIVersion string
	// OnlyInlined says that the runtime must not read drop-in files for it.
	OnlyInlined bool
	Plugins     []Plugin

	open int // the offset after the bracket that opens the plugins
}

// A Plugin is one element of a [List].
type Plugin struct {
	Type string
	Raw  []byte // the object as it stands in the file

	start, end int // where that is
}

// Ours reports whether it is the plugin bpffs.
func (p Plugin) Ours() bool { return p.Type == PluginType }

// Main returns the first plugin that is not ours: the one that makes the
// interface.
func (l List) Main() (Plugin, bool) {
	for _, p := range l.Plugins {
		if !p.Ours() {
			return p, true
		}
	}
	return Plugin{}, false
}

// Ours returns the first element that is our plugin.
func (l List) Ours() (Plugin, bool) {
	for _, p := range l.Plugins {
		if p.Ours() {
			return p, true
		}
	}
	return Plugin{}, false
}

// Parse reads a configuration list. What libcni would refuse, and a list whose
// plugins are given twice, is [ErrInvalid]. A list without the key "plugins",
// which libcni takes if there are drop-in files, has none.
func Parse(data []byte) (List, error) {
	list, err := parse(data)
	if err == nil && list.Name == "" {
		err = errors.New("it has no name")
	}
	if err != nil {
		return List{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return list, nil
}

func parse(data []byte) (list List, err error) {
	if err := json.Unmarshal(data, &map[string]json.RawMessage{}); err != nil {
		return list, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if _, err := dec.Token(); err != nil {
		return list, err
	}
	seen := false
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return list, err
		}
		if key != "plugins" {
			err = readKey(&list, dec, key)
		} else if seen {
			err = errors.New(`it has the key "plugins" twice`)
		} else {
			seen = true
			err = readPlugins(&list, dec)
		}
		if err != nil {
			return list, err
		}
	}
	return list, nil
}

// readKey reads the value of a key other than "plugins".
func readKey(l *List, dec *json.Decoder, key any) error {
	var value any
	dec.UseNumber()
	if err := dec.Decode(&value); err != nil {
		return err
	}
	var ok bool
	switch key {
	case "name":
		l.Name, ok = value.(string)
	case "cniVersion":
		l.CNIVersion, ok = newest(l.CNIVersion, []any{value})
	case "cniVersions":
		l.CNIVersion, ok = newest(l.CNIVersion, value)
	case "loadOnlyInlinedPlugins":
		l.OnlyInlined, ok = truth(value)
	default:
		return nil
	}
	if !ok {
		return fmt.Errorf("the key %q has the value %v", key, value)
	}
	return nil
}

// newest returns the newest of the versions, which is what runtimes from libcni
// 1.3 on take of all that the two keys say.
func newest(version string, value any) (string, bool) {
	versions, ok := value.([]any)
	for _, v := range versions {
		s, isString := v.(string)
		ok = ok && isString
		version = max(version, s) // none has a part of two digits
	}
	return version, ok
}

// truth reads a boolean, which libcni also takes as a string.
func truth(value any) (is, ok bool) {
	switch v := value.(type) {
	case bool:
		return v, true
	case string:
		is := strings.EqualFold(v, "true")
		return is, is || strings.EqualFold(v, "false")
	}
	return false, false
}

func readPlugins(l *List, dec *json.Decoder) error {
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return errors.Join(err, errors.New(`the key "plugins" is not an array`))
	}
	l.open = int(dec.InputOffset())
	for dec.More() {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		name, err := typeOf(raw)
		if err != nil {
			return fmt.Errorf("element %d of its plugins: %w", len(l.Plugins), err)
		}
		end := int(dec.InputOffset())
		l.Plugins = append(l.Plugins, Plugin{Type: name, Raw: raw, start: end - len(raw), end: end})
	}
	if len(l.Plugins) == 0 {
		return errors.New("its list of plugins is empty")
	}
	_, err := dec.Token()
	return err
}

// typeOf returns the type of a plugin as libcni does, which sorts the keys and
// then matches them without regard to case.
func typeOf(raw []byte) (string, error) {
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		return "", err
	}
	sorted, err := json.Marshal(object)
	if err != nil {
		return "", err
	}
	var conf struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(sorted, &conf); err != nil {
		return "", err
	}
	if conf.Type == "" {
		return "", errors.New("it has no type")
	}
	return conf.Type, nil
}
