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

// ErrNoMain says that there is no plugin yet that makes an interface, or no
// configuration at all, so that ours would have nothing to work on.
var ErrNoMain = errors.New("no main plugin is configured")

// Insert returns the list in data with the plugin, a JSON object of type bpffs,
// directly after the plugin that makes the interface, so that all later ones get
// its result. All other bytes stay, and the layout of the object follows its
// neighbours.
//
// A list that has our plugin behind that one keeps it where it is; its object is
// replaced if it means something else, and a second one is taken out. In front of
// it no ADD can work, so that it is moved. Where there is nothing to do Insert
// returns data itself. [ErrNoMain] if no plugin makes an interface, [ErrInvalid] if
// data is not a list.
func Insert(data, plugin []byte) ([]byte, error) {
	list, err := Parse(data)
	if err != nil {
		return nil, err
	}
	if err := CheckPlugin(plugin); err != nil {
		return nil, err
	}
	main := slices.IndexFunc(list.Plugins, Plugin.MakesInterface)
	if main < 0 {
		return nil, ErrNoMain
	}
	if list.OursFirst() {
		return Insert(list.remove(data, 0), plugin)
	}
	gap, neighbour := list.gap(data), list.Plugins[main]
	at := slices.IndexFunc(list.Plugins, Plugin.Ours)
	if at < 0 {
		return splice(data, neighbour.end, neighbour.end, slices.Concat([]byte(","), gap, layOut(plugin, gap, neighbour.Raw))), nil
	}
	data = list.remove(data, at+1)
	ours := list.Plugins[at]
	if SameMeaning(ours.Raw, plugin) {
		return data, nil
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
	if !list.HasOthers() && len(list.Plugins) > 0 {
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
	if list, err := Parse(plugin); err == nil && len(list.Plugins) > 0 {
		return errors.New("the plugin's configuration is a whole network: give only the object with \"type\": \"bpffs\"")
	}
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
