package main

import (
	"crypto/sha512"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Where things are on the demo's node. /run and /var/lib are its own.
const (
	binDir   = "/run/demo/bin"
	confDir  = "/run/demo/net.d"
	netnsDir = "/run/netns"
	network  = "bpffs-demo"
)

// A node is the machine that the demo plays on: the real one, with a few
// directories mounted anew in the mount namespace of this process.
type node struct {
	conflist []byte
	bin      *os.File
}

// newNode turns the namespaces that this process is in into a node without a
// bpffs, with the binaries of the source tree root and its configuration.
func newNode(root string) (*node, error) {
	n := &node{}
	var err error
	if n.conflist, err = os.ReadFile(filepath.Join(root, "conf/10-bpffs.conflist")); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(root, "bin/cni/cnitool")); err != nil {
		return nil, fmt.Errorf("%w: run \"make tools\" first", err)
	}
	// The tree may lie below what the mounts hide.
	if n.bin, err = os.OpenFile(filepath.Join(root, "bin"), unix.O_PATH, 0); err != nil {
		return nil, err
	}
	defer n.bin.Close()
	if err := n.mount(); err != nil {
		return nil, err
	}
	return n, n.configure()
}

// mount hides what the host has where the plugins and libcni write. The host's
// bpffs would still be in the mount table, so it goes, from this namespace.
func (n *node) mount() error {
	if err := unix.Unmount("/sys", unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
		return &os.PathError{Op: "unmount", Path: "/sys", Err: err}
	}
	for _, m := range []struct{ fsType, target string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"tmpfs", "/run"}, {"tmpfs", "/var/lib"},
	} {
		if err := unix.Mount(m.fsType, m.target, m.fsType, 0, ""); err != nil {
			return &os.PathError{Op: "mount", Path: m.target, Err: err}
		}
	}
	if err := os.MkdirAll(binDir, 0o755); err != nil {
		return err
	}
	bin := fmt.Sprintf("/proc/self/fd/%d", n.bin.Fd())
	if err := unix.Mount(bin, binDir, "", unix.MS_BIND, ""); err != nil {
		return &os.PathError{Op: "bind", Path: binDir, Err: err}
	}
	return nil
}

// configure writes the network configuration, as it is, and beside it the file
// by which libcni 1.3 adds a plugin to the end of its chain.
func (n *node) configure() error {
	if err := os.MkdirAll(filepath.Join(confDir, network), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(confDir, "10-bpffs.conflist"), n.conflist, 0o600); err != nil {
		return err
	}
	dropIn := filepath.Join(confDir, network, "downstream.conf")
	return os.WriteFile(dropIn, []byte(`{"type": "downstream"}`+"\n"), 0o600)
}

// env returns the environment of the commands.
func (n *node) env() []string {
	return []string{
		"PATH=" + binDir + "/cni:/usr/sbin:/usr/bin:/sbin:/bin",
		"LC_ALL=C",
		"CNI_PATH=" + binDir + "/cni",
		"NETCONFPATH=" + confDir,
	}
}

// addPod makes the network namespace of a pod and returns the container ID that
// cnitool gives it.
func (n *node) addPod(name string) (containerID string, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own, err := netns.Get()
	if err != nil {
		return "", err
	}
	defer own.Close()
	pod, err := netns.NewNamed(name)
	if err != nil {
		return "", err
	}
	defer pod.Close()
	sum := sha512.Sum512([]byte(filepath.Join(netnsDir, name)))
	return fmt.Sprintf("cnitool-%x", sum[:10]), netns.Set(own)
}

// crashPod takes a pod away without a DEL, and libcni's memory of it.
func (n *node) crashPod(name, containerID string) error {
	if err := netns.DeleteNamed(name); err != nil {
		return err
	}
	return os.Remove(fmt.Sprintf("/var/lib/cni/results/%s-%s-eth0", network, containerID))
}
