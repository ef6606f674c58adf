package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
)

// binary is what was seen of the plugin.
type binary struct {
	path     string
	statErr  error
	mode     fs.FileMode
	output   string
	runErr   error
	version  string   // empty if it is not our plugin
	supports []string // versions of CNI
}

// lookAtPlugin calls the plugin as a person does, and asks it for its versions.
func lookAtPlugin(ctx context.Context, dir string, patience time.Duration) (b binary) {
	b.path = filepath.Join(dir, conflist.PluginType)
	fi, err := os.Stat(b.path)
	if b.statErr = err; err != nil {
		return b
	}
	b.mode = fi.Mode()
	if !executable(b.mode) {
		return b
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, stderr, err := b.call(ctx, "", nil)
	b.output, b.runErr = stderr, err
	if m := regexp.MustCompile(`^bpffs (\S+), a chained CNI plugin`).FindStringSubmatch(stderr); m != nil {
		b.version = m[1]
	}
	var v struct {
		SupportedVersions []string `json:"supportedVersions"`
	}
	if out, _, err := b.call(ctx, "VERSION", nil); err == nil && json.Unmarshal(out, &v) == nil {
		b.supports = v.SupportedVersions
	}
	return b
}

func executable(mode fs.FileMode) bool {
	return mode.IsRegular() && mode.Perm()&0o111 == 0o111
}

// call runs the plugin with the command, if there is one, as a runtime does.
func (b binary) call(ctx context.Context, verb string, stdin []byte) (stdout []byte, stderr string, err error) {
	cmd := exec.CommandContext(ctx, b.path)
	cmd.WaitDelay = time.Second
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	if verb != "" {
		cmd.Env = append(cmd.Env, "CNI_COMMAND="+verb, "CNI_PATH="+filepath.Dir(b.path))
	}
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &errs
	err = cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("it did not end in time: %w", err)
	}
	return out.Bytes(), errs.String(), err
}

func checkPlugin(_ context.Context, n *node) []Finding {
	return decidePlugin(n.plugin(), n.Version, n.reinstall())
}

func decidePlugin(b binary, version, reinstall string) []Finding {
	switch {
	case errors.Is(b.statErr, fs.ErrNotExist):
		return fail(b.path, "it is missing: every pod of a network that has bpffs fails", reinstall)
	case b.statErr != nil:
		return fail(b.path, b.statErr.Error(), command("ls", "-la", filepath.Dir(b.path)))
	case !b.mode.IsRegular():
		return fail(b.path, fmt.Sprintf("it is no file, but %v", b.mode), command("mv", b.path, b.path+".bad")+" && "+reinstall)
	case !executable(b.mode):
		return fail(b.path, fmt.Sprintf("it has mode %v and cannot be executed", b.mode), command("chmod", "755", b.path))
	case b.runErr != nil:
		return fail(b.path, fmt.Sprintf("calling it: %v: %.200s", b.runErr, b.output), command("mv", b.path, b.path+".bad")+" && "+reinstall)
	case b.version == "":
		return fail(b.path, fmt.Sprintf("it is not the plugin bpffs, it says %.200q", b.output), command("mv", b.path, b.path+".bad")+" && "+reinstall)
	case b.version != version:
		return warn(b.path, "it is version "+b.version+", and this is bpffsctl "+version, reinstall)
	}
	return well(b.path, "version "+b.version)
}

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
