// Package node turns the namespaces of a process into a node: with the built
// plugins, cnitool and pods, and nothing of the host where plugins write. It ends
// with the namespaces.
package node

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// Where things are on the node. /sys, /run and /var/lib are its own.
const (
	BinDir   = "/run/node/bin" // bin/ of the source tree
	CNIDir   = BinDir + "/cni"
	ConfDir  = "/run/node/net.d"
	NetNSDir = "/run/netns"
)

// New makes a node until the test ends, from bin/ of the source tree top, and
// returns the plugin on it.
func New(tb testing.TB, top string) plugintest.Plugin {
	tb.Helper()
	testns.Need(tb)
	tb.Cleanup(func() { testns.Must(tb, end()) })
	testns.Must(tb, Mount(top))
	return plugintest.Plugin{Argv: []string{filepath.Join(BinDir, "bpffs")}}
}

// A mount is a file system that a node has for itself.
type mount struct{ fsType, target, options string }

func mounts() []mount {
	return []mount{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"tmpfs", "/run", "mode=0755"},
		{"tmpfs", "/var/lib", "mode=0755"},
	}
}

// Mount makes the node: it hides what the host has where plugins and libcni write,
// shows bin/ of the source tree top, and silences the network.
func Mount(top string) error {
	bin, err := os.OpenFile(filepath.Join(top, "bin"), unix.O_PATH, 0) // the mounts may hide it
	if err != nil {
		return fmt.Errorf("%w: run make tools", err)
	}
	defer bin.Close()
	Unmount(bpffs.DefaultRoot) // covered, it would still be in the mount table
	for _, m := range mounts() {
		if err := unix.Mount(m.fsType, m.target, m.fsType, 0, m.options); err != nil {
			return &os.PathError{Op: "mount", Path: m.target, Err: err}
		}
	}
	for _, dir := range []string{BinDir, ConfDir, NetNSDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", bin.Fd()), BinDir, "", unix.MS_BIND, ""); err != nil {
		return &os.PathError{Op: "bind", Path: BinDir, Err: err}
	}
	return silence()
}

// end takes away what Mount made, and the interfaces of the pods.
func end() error {
	errs := []error{DeleteLinks()}
	for _, m := range slices.Backward(mounts()) {
		err := unix.Unmount(m.target, unix.MNT_DETACH)
		if err != nil && !errors.Is(err, unix.EINVAL) {
			errs = append(errs, &os.PathError{Op: "unmount", Path: m.target, Err: err})
		}
	}
	return errors.Join(errs...)
}

// DeleteLinks deletes the interfaces of the network namespace, but for those to keep
// and what the kernel itself put there.
func DeleteLinks(keep ...string) error {
	links, err := netlink.LinkList()
	for errors.Is(err, netlink.ErrDumpInterrupted) { // an interface came or went meanwhile
		links, err = netlink.LinkList()
	}
	if err != nil {
		return err
	}
	for _, l := range links {
		if slices.Contains(keep, l.Attrs().Name) || l.Attrs().Flags&net.FlagLoopback != 0 {
			continue
		}
		err := netlink.LinkDel(l)
		_, gone := errors.AsType[netlink.LinkNotFoundError](err) // with its peer
		if err != nil && !gone && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.EOPNOTSUPP) {
			return fmt.Errorf("deleting %s: %w", l.Attrs().Name, err)
		}
	}
	return nil
}

// Unmount removes every layer at path.
func Unmount(path string) {
	for unix.Unmount(path, unix.MNT_DETACH) == nil {
	}
}

// silence keeps the network namespace that the thread is in, and devices that it
// will get, from sending packets of their own accord. Without IPv6 there are no
// router solicitations and no multicast reports. Of IGMP, which a bridge speaks
// to find other bridges that snoop on it, only the first report remains.
func silence() error {
	for file, value := range map[string]string{
		"ipv6/conf/all/disable_ipv6":                           "1",
		"ipv6/conf/default/disable_ipv6":                       "1",
		"ipv4/igmp_qrv":                                        "1",
		"ipv4/conf/default/igmpv2_unsolicited_report_interval": "3600000",
		"ipv4/conf/default/igmpv3_unsolicited_report_interval": "3600000",
	} {
		err := os.WriteFile("/proc/sys/net/"+file, []byte(value), 0)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Environ returns the environment of commands on the node.
func Environ() []string {
	return []string{
		"PATH=" + CNIDir + ":" + BinDir + ":/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
		"CNI_PATH=" + CNIDir, "NETCONFPATH=" + ConfDir,
	}
}

// Command returns a command of one of the binaries in bin/cni.
func Command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(CNIDir, name), args...)
	cmd.Env = Environ()
	return cmd
}

// Run runs one of the binaries in bin/cni and returns what it prints to standard
// output. An error has all it prints.
func Run(name string, args ...string) ([]byte, error) {
	return output(Command(name, args...))
}

func output(cmd *exec.Cmd) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %q: %w: %s%s", filepath.Base(cmd.Path), cmd.Args[1:], err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.Bytes(), nil
}
