package conflist

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/containernetworking/cni/libcni"
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
	return l.first(func(p Plugin) bool { return !p.Ours() })
}

// Ours returns the first element that is our plugin.
func (l List) Ours() (Plugin, bool) { return l.first(Plugin.Ours) }

func (l List) first(is func(Plugin) bool) (Plugin, bool) {
	for _, p := range l.Plugins {
		if is(p) {
			return p, true
		}
	}
	return Plugin{}, false
}

// Parse reads a configuration list as libcni does. What libcni would refuse, a
// list without a name, and one whose plugins are given twice, is [ErrInvalid]. A
// list without the key "plugins", which libcni takes if there are drop-in files,
// has none.
func Parse(data []byte) (List, error) {
	conf, err := libcni.NetworkConfFromBytes(data)
	if err == nil && conf.Name == "" { // its drop-in directory would be the directory of all networks
		err = errors.New("it has no name")
	}
	if err != nil {
		return List{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	list := List{Name: conf.Name, CNIVersion: conf.CNIVersion, OnlyInlined: conf.LoadOnlyInlinedPlugins}
	list.open, list.Plugins, err = locate(data)
	if err != nil {
		return List{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	for i, p := range conf.Plugins {
		list.Plugins[i].Type = p.Network.Type
	}
	return list, nil
}

// parseOne reads the configuration of a single plugin as a list of one.
func parseOne(data []byte) (List, error) {
	conf, err := libcni.NetworkPluginConfFromBytes(data)
	if err != nil {
		return List{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return List{
		Name: conf.Network.Name, CNIVersion: conf.Network.CNIVersion,
		Plugins: []Plugin{{Type: conf.Network.Type, Raw: data}},
	}, nil
}

// locate returns where the plugins stand in a list, which libcni does not tell.
// That their key is there twice would be no error of libcni, which takes the last;
// but then it is not clear which of them an edit means.
func locate(data []byte) (open int, plugins []Plugin, err error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	_, err = dec.Token()
	for seen := false; err == nil && dec.More(); {
		var key json.Token
		if key, err = dec.Token(); err != nil {
			break
		}
		if key != "plugins" {
			err = dec.Decode(new(json.RawMessage))
			continue
		}
		if seen {
			return 0, nil, errors.New(`it has the key "plugins" twice`)
		}
		seen = true
		open, plugins, err = elements(dec)
	}
	return open, plugins, err
}

// elements returns the elements of the array that comes next.
func elements(dec *json.Decoder) (open int, plugins []Plugin, err error) {
	_, err = dec.Token()
	open = int(dec.InputOffset())
	for err == nil && dec.More() {
		var raw json.RawMessage
		err = dec.Decode(&raw)
		end := int(dec.InputOffset())
		plugins = append(plugins, Plugin{Raw: raw, start: end - len(raw), end: end})
	}
	if err == nil {
		_, err = dec.Token()
	}
	return open, plugins, err
}
