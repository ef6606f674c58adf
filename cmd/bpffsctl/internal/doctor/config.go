package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func checkPluginConfig(ctx context.Context, n *node) []Finding {
	b := n.plugin()
	if len(b.supports) == 0 {
		return notLooked(b.path, "plugin")
	}
	var found []Finding
	uses := n.networks().uses()
	for _, u := range uses {
		found = append(found, decidePluginConfig(u, b.refuses(ctx, u, n.Patience), unknownKeys(u.raw))...)
	}
	if found == nil {
		found = well(n.ConfDir, fmt.Sprintf("the plugin takes %s", count(len(uses), "configuration", "configurations")))
	}
	return found
}

func decidePluginConfig(u use, refused error, unknown []string) []Finding {
	edit := "${EDITOR:-vi} " + quote(u.path)
	if refused != nil {
		return fail(u.path, "the plugin refuses its configuration, and every pod fails: "+refused.Error(), edit)
	}
	if len(unknown) > 0 {
		return warn(u.path, "the plugin does not know "+list(unknown)+", and ignores it", edit)
	}
	return nil
}

// nowhere is a place for a bpffs where nothing is and nobody can make anything.
const nowhere = "/proc/bpffsctl-doctor"

// refuses returns what the plugin has against a configuration. It is asked by
// STATUS, in the version that has it, and for a root where nothing is: otherwise
// it would open the records, and remove what a killed process left.
func (b binary) refuses(ctx context.Context, u use, patience time.Duration) error {
	var keys map[string]any
	if err := json.Unmarshal(u.raw, &keys); err != nil {
		return err
	}
	keys["name"], keys["cniVersion"] = u.network, b.supports[len(b.supports)-1]
	if root, isString := keys["bpfRoot"].(string); keys["bpfRoot"] == nil || isString && (root == "" || filepath.IsAbs(root)) {
		keys["bpfRoot"] = nowhere
	}
	stdin, err := json.Marshal(keys)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, stderr, err := b.call(ctx, "STATUS", stdin)
	if err == nil {
		return nil
	}
	var answer struct{ Msg string }
	if json.Unmarshal(out, &answer) == nil && answer.Msg != "" {
		return errors.New(answer.Msg)
	}
	return fmt.Errorf("%w: %.200s", err, stderr)
}

// unknownKeys returns the keys of a configuration that ADD warns about.
func unknownKeys(raw []byte) []string {
	var keys map[string]json.RawMessage
	if json.Unmarshal(raw, &keys) != nil {
		return nil
	}
	for _, known := range knownKeys() {
		delete(keys, known)
	}
	var unknown []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !strings.HasPrefix(key, "cni.dev/") {
			unknown = append(unknown, key)
		}
	}
	return unknown
}

// knownKeys returns the keys of the plugin and of the CNI specification.
func knownKeys() []string {
	return []string{
		"bpfRoot", "bpfFallback", "mapPrefix", "maps",
		"cniVersion", "name", "type", "args", "capabilities", "dns", "ipam", "ipMasq", "prevResult", "runtimeConfig",
	}
}
