package node

import (
	"crypto/sha512"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/containernetworking/plugins/pkg/testutils"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// The network of pods whose packets pktcount counts.
const (
	Network = "pktcount" // its name in the configuration
	Gateway = "10.244.78.1"
	bridge  = "cni-pktcount0"
)

// Configure gives the node a network configuration.
func Configure(name string, conf []byte) error {
	file := filepath.Join(ConfDir, name)
	return errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, conf, 0o600))
}

// A Pod is a network namespace.
type Pod struct {
	Name        string
	NetNS       string // its path
	ContainerID string // that cnitool gives it
	Args        string // CNI_ARGS
	ns          ns.NetNS

	// After Add:
	Addr   netip.Addr
	Pins   map[string]string // paths by declared name
	Result []byte            // of ADD
}

// NewPod makes the network namespace of a pod.
func NewPod(name string) (*Pod, error) {
	made, err := testutils.NewNS()
	if err != nil {
		return nil, err
	}
	if err := os.Symlink(made.Path(), filepath.Join(NetNSDir, name)); err != nil {
		return nil, err
	}
	return newPod(name, made)
}

// PodOf makes a pod of the network namespace of a process, which stays when the process
// ends.
func PodOf(name string, pid int) (*Pod, error) {
	path := filepath.Join(NetNSDir, name)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return nil, err
	}
	if err := unix.Mount(fmt.Sprintf("/proc/%d/ns/net", pid), path, "", unix.MS_BIND, ""); err != nil {
		return nil, &os.PathError{Op: "bind", Path: path, Err: err}
	}
	made, err := ns.GetNS(path)
	if err != nil {
		return nil, err
	}
	return newPod(name, made)
}

func newPod(name string, made ns.NetNS) (*Pod, error) {
	path := filepath.Join(NetNSDir, name)
	sum := sha512.Sum512([]byte(path))
	p := &Pod{Name: name, NetNS: path, ContainerID: fmt.Sprintf("cnitool-%x", sum[:10]), ns: made}
	return p, p.Do(silence)
}

// Crash takes the network namespace away.
func (p *Pod) Crash() error {
	return errors.Join(p.ns.Close(), testutils.UnmountNS(p.ns), os.Remove(p.NetNS))
}

// Do calls f on a thread in the pod's network namespace. Sockets that f opens
// stay there.
func (p *Pod) Do(f func() error) error {
	return p.ns.Do(func(ns.NetNS) error { return f() })
}

// Add attaches the pod to the network.
func (p *Pod) Add() error {
	result, err := p.cnitool("add")
	if err != nil {
		return err
	}
	var r struct {
		IPs []struct{ Address netip.Prefix }
	}
	if err := json.Unmarshal(result, &r); err != nil {
		return err
	}
	if len(r.IPs) != 1 {
		return fmt.Errorf("addresses of %s: got %v, want one", p.Name, r.IPs)
	}
	paths, err := plugintest.Paths(string(result))
	if err != nil {
		return err
	}
	p.Addr, p.Pins, p.Result = r.IPs[0].Address.Addr(), make(map[string]string), result
	for _, path := range paths {
		p.Pins[strings.TrimSuffix(filepath.Base(path), plugintest.IDOf(path))] = path
	}
	if err := remember(bridge); err != nil {
		return err
	}
	return p.Do(func() error { return remember("eth0") })
}

// cnitool calls the plugins of the network for the pod.
func (p *Pod) cnitool(verb string) ([]byte, error) {
	cmd := Command("cnitool", verb, Network, p.NetNS)
	cmd.Env = append(cmd.Env, "CNI_ARGS="+p.Args)
	return output(cmd)
}

// remember keeps the interface from asking again for addresses it has learned.
func remember(ifName string) error {
	dir := "/proc/sys/net/ipv4/neigh/" + ifName
	return errors.Join(
		os.WriteFile(dir+"/base_reachable_time_ms", []byte("3600000"), 0),
		os.WriteFile(dir+"/delay_first_probe_time", []byte("3600"), 0))
}

// Check compares the attachment with what Add made.
func (p *Pod) Check() error {
	_, err := p.cnitool("check")
	return err
}

// Del detaches the pod from the network.
func (p *Pod) Del() error {
	_, err := p.cnitool("del")
	return err
}
