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
const emulateTimeout = 30 * time.Minute

// emulate runs the suites on the kernel in dir, with root as the file system. All
// that the machine says stays in dir.
func emulate(ctx context.Context, dir, root, scratch string) *machine {
	m := &machine{name: filepath.Base(dir)}
	initrd := filepath.Join(scratch, "initrd")
	if m.err = writeInitrd(initrd, dir, root, scratch); m.err != nil {
		return m
	}
	ctx, cancel := context.WithTimeout(ctx, emulateTimeout)
	defer cancel()
	console, port := filepath.Join(dir, "console.log"), filepath.Join(dir, "tests.log")
	out, err := exec.CommandContext(ctx, "qemu-system-x86_64",
		"-machine", "q35", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "2048",
		"-nodefaults", "-display", "none", "-no-reboot", "-serial", "file:"+console, "-serial", "file:"+port,
		"-kernel", filepath.Join(dir, "vmlinuz"), "-initrd", initrd,
		"-append", "console=ttyS0 quiet panic=-1").CombinedOutput()
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
func writeInitrd(name, dir, root, scratch string) error {
	order, err := os.ReadFile(filepath.Join(dir, "modules/order"))
	if err != nil {
		return fmt.Errorf("which modules to load: %w", err)
	}
	plan, err := json.Marshal(Plan{Modules: strings.Fields(string(order)), Suites: suites()})
	if err != nil {
		return err
	}
	file := filepath.Join(scratch, "plan")
	if err := os.WriteFile(file, plan, 0o600); err != nil {
		return err
	}
	return writeArchive(name, map[string]string{
		"/": root, PlanFile: file, ModuleDir: filepath.Join(dir, "modules"),
	})
}
