// Command init is the only user space of an emulated machine: it brings the
// machine up as far as the tests need it, runs them and switches it off.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/test/kernels"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "init:", err)
	}
	fmt.Fprintln(os.Stderr, "init: switching off:", unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
}

func run() error {
	if err := mount(); err != nil {
		return err
	}
	text, err := os.ReadFile(kernels.PlanFile)
	if err != nil {
		return err
	}
	var plan kernels.Plan
	if err := json.Unmarshal(text, &plan); err != nil {
		return err
	}
	for _, name := range plan.Modules {
		if err := load(name); err != nil {
			return err
		}
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	port, err := openPort(plan.Port)
	if err != nil {
		return err
	}
	for _, s := range plan.Suites {
		if err := runSuite(port, s); err != nil {
			return err
		}
	}
	return port.Close()
}

// mount mounts what an init system would, but no bpffs, and makes /var/run.
func mount() error {
	for _, m := range []struct{ fsType, target, options string }{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"cgroup2", "/sys/fs/cgroup", ""},
		{"devtmpfs", "/dev", ""},
		{"tmpfs", "/run", "mode=0755"},
		{"tmpfs", "/tmp", "mode=1777"},
		{"tmpfs", "/var/lib", "mode=0755"},
	} {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.fsType, m.target, m.fsType, 0, m.options); err != nil {
			return &os.PathError{Op: "mount", Path: m.target, Err: err}
		}
	}
	return os.Symlink("/run", "/var/run")
}

func load(name string) error {
	f, err := os.Open(filepath.Join(kernels.ModuleDir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil {
		return &os.PathError{Op: "load", Path: name, Err: err}
	}
	return nil
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd) //nolint:errcheck // it was only used to ask
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return os.NewSyscallError("ioctl", unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo))
}

// openPort opens the serial port so that every byte passes as it is.
func openPort(name string) (*os.File, error) {
	port, err := os.OpenFile(name, os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	raw, err := unix.IoctlGetTermios(int(port.Fd()), unix.TCGETS)
	if err != nil {
		return nil, os.NewSyscallError("ioctl", err)
	}
	raw.Oflag &^= unix.OPOST
	return port, os.NewSyscallError("ioctl", unix.IoctlSetTermios(int(port.Fd()), unix.TCSETS, raw))
}

func runSuite(port *os.File, s kernels.Suite) error {
	if err := kernels.Start(port, s.Name); err != nil {
		return err
	}
	cmd := s.Command(kernels.TreeDir, []string{"PATH=/bin", "HOME=/"})
	cmd.Stdout, cmd.Stderr = port, port
	start, result := time.Now(), "ok"
	if err := cmd.Run(); err != nil {
		result = err.Error()
	}
	return kernels.End(port, result, time.Since(start))
}
