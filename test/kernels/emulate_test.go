package kernels

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// emulateTimeout is for the start of a machine and all its suites.
const emulateTimeout = time.Hour

// emulate runs the suites on the kernel, with root as the file system. All that the
// machine says stays in the kernel's directory.
func emulate(ctx context.Context, k kernel, root, scratch string) *machine {
	m := &machine{name: k.name, release: k.release}
	e, ok := emulators()[k.arch]
	if !ok {
		m.err = fmt.Errorf("there is no emulator for %s", k.arch)
		return m
	}
	initrd := filepath.Join(scratch, "initrd")
	if m.err = writeInitrd(initrd, k, e.port, root, scratch); m.err != nil {
		return m
	}
	defer os.Remove(initrd)
	ctx, cancel := context.WithTimeout(ctx, emulateTimeout)
	defer cancel()
	console, port := filepath.Join(k.dir(), "console.log"), filepath.Join(k.dir(), "tests.log")
	out, err := exec.CommandContext(ctx, e.command, e.args(filepath.Join(k.dir(), "vmlinuz"), initrd, console, port)...).CombinedOutput()
	text, readErr := os.ReadFile(port)
	m.err = errors.Join(m.err, err, ctx.Err(), readErr)
	for _, r := range ParseRuns(text) {
		m.add(r)
	}
	said, readErr := os.ReadFile(console)
	m.err = errors.Join(m.err, readErr)
	m.console = string(out) + string(said)
	return m
}

// writeInitrd writes the first file system of a machine.
func writeInitrd(name string, k kernel, port, root, scratch string) error {
	order, err := os.ReadFile(filepath.Join(k.dir(), "modules/order"))
	if err != nil {
		return fmt.Errorf("which modules to load: %w", err)
	}
	plan, err := json.Marshal(Plan{Modules: strings.Fields(string(order)), Port: "/dev/" + port, Suites: suites(k.name)})
	if err != nil {
		return err
	}
	file := filepath.Join(scratch, "plan")
	if err := os.WriteFile(file, plan, 0o600); err != nil {
		return err
	}
	return writeArchive(name, map[string]string{
		"/": root, PlanFile: file, ModuleDir: filepath.Join(k.dir(), "modules"),
	})
}
