package netconf

import (
	"encoding/json"
	"fmt"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// capability is what a plugin declares to get the annotations of pods, and where it
// finds them in runtimeConfig.
const capability = "io.kubernetes.cri.pod-annotations"

// parseOptional reads the key optional of a map, and returns the largest number of
// entries that a pod can ask for. Without a number of its own it is that of the map.
func parseOptional(key string, raw json.RawMessage, d bpffs.MapDecl) (limit uint32, err error) {
	keys, err := decodeStrict(key, raw, map[string]any{"maxEntries": &limit})
	if err != nil {
		return 0, err
	}
	if !d.Typed() {
		return 0, badValue(key, raw, fmt.Errorf("map %s has no type: a pod can only ask for what the plugin creates", d.Name))
	}
	if limit == 0 {
		return d.Spec.MaxEntries, nil
	}
	if limit < d.Spec.MaxEntries {
		err = fmt.Errorf("less than the map's own maxEntries, %d: a pod that names no number gets that many", d.Spec.MaxEntries)
	} else {
		err = withEntries(d, limit).Spec.Check()
	}
	if err != nil {
		return 0, badValue(key+".maxEntries", keys["maxEntries"], fmt.Errorf("map %s: %w", d.Name, err))
	}
	return limit, nil
}

func withEntries(d bpffs.MapDecl, entries uint32) bpffs.MapDecl {
	d.Spec.MaxEntries = entries
	return d
}

// checkCapability refuses optional maps for which no pod could ask. A runtime that
// hands annotations on may have taken the capabilities out of the configuration.
func (c *Config) checkCapability() error {
	if len(c.Limits) == 0 {
		return nil
	}
	declared := make(map[string]bool)
	if err := c.decode("capabilities", &declared); err != nil {
		return err
	}
	sent, err := c.annotations()
	if err != nil || sent != nil || declared[capability] {
		return err
	}
	return c.bad("capabilities", fmt.Errorf(
		`the network has optional maps, but without this capability the runtime passes on no annotations of pods: add "capabilities": {%q: true} to the plugin`, capability))
}

// Keep returns the configuration with those optional maps for which keep returns true.
// It may change them.
func (c *Config) Keep(keep func(d *bpffs.MapDecl) bool) *Config {
	if len(c.Limits) == 0 {
		return c
	}
	with := *c
	with.Maps = nil
	for _, d := range c.Maps {
		if _, optional := c.Limits[d.Name]; !optional || keep(&d) {
			with.Maps = append(with.Maps, d)
		}
	}
	return &with
}

// LargestMaps returns all maps, the optional ones with the largest number of entries that a pod can
// ask for.
func (c *Config) LargestMaps() []bpffs.MapDecl {
	return c.Keep(func(d *bpffs.MapDecl) bool {
		d.Spec.MaxEntries = c.Limits[d.Name]
		return true
	}).Maps
}
