package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/containernetworking/plugins/pkg/testutils"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// A node is what a container runtime sees, in the mount namespace of this
// process: the programs in a tmpfs, a container's network namespace, any number of
// mounts, and at /sys/fs/bpf one of several bpffs.
type node struct {
	dir       string
	netns     string
	unwired   error // why the container has no interface
	mounts    int
	endpoints map[string]int // by the bpffs
}

// newNode makes the node in this process's mount namespace, which nobody else
// may have, from the programs in dir/built.
func newNode(dir string) (*node, error) {
	n := &node{dir: filepath.Join(dir, "node"), endpoints: make(map[string]int)}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("making all mounts private: %w", err)
	}
	if err := os.Mkdir(n.dir, 0o700); err != nil {
		return nil, err
	}
	for _, place := range []string{n.dir, "/run"} { // what the node has in /run is not for us
		if err := syscall.Mount("tmpfs", place, "tmpfs", 0, "mode=0755"); err != nil {
			return nil, fmt.Errorf("mounting a tmpfs at %s: %w", place, err)
		}
	}
	if err := os.CopyFS(n.path("bin"), os.DirFS(filepath.Join(dir, builtDir))); err != nil {
		return nil, err
	}
	empty, err := os.ReadFile(n.path("bin/empty"))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(n.path("bin/before"), empty, 0o755); err != nil {
		return nil, err
	}
	if err := n.makeContainer(); err != nil {
		return nil, err
	}
	return n, n.grow(fewMounts)
}

// path returns the path of a file of the node.
func (n *node) path(name string) string { return filepath.Join(n.dir, name) }

// makeContainer makes the network namespace in which the plugins are called.
func (n *node) makeContainer() error {
	container, err := testutils.NewNS()
	if err != nil {
		return fmt.Errorf("making a network namespace: %w", err)
	}
	defer container.Close()
	n.netns = container.Path()
	n.unwired = wire(container)
	return nil
}

// newBPF mounts a further bpffs, not yet at /sys/fs/bpf, and returns its path.
func (n *node) newBPF(name string) (string, error) {
	path := n.path(name)
	if err := os.Mkdir(path, 0o700); err != nil {
		return "", err
	}
	return path, syscall.Mount("bpf", path, "bpf", 0, "mode=0700")
}

// show puts the bpffs that is mounted at path to /sys/fs/bpf, where the plugin
// looks, in place of all that is there.
func (n *node) show(path string) error {
	if err := n.hide(); err != nil {
		return err
	}
	return syscall.Mount(path, bpffs.DefaultRoot, "", syscall.MS_BIND, "")
}

// hide takes away all that is at /sys/fs/bpf.
func (n *node) hide() error {
	var err error
	for err == nil {
		err = syscall.Unmount(bpffs.DefaultRoot, syscall.MNT_DETACH)
	}
	if !errors.Is(err, syscall.EINVAL) { // nothing is mounted there any more
		return fmt.Errorf("clearing %s: %w", bpffs.DefaultRoot, err)
	}
	return nil
}

// grow makes mounts until the table has as many as wanted.
func (n *node) grow(want int) error {
	at := n.path("mounts")
	if err := os.MkdirAll(at, 0o700); err != nil {
		return err
	}
	table, err := mountTable()
	if err != nil {
		return err
	}
	for n.mounts = len(table); n.mounts < want; n.mounts++ {
		point := filepath.Join(at, strconv.Itoa(n.mounts))
		if err := os.MkdirAll(point, 0o700); err != nil { // another place may have one there
			return err
		}
		if err := syscall.Mount(n.path("bin"), point, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("making %d mounts (the limit is in /proc/sys/fs/mount-max): %w", want, err)
		}
	}
	return checkCgroup(at)
}

// checkCgroup reports when a cgroup file system comes after the mounts below at:
// every Go program from 1.25 on reads the mount table up to it before main, and
// an empty program would pay for all mounts.
func checkCgroup(at string) error {
	table, err := mountTable()
	if err != nil {
		return err
	}
	ours := false
	for _, line := range table {
		ours = ours || strings.Contains(line, " "+at+"/")
		if ours && strings.Contains(line, " - cgroup") {
			return fmt.Errorf("the cgroup mount comes after those of the benchmark in the mount table: %s", line)
		}
	}
	return nil
}

func mountTable() ([]string, error) {
	text, err := os.ReadFile("/proc/thread-self/mountinfo")
	return strings.Split(strings.TrimSpace(string(text)), "\n"), err
}

// containerID returns a container ID like those of container runtimes.
func containerID(kind string, number int) string {
	return fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s %d", kind, number)))
}

// fill makes endpoints with four maps each in the bpffs at root until it has as
// many as wanted.
func (n *node) fill(root string, want int) error {
	e, err := bpffs.CreateEndpoints(context.Background(), root)
	if err != nil {
		return err
	}
	defer e.Close()
	for ; n.endpoints[root] < want; n.endpoints[root]++ {
		a := bpffs.Attachment{Network: netName, ContainerID: containerID("fill", n.endpoints[root]), IfName: "eth0"}
		if _, _, err := e.Allocate(a, bpffs.DefaultMapPrefix, "calls_", "policy_", "ct4_", "ct6_"); err != nil {
			return err
		}
	}
	return nil
}
