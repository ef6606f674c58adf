// Package plugin calls the plugin's binary as a container runtime does.
package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// ErrConfig says that the plugin has refused a configuration (error code 7 of the
// CNI specification).
var ErrConfig = errors.New("the plugin refuses its configuration")

const codeInvalidConfig = 7

// nowhere is a place for a bpffs where nothing is and nobody can make anything.
const nowhere = "/proc/bpffsctl"

// Call runs the binary with the command of CNI, or without one as a person does.
func Call(ctx context.Context, path, command string, stdin []byte) (stdout []byte, stderr string, err error) {
	cmd := exec.CommandContext(ctx, path)
	cmd.WaitDelay = time.Second
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	if command != "" {
		cmd.Env = append(cmd.Env, "CNI_COMMAND="+command, "CNI_PATH="+filepath.Dir(path))
	}
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &errs
	err = cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("it did not end in time: %w", err)
	}
	return out.Bytes(), errs.String(), err
}

// Check asks the binary what it has against a configuration of a network:
// [ErrConfig], or that it cannot be asked. It is asked by STATUS, in a version of
// the specification that has it, and for a root where nothing is: otherwise it
// would open the records, and remove what a killed process left.
func Check(ctx context.Context, path, network, version string, config []byte) error {
	var keys map[string]any
	if err := json.Unmarshal(config, &keys); err != nil {
		return err
	}
	keys["name"], keys["cniVersion"] = network, version
	if root, isString := keys["bpfRoot"].(string); keys["bpfRoot"] == nil || isString && (root == "" || filepath.IsAbs(root)) {
		keys["bpfRoot"] = nowhere
	}
	stdin, err := json.Marshal(keys)
	if err != nil {
		return err
	}
	out, stderr, err := Call(ctx, path, "STATUS", stdin)
	if err == nil {
		return nil
	}
	var answer struct {
		Code int
		Msg  string
	}
	if json.Unmarshal(out, &answer) != nil || answer.Msg == "" {
		return fmt.Errorf("%w: %.200s", err, stderr)
	}
	if answer.Code == codeInvalidConfig {
		return fmt.Errorf("%w: %s", ErrConfig, answer.Msg)
	}
	return errors.New(answer.Msg)
}
