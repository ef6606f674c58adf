package conflist

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/containernetworking/cni/libcni"
)

// ErrNoMain says that there is no plugin but ours, or no configuration at all, so
// that ours would be the only one.
var ErrNoMain = errors.New("no main plugin is configured")

// Insert returns the list in data with the plugin, a JSON object of type bpffs,
// directly after the first plugin, so that all later ones get its result. All
// other bytes stay, and the layout of the object follows its neighbours.
//
// A list that has our plugin somewhere keeps it there; its object is replaced if
// it means something else, and a second one is taken out. Where there is nothing
// to do Insert returns data itself. [ErrNoMain] if there is no other plugin,
// [ErrInvalid] if data is not a list.
func Insert(data, plugin []byte) ([]byte, error) {
	list, err := Parse(data)
	if err != nil {
		return nil, err
	}
	if _, ok := list.Main(); !ok {
		return nil, ErrNoMain
	}
	if err := CheckPlugin(plugin); err != nil {
		return nil, err
	}
	gap := list.gap(data)
	at := slices.IndexFunc(list.Plugins, Plugin.Ours)
	if at < 0 {
		first := list.Plugins[0]
		return splice(data, first.end, first.end, slices.Concat([]byte(","), gap, layOut(plugin, gap, first.Raw))), nil
	}
	data = list.remove(data, at+1)
	ours := list.Plugins[at]
	if SameMeaning(ours.Raw, plugin) {
		return data, nil
	}
	neighbour := list.Plugins[0]
	if at == 0 {
		neighbour = list.Plugins[1]
	}
	return splice(data, ours.start, ours.end, layOut(plugin, gap, neighbour.Raw)), nil
}

// Remove returns the list in data without our plugin, and data itself if it is
// not there. What [Insert] inserted is removed to the byte. [ErrNoMain] if no
// other plugin would remain.
func Remove(data []byte) ([]byte, error) {
	list, err := Parse(data)
	if err != nil {
		return nil, err
	}
	if _, ok := list.Main(); !ok && len(list.Plugins) > 0 {
		return nil, ErrNoMain
	}
	return list.remove(data, 0), nil
}

// remove takes our plugin out wherever it is from the index on.
func (l List) remove(data []byte, from int) []byte {
	for i := len(l.Plugins) - 1; i >= max(from, 1); i-- {
		if l.Plugins[i].Ours() {
			data = splice(data, l.Plugins[i-1].end, l.Plugins[i].end, nil)
		}
	}
	if from > 0 || len(l.Plugins) == 0 || !l.Plugins[0].Ours() {
		return data
	}
	// What came first takes the following comma with it. Only ours can have been
	// between it and the next one, and is gone by now.
	rest := bytes.TrimLeft(data[l.Plugins[0].end:], " \t\r\n,")
	return slices.Concat(data[:l.Plugins[0].start], rest)
}

// CheckPlugin reports whether the object is a configuration of our plugin.
func CheckPlugin(plugin []byte) error {
	conf, err := libcni.InjectConf(&libcni.PluginConfig{Bytes: plugin}, nil) // which every element of a list goes through
	if err != nil {
		return fmt.Errorf("the plugin's configuration: %w", err)
	}
	if name := conf.Network.Type; name != PluginType {
		return fmt.Errorf("the plugin's configuration has the type %q, want %q", name, PluginType)
	}
	return nil
}

func splice(data []byte, from, to int, text []byte) []byte {
	return slices.Concat(data[:from], text, data[to:])
}

// SameMeaning compares two JSON values without regard to layout and order of keys.
func SameMeaning(a, b []byte) bool {
	values := make([]any, 2)
	for i, raw := range [][]byte{a, b} {
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		if dec.Decode(&values[i]) != nil {
			return false
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}
