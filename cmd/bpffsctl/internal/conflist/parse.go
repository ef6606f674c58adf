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
	Name        string
	CNIVersion  string   // of the key cniVersion; which one counts says [List.Version]
	CNIVersions []string // of the key cniVersions, which libcni knows from 1.2 on
	// OnlyInlined says that the runtime must not read drop-in files for it.
	OnlyInlined bool
	Plugins     []Plugin

	open int // the offset after the bracket that opens the plugins
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
	list := List{Name: conf.Name, OnlyInlined: conf.LoadOnlyInlinedPlugins}
	list.CNIVersion, list.CNIVersions = versions(data)
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
func locate(data []byte) (open int, all []Plugin, err error) {
	plugins, there, err := valueOf(data, "plugins")
	if err != nil || !there {
		return 0, nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(data[plugins.start:plugins.end]))
	_, err = dec.Token()
	open = plugins.start + int(dec.InputOffset())
	for err == nil && dec.More() {
		var raw json.RawMessage
		err = dec.Decode(&raw)
		end := plugins.start + int(dec.InputOffset())
		all = append(all, Plugin{Raw: raw, start: end - len(raw), end: end})
	}
	return open, all, err
}

// A span is a part of the bytes of a file.
type span struct{ start, end int }

// valueOf returns where the value of a key stands in an object. A key that is there
// twice is no error of libcni, which takes the last; but then it is not clear which
// of them an edit means.
func valueOf(data []byte, key string) (value span, there bool, err error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	_, err = dec.Token()
	for err == nil && dec.More() {
		var is json.Token
		var raw json.RawMessage
		if is, err = dec.Token(); err == nil {
			err = dec.Decode(&raw)
		}
		if is != key {
			continue
		}
		if there {
			return value, there, fmt.Errorf("it has the key %q twice", key)
		}
		end := int(dec.InputOffset())
		value, there = span{end - len(raw), end}, true
	}
	return value, there, err
}
